"""Orientations are those that EXIF readers know."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from app.images.orientations import turned


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_as_pillow_turns_a_file_of_that_orientation(orientation):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(file, "PNG", exif=exif)

    expected = np.asarray(ImageOps.exif_transpose(Image.open(file)))

    result = turned(pixels, orientation)
    assert np.array_equal(result, expected)
    assert result.flags.c_contiguous
