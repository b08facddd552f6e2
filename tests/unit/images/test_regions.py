"""The content of a picture and the windows of it that a search tries."""

import numpy as np
import pytest

from app.domain.variants import WHOLE, Region
from app.images.regions import MAX_REGIONS, content_of, cut, regions_of

NOISE = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)


def framed(top, left, ground, size=(200, 160)):
    made = np.full((*size, 3), ground, np.uint8)
    made[top : top + 60, left : left + 80] = NOISE
    return made


@pytest.mark.parametrize("ground", [0, 127, 255])
@pytest.mark.parametrize(("top", "left"), [(0, 0), (70, 40), (140, 80)])
def test_even_borders_are_cut_off(ground, top, left):
    pixels = framed(top, left, ground)

    assert np.array_equal(cut(pixels, content_of(pixels)), NOISE)


def test_strips_between_even_bands_are_cut_off():
    pixels = framed(70, 40, 0)
    pixels[5:12, 10:60] = 200
    pixels[190:196, 30:120] = 255

    assert np.array_equal(cut(pixels, content_of(pixels)), NOISE)


def test_slightly_uneven_borders_are_cut_off_too():
    pixels = framed(70, 40, 120)
    border = np.random.default_rng(1).integers(0, 8, pixels.shape, np.uint8)
    pixels[(pixels == 120).all(axis=2)] += border[(pixels == 120).all(axis=2)]

    assert np.array_equal(cut(pixels, content_of(pixels)), NOISE)


@pytest.mark.parametrize("column", [200, 203, 251, 279])
def test_one_differing_pixel_makes_a_row_uneven_wherever_it_is(column):
    pixels = np.full((300, 400, 3), 127, np.uint8)
    pixels[100:160, 200:280] = NOISE
    pixels[90:100, column] = 255

    assert content_of(pixels).y == 90 / 300


@pytest.mark.parametrize(
    "pixels", [NOISE, np.full((50, 50, 3), 9, np.uint8), framed(0, 0, 0, (1200, 900)), NOISE[:5, :5]]
)
def test_without_borders_or_with_little_inside_it_is_the_whole(pixels):
    assert content_of(pixels) == WHOLE


def test_the_whole_comes_first_and_windows_follow():
    regions = regions_of(framed(70, 40, 0))

    assert regions[0] == WHOLE
    assert regions[1] == Region(0.25, 0.35, 0.5, 0.3)
    assert len(regions) == MAX_REGIONS
    assert len(set(regions)) == len(regions)


def test_windows_of_tiny_pictures_are_left_out():
    assert regions_of(NOISE[:17, :17]) == (WHOLE,)


def test_a_region_of_a_part_is_converted_to_the_whole():
    assert Region(0.5, 0, 0.5, 1).within(Region(0.2, 0.4, 0.4, 0.2)) == Region(0.4, 0.4, 0.2, 0.2)
