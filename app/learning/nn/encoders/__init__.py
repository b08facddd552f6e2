"""Encoders, one a file: pictures (n, S, S, 3) uint8 to features (n, d) float32, normalisation included."""
