"""Fit hash layers to the features of a frozen, pretrained encoder."""
