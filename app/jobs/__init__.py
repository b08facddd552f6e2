"""Infrastructure for all kinds of jobs: leases, retries, progress."""
