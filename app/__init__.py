"""Lookalike finds the pictures that look like yours: learned codes, exact Hamming search, one service."""

__version__ = "0.2.0"
