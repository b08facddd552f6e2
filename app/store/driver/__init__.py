"""Connections to SQLite and Postgres, faults of both in our words, statements in batches."""
