"""Bytes to safe pixels, and where the bytes of pictures live."""
