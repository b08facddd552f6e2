"""Names under which signatures of pixels are stored; they are independent of models."""

from typing import Final

from app.domain.colours import COLOUR_MODEL
from app.domain.perceptual import PERCEPTUAL_MODEL

SIGNATURES: Final = (PERCEPTUAL_MODEL, COLOUR_MODEL)
