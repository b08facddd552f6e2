"""Signatures: what is stored of a picture's pixels whatever the model, as codes of models with these names."""

from typing import Final

from app.domain.colours import COLOUR_MODEL
from app.domain.perceptual import PERCEPTUAL_MODEL

SIGNATURES: Final = (PERCEPTUAL_MODEL, COLOUR_MODEL)
