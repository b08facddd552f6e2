"""Logging and metrics: every event and metric is defined once."""
