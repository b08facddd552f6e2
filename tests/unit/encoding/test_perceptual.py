"""The perceptual hash is PDQ's, in all orientations; pictures with too little detail have none."""

import io

import numpy as np
import pytest
from PIL import Image

from app.encoding.perceptual import perceptual_hash
from app.images.orientations import turned


def scene(seed, height, width):
    """Discs of random colours."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    pixels = np.zeros((height, width, 3))
    for _ in range(12):
        cy, cx = rng.uniform(0, height), rng.uniform(0, width)
        radius = rng.uniform(0.05, 0.3) * min(height, width)
        pixels[(y - cy) ** 2 + (x - cx) ** 2 < radius * radius] = rng.integers(0, 256, 3)
    return pixels.astype(np.uint8)


@pytest.mark.parametrize(
    ("seed", "height", "width", "reference"),
    [
        (1, 200, 300, "93586d2a946d0ac1469255a928dbab226db1f5d646be86ccf462996d0d7bb5a9"),
        (2, 512, 384, "34eba95aaa1c79fd5381b6eab45aac160dbc6a043bcc1fc292ffaf303418ac16"),
        (3, 97, 61, "11623bc7cc9db9a8ab674c3126e760fe993906c36792331c18c6d96cf6730a97"),
        (4, 480, 480, "b776add63a356e8539a45389bcb6ad9d6a712324590d5eaab4e9211723443f48"),
    ],
)
def test_hashes_are_those_of_the_reference_implementation(seed, height, width, reference):
    """The expected hashes were computed by the PyPI package pdqhash 0.2.8."""
    found = perceptual_hash(scene(seed, height, width)).code_bytes

    differing = int.from_bytes(found, "little") ^ int.from_bytes(bytes.fromhex(reference), "little")
    # The order of sums decides bits at the median.
    assert differing.bit_count() <= 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_each_row_is_the_hash_of_the_picture_in_that_orientation(orientation):
    pixels = scene(5, 210, 301)

    assert np.array_equal(
        perceptual_hash(pixels).codes[orientation - 1], perceptual_hash(turned(pixels, orientation)).code
    )


def test_a_poor_jpeg_has_almost_the_same_hash_and_another_picture_has_not():
    pixels = scene(6, 300, 400)
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, "JPEG", quality=10)
    with Image.open(written) as opened:
        poor = perceptual_hash(np.asarray(opened)).code

    assert np.bitwise_count(poor ^ perceptual_hash(pixels).code).sum() < 20
    assert np.bitwise_count(poor ^ perceptual_hash(scene(7, 300, 400)).code).sum() > 80


@pytest.mark.parametrize("side", [1, 5, 300])
def test_a_picture_with_too_little_detail_has_none(side):
    fade = np.repeat(np.linspace(0, 60, side), side * 3).reshape(side, side, 3).astype(np.uint8)

    assert perceptual_hash(fade) is None
