"""What a decoder is handed of a file."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Samples:
    """Samples that were read without a decoder, as the file declares them."""

    values: NDArray[np.generic]
    """Shape (H, W, bands), unsigned integers or floats."""
    mode: str
    """Pillow's mode of a picture with these bands, such as ``RGBA``."""
    bits: int
    """Declared bits of a sample."""


@dataclass(frozen=True, slots=True)
class Source:
    """A picture's file, reduced to what is needed to show it."""

    content: bytes
    """A file of the same format that holds the pixels and little else."""
    orientation: int = 1
    """EXIF number of how the stored pixels are turned."""
    icc_profile: bytes | None = None
    gamma: float | None = None
    """Exponent of the encoding where the file declares one and no colour space, as PNG can."""
    has_plain_inks: bool = False
    """Whether a CMYK JPEG stores ink as it is; Adobe's programs store it inverted."""
    is_negative: bool = False
    """Whether deep samples count from white to black."""
    bits: int | None = None
    """Declared bits of a deep sample."""
    samples: Samples | None = None
    """Where no decoder reads this sample format."""
    is_unended: bool = False
    """Whether a JPEG's end marker was added; what precedes it must prove to be whole."""
