"""Answer queries: encode, scan, rank, page, compare, group duplicates."""
