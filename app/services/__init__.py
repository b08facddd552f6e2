"""Use cases, one per file, that combine store, index, encoding and images."""
