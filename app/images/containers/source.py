"""The input of a decoder."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Samples:
    """Raw samples that were read without a decoder."""

    values: NDArray[np.generic]
    """Shape (H, W, bands), unsigned integers or floats."""
    mode: str
    """Pillow's mode for these bands, such as ``RGBA``."""
    bits: int
    """Declared bits per sample."""


@dataclass(frozen=True, slots=True)
class Source:
    """A picture file, reduced to the parts that affect how it looks."""

    content: bytes
    """A file of the same format with the pixel data and little else."""
    orientation: int = 1
    """EXIF orientation of the stored pixels."""
    icc_profile: bytes | None = None
    gamma: float | None = None
    """Gamma if the file declares one without a colour space, as PNG can."""
    has_plain_inks: bool = False
    """Whether a CMYK JPEG stores ink values directly; Adobe programs store them inverted."""
    is_negative: bool = False
    """Whether the maximum of deep samples is black."""
    bits: int | None = None
    """Declared bits per deep sample."""
    samples: Samples | None = None
    """The samples, if no decoder supports their format."""
    is_unended: bool = False
    """Whether a missing JPEG end marker was added; then the data must be checked for completeness."""
