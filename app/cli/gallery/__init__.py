"""Commands for pictures and collections: add, search, compare, export, label."""
