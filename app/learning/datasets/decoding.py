"""Decode a training picture as the service decodes an upload: first frame, upright, RGB, long side ≤ 512."""

import io
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

LONG_SIDE: Final = 512


def working_picture(content: bytes) -> NDArray[np.uint8]:
    """Decode one picture, (H, W, 3) uint8."""
    with Image.open(io.BytesIO(content)) as opened:
        opened.draft("RGB", (LONG_SIDE, LONG_SIDE))
        picture = ImageOps.exif_transpose(opened).convert("RGB")
    if max(picture.size) > LONG_SIDE:
        picture.thumbnail((LONG_SIDE, LONG_SIDE), Image.Resampling.BILINEAR)
    return np.asarray(picture)
