"""Blank pictures, the ground under transparency, and the frame that stands for an animation."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from app.images.blank import is_blank
from app.images.decoding import decode_in_process
from app.images.sniff import Limits
from tests.fixtures.pictures import encoded, photo

LIMITS = Limits()


def decode(content: bytes):
    return decode_in_process(content, LIMITS)


def marks(colour: str) -> Image.Image:
    picture = Image.new("RGBA", (200, 120), (0, 0, 0, 0))
    ImageDraw.Draw(picture).rectangle((20, 20, 90, 100), fill=colour)
    return picture


@pytest.mark.parametrize("level", [0, 60, 255])
def test_uniform_pictures_are_blank_noise_and_dust_or_not(level):
    noise = np.random.default_rng(0).normal(level, 6, (300, 200, 3)).clip(0, 255).astype(np.uint8)
    noise[10:14, 10:14] = 255 - level

    assert is_blank(noise)
    assert is_blank(np.full((1, 1, 3), level, np.uint8))
    assert not is_blank(np.asarray(photo()))
    assert decode(encoded(Image.new("RGB", (50, 40), (level,) * 3), "PNG")).is_blank


@pytest.mark.parametrize("colour", ["white", "black", "ivory"])
def test_marks_on_a_transparent_ground_are_seen(colour):
    for kind, options in (("PNG", {}), ("WEBP", {"lossless": True})):
        picture = decode(encoded(marks(colour), kind, **options))
        assert not picture.is_blank
        # White is the ground unless nothing would show on it.
        assert picture.pixels[0, 0].tolist() == ([255] * 3 if colour == "black" else [0] * 3)


def test_a_wholly_transparent_picture_is_blank():
    assert decode(encoded(Image.new("RGBA", (60, 40), (9, 9, 9, 0)), "PNG")).is_blank


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "AVIF"])
def test_an_animation_that_fades_in_is_shown_by_the_frame_that_shows_most(kind):
    shown = photo()
    frames = [Image.blend(Image.new("RGB", shown.size), shown, share) for share in (0, 0, 0.3, 0.7, 1.0)]
    options = {"lossless": True} if kind == "WEBP" else {}

    picture = decode(encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=80, **options))

    assert not picture.is_blank
    assert np.abs(picture.pixels.astype(int) - np.asarray(shown)).mean() < 8


def test_a_black_animation_stays_blank():
    frames = [Image.new("RGB", (60, 40), (i, i, i)) for i in range(4)]

    assert decode(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])).is_blank
