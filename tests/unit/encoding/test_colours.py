"""Colour signatures: near for near colours, however they are arranged."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from app.domain.colours import COLOUR_BYTES
from app.encoding.colours import colour_signature


def bus(colour, *, size=(240, 160)) -> np.ndarray:
    """A coloured bus on a grey road under a pale sky."""
    picture = Image.new("RGB", (240, 160), (200, 216, 230))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 120, 240, 160), fill=(110, 110, 112))
    draw.rectangle((40, 40, 200, 120), fill=colour)
    for x in (55, 95, 135):
        draw.rectangle((x, 55, x + 28, 80), fill=(40, 44, 50))
    for x in (60, 160):
        draw.ellipse((x, 108, x + 28, 136), fill=(20, 20, 20))
    return np.asarray(picture.resize(size))


def apart(first: np.ndarray, second: np.ndarray) -> float:
    a, b = (np.frombuffer(colour_signature(one), np.int8).astype(float) for one in (first, second))
    return 1 - a @ b / np.sqrt((a @ a) * (b @ b))


RED, OTHER_RED, GREEN = (200, 30, 35), (180, 45, 40), (30, 140, 60)


def test_a_signature_is_64_shares_whatever_the_size():
    for size in ((1, 1), (3, 500), (240, 160), (512, 512)):
        signature = np.frombuffer(colour_signature(bus(RED, size=size)), np.int8)
        assert signature.shape == (COLOUR_BYTES,)
        assert signature.min() >= 0
        assert np.linalg.norm(signature) == pytest.approx(127, abs=4)


def test_a_picture_of_another_red_is_nearer_than_one_of_green():
    red = bus(RED)

    assert apart(red, red) == pytest.approx(0, abs=1e-12)
    assert apart(red, bus(OTHER_RED)) < 0.3 * apart(red, bus(GREEN))
    assert apart(red, bus(GREEN)) > 0.2


def test_mirrored_scaled_and_compressed_copies_have_nearly_the_same_signature():
    red = bus(RED)
    poor = io.BytesIO()
    Image.fromarray(red).resize((120, 80)).save(poor, "JPEG", quality=40)
    with Image.open(poor) as opened:
        again = np.asarray(opened.convert("RGB"))

    assert apart(red, red[:, ::-1]) < 0.001
    assert apart(red, again) < 0.03


def test_pictures_without_a_shade_in_common_are_far_apart():
    red, blue = (np.full((64, 64, 3), colour, np.uint8) for colour in ((230, 20, 20), (20, 20, 230)))
    assert apart(red, blue) > 0.95


def test_black_white_and_grey_differ():
    black, grey, white = (np.full((64, 64, 3), level, np.uint8) for level in (0, 128, 255))
    assert min(apart(black, grey), apart(grey, white), apart(black, white)) > 0.9
