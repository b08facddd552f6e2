"""Exact Hamming search over packed binary codes: no SQL, no HTTP."""
