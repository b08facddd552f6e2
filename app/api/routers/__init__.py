"""One router for each family of paths."""
