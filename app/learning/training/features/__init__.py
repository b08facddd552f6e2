"""Compute encoder features and keep them on disk."""
