"""Use cases, one a file; they join store, index, encoding and images."""
