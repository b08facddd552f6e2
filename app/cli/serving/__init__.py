"""Commands that start processes: `serve` and `worker`."""
