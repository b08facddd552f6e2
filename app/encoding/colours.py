"""Colour signatures: the shares of 64 shades in a picture, as 64 bytes.

The middle of a picture counts more than its edges, and vivid colours more than greys, since people remember the
colour of the thing shown rather than that of the road under it.
"""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.domain.colours import COLOUR_BYTES

_SIDE: Final = 48
"""Least side in pixels of the reduced picture whose colours count; smaller pictures are not reduced."""
_LEVELS: Final = 16
"""Levels of each channel that the table of shades distinguishes."""
_GREYS: Final = np.linspace(0.0, 1.0, 6)
"""Lightness of the shades without a hue."""
_HUES: Final = (
    # Chroma, number of hues, lightness of each.
    (0.07, 8, (0.4, 0.75)),
    (0.16, 14, (0.35, 0.55, 0.8)),
)
_SPREAD: Final = 0.08
"""Distance in OKLab within which a colour counts for several shades; near colours have near signatures."""
_GREY_WEIGHT: Final = 0.25
"""Weight of a grey pixel; one whose chroma is ``_VIVID`` weighs 1 more."""
_VIVID: Final = 0.1
_CENTRE: Final = 0.375
"""Distance from the middle, as a share of a side, at which a pixel weighs 1 / e of one in the middle."""
_TO_LMS: Final = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_LAB: Final = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def colour_signature(pixels: NDArray[np.uint8]) -> bytes:
    """Return the square root of each shade's share, from 0 to 127: 64 signed bytes.

    The cosine of two signatures is the Bhattacharyya coefficient of their shares.

    Args:
        pixels: Shape (H, W, 3), uint8, RGB.
    """
    # Means of square blocks: noise would spread one colour over several shades.
    reduced = np.asarray(Image.fromarray(pixels).reduce(max(1, min(pixels.shape[:2]) // _SIDE)))
    levels = (reduced >> 4).astype(np.intp)
    cells = (levels[..., 0] * _LEVELS + levels[..., 1]) * _LEVELS + levels[..., 2]
    weights = np.multiply.outer(*(_centred(side) for side in cells.shape))
    counts = np.bincount(cells.ravel(), weights.ravel(), _LEVELS**3).astype(np.float32)
    shares = counts @ _shades_of_cells()
    signature: bytes = np.round(np.sqrt(shares / shares.sum()) * 127).astype(np.int8).tobytes()
    return signature


def _centred(side: int) -> NDArray[np.float64]:
    """Return the weight of each of ``side`` pixels, most in the middle."""
    from_middle = (np.arange(side) + 0.5) / side - 0.5
    weights: NDArray[np.float64] = np.exp(-((from_middle / _CENTRE) ** 2))
    return weights


@cache
def _shades_of_cells() -> NDArray[np.float32]:
    """Return how much each cell of the RGB cube counts for each shade, shape (4096, 64)."""
    middle = (np.arange(_LEVELS) + 0.5) / _LEVELS
    rgb = np.stack(np.meshgrid(middle, middle, middle, indexing="ij"), axis=-1).reshape(-1, 3)
    lab = _oklab(rgb)
    distances = np.linalg.norm(lab[:, np.newaxis] - _shades(), axis=2)
    near = np.exp(-((distances / _SPREAD) ** 2))
    weights = _GREY_WEIGHT + np.hypot(lab[:, 1], lab[:, 2]) / _VIVID
    shades: NDArray[np.float32] = (near * (weights / near.sum(axis=1))[:, np.newaxis]).astype(np.float32)
    return shades


def _shades() -> NDArray[np.float64]:
    """Return the shades in OKLab, shape (64, 3)."""
    shades = [(lightness, 0.0, 0.0) for lightness in _GREYS]
    for chroma, hues, lightnesses in _HUES:
        angles = np.arange(hues) * (2 * np.pi / hues)
        shades += [
            (lightness, chroma * np.cos(angle), chroma * np.sin(angle))
            for lightness in lightnesses
            for angle in angles
        ]
    assert len(shades) == COLOUR_BYTES  # noqa: S101 - a slip in the constants above
    return np.array(shades)


def _oklab(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convert sRGB values of 0 to 1, shape (n, 3), to OKLab (Ottosson, 2020)."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    lab: NDArray[np.float64] = np.cbrt(linear @ _TO_LMS.T) @ _TO_LAB.T
    return lab
