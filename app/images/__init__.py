"""Decode untrusted files to pixels safely, and store the bytes of pictures."""
