"""The name under which colour signatures are stored like the codes of a model."""

from typing import Final

COLOUR_MODEL: Final = "colour:oklab64"
"""Takes the place of a model's name in stored codes. Signatures of other shades need another name."""
COLOUR_BYTES: Final = 64
"""Length of a signature: one byte for each shade."""
