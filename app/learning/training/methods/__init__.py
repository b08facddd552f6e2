"""Hash methods, one a file: what they learn from prepared features is a module from (n, d) to y (n, bits)."""
