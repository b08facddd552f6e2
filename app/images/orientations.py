"""The eight rotations and reflections of a picture, numbered as in EXIF."""

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

_TURNS: Final[Mapping[int, Callable[[Pixels], Pixels]]] = {
    1: lambda pixels: pixels,
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90,
}


def turned(pixels: Pixels, orientation: int) -> Pixels:
    """Return the picture as a viewer shows it for an EXIF orientation.

    Args:
        pixels: Shape (H, W, 3), uint8.
        orientation: 1 to 8.

    Returns:
        Shape (H, W, 3), or (W, H, 3) for 5 to 8, C-contiguous.
    """
    return np.ascontiguousarray(_TURNS[orientation](pixels))
