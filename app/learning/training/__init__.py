"""Fit hash methods and encoders, build and export artifacts."""
