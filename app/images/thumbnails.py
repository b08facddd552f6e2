"""Thumbnails of pictures."""

import io
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

THUMBNAIL_MEDIA_TYPE: Final = "image/webp"
_QUALITY: Final = 80


def make_thumbnail(pixels: NDArray[np.uint8], size: int) -> bytes:
    """Return a WebP of the picture, reduced to fit ``size`` × ``size`` pixels but never enlarged.

    Args:
        pixels: A working picture, shape (H, W, 3), uint8.
        size: Longest side in pixels, 1 to 512.
    """
    picture = Image.fromarray(pixels)
    picture.thumbnail((size, size), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    picture.save(content, "WEBP", quality=_QUALITY, method=2)
    return content.getvalue()
