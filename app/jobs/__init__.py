"""How any long-running job lives: leases, retries, progress."""
