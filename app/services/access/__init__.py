"""Decide who may call: keys, signed addresses, idempotent requests."""
