"""Hash methods, one per file: each fits a module from prepared features (n, d) to y (n, bits)."""
