"""Keys, secrets for signatures, and the answers of idempotent requests."""
