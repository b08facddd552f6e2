"""Thumbnails fit their size and are the same on each run."""

import io

import numpy as np
import pytest
from PIL import Image

from app.images.thumbnails import THUMBNAIL_MEDIA_TYPE, make_thumbnail
from tests.fixtures.pictures import photo


@pytest.mark.parametrize("size", [64, 128, 256, 512])
def test_a_thumbnail_fits_its_size(size):
    content = make_thumbnail(np.asarray(photo(512, 300)), size)

    opened = Image.open(io.BytesIO(content))
    assert opened.get_format_mimetype() == THUMBNAIL_MEDIA_TYPE
    assert max(opened.size) == size
    assert content == make_thumbnail(np.asarray(photo(512, 300)), size)


def test_a_small_picture_is_not_blown_up():
    assert Image.open(io.BytesIO(make_thumbnail(np.asarray(photo(20, 10)), 256))).size == (20, 10)


def test_a_line_of_pixels_has_a_thumbnail():
    assert Image.open(io.BytesIO(make_thumbnail(np.asarray(photo(512, 1)), 64))).size == (64, 1)
