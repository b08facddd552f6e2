import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.encoding.preprocess import Fit, Preprocessing, Resample, prepare


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    side=st.integers(8, 48),
    fit=st.sampled_from(Fit),
    resample=st.sampled_from(Resample),
)
def test_any_picture_becomes_a_square_of_the_asked_size(height, width, side, fit, resample):
    pixels = np.full((height, width, 3), 200, np.uint8)

    prepared = prepare(pixels, Preprocessing(side, fit, resample))

    assert prepared.shape == (side, side, 3)
    assert prepared.dtype == np.uint8
    assert prepared.flags.c_contiguous


def test_squashing_a_flat_colour_keeps_the_colour():
    prepared = prepare(np.full((10, 90, 3), (9, 80, 200), np.uint8), Preprocessing(16))

    assert (prepared == (9, 80, 200)).all()


def test_letterboxing_keeps_the_proportions_and_fills_the_rest():
    wide = np.full((20, 40, 3), 255, np.uint8)

    prepared = prepare(wide, Preprocessing(16, Fit.LETTERBOX, fill=100))

    assert (prepared[4:12] == 255).all()
    assert (prepared[:4] == 100).all()
    assert (prepared[12:] == 100).all()


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3)),
        np.zeros((0, 4, 3), np.uint8),
    ],
    ids=["grey", "alpha", "float", "empty"],
)
def test_what_is_no_rgb_picture_is_refused(pixels):
    with pytest.raises(ValueError, match="a picture is"):
        prepare(pixels, Preprocessing(8))
