"""Encoders, one per file: pictures (n, S, S, 3) uint8 to features (n, d) float32, with pixel normalisation."""
