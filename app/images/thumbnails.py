"""Small versions of pictures for pages."""

import io
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

THUMBNAIL_MEDIA_TYPE: Final = "image/webp"
_QUALITY: Final = 80


def make_thumbnail(pixels: NDArray[np.uint8], size: int) -> bytes:
    """A picture that fits ``size`` × ``size`` pixels, as WebP; a smaller one stays as large as it is.

    Args:
        pixels: A working picture, shape (H, W, 3), uint8.
        size: Longest side in pixels, 1 to 512.
    """
    picture = Image.fromarray(pixels)
    picture.thumbnail((size, size), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    picture.save(content, "WEBP", quality=_QUALITY, method=2)
    return content.getvalue()
