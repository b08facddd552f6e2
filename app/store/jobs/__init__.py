"""Jobs, their parts and leases, and the processes that run them."""
