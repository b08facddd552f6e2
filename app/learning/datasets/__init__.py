"""Picture collections and their splits."""
