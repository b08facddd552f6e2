"""One router a family of paths."""
