"""Naming the colour that a picture shows most."""

import pytest
from PIL import Image

from tools.sample_gallery.colours import dominant_colour, hsv, mix, scaled


@pytest.mark.parametrize(
    ("rgb", "name"),
    [
        ((220, 20, 20), "red"),
        ((250, 140, 20), "orange"),
        ((245, 225, 40), "yellow"),
        ((40, 160, 50), "green"),
        ((40, 200, 200), "turquoise"),
        ((40, 80, 220), "blue"),
        ((140, 50, 220), "purple"),
        ((240, 90, 180), "pink"),
        ((110, 70, 45), "brown"),
        ((8, 8, 10), "black"),
        ((128, 128, 130), "grey"),
        ((250, 250, 250), "white"),
    ],
)
def test_a_plain_picture_is_named_by_its_colour(rgb, name):
    assert dominant_colour(Image.new("RGB", (40, 40), rgb)) == name


def test_a_vivid_object_outweighs_a_pale_wall():
    picture = Image.new("RGB", (40, 40), (200, 200, 200))
    picture.paste((230, 10, 10), (0, 0, 40, 18))

    assert dominant_colour(picture) == "red"


def test_mixing_and_scaling_stay_within_the_cube():
    assert mix((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), 0.25) == (0.25, 0.25, 0.25)
    assert scaled((0.5, 0.8, 0.0), 2) == (1.0, 1.0, 0.0)
    assert hsv(1.5, 2.0, -1.0) == hsv(0.5, 1.0, 0.0)
