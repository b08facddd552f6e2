"""How any job lives: leases kept alive and fenced, retries, progress."""
