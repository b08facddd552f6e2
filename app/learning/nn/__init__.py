"""Torch modules: encoders, the decoder, hash layers and losses."""
