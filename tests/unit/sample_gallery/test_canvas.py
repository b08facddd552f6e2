"""The paint box: noise, outlines, blends and light do what they say."""

import numpy as np
import pytest

from tools.sample_gallery.canvas import (
    SIZE,
    X,
    blend,
    blur,
    curve,
    ellipse,
    flat,
    lookup,
    noise,
    place,
    polygon,
    ramp,
    solid,
    strokes,
)


def test_noise_fills_the_range_from_0_to_1_and_repeats():
    first = noise(np.random.default_rng(5), 4, 4)

    assert (first.min(), first.max()) == (0.0, 1.0)
    assert np.array_equal(first, noise(np.random.default_rng(5), 4, 4))


def test_an_ellipse_covers_its_area():
    assert ellipse(0.5, 0.5, 0.25, 0.2).mean() == pytest.approx(np.pi * 0.25 * 0.2, rel=0.01)


def test_outlines_may_reach_or_lie_outside_the_picture():
    assert polygon([(-1, -1), (0.5, -1), (0.5, 2), (-1, 2)]).mean() == pytest.approx(0.5, abs=0.01)
    assert not polygon([(2, 2), (3, 2), (3, 3)]).any()


def test_strokes_have_their_width():
    line = strokes([([(-0.1, 0.5), (1.1, 0.5)], 0.1)])

    assert line.mean() == pytest.approx(0.1, abs=0.005)


def test_a_blend_changes_the_canvas_only_under_the_mask():
    canvas = flat((0.0, 0.0, 0.0))
    mask = ellipse(0.5, 0.5, 0.2, 0.2)

    blend(canvas, (1.0, 0.5, 0.0), mask)

    assert canvas[SIZE // 2, SIZE // 2].tolist() == [1.0, 0.5, 0.0]
    assert not canvas[mask == 0].any()


def test_an_empty_mask_paints_nothing():
    canvas = flat((0.2, 0.2, 0.2))

    solid(canvas, np.zeros_like(X), (1.0, 1.0, 1.0))
    blend(canvas, (1.0, 1.0, 1.0), np.zeros_like(X))

    assert np.array_equal(canvas, flat((0.2, 0.2, 0.2)))


def test_a_solid_is_brighter_on_the_side_of_the_light():
    canvas = flat((0.0, 0.0, 0.0))

    solid(canvas, ellipse(0.5, 0.5, 0.3, 0.3), (0.5, 0.5, 0.5), light=(-1.0, 0.0, 0.6), gloss=0.0)

    assert canvas[128, 70, 0] > canvas[128, 186, 0] + 0.05


def test_blur_keeps_the_amount_of_light():
    spot = ellipse(0.5, 0.5, 0.1, 0.1)

    assert blur(spot, 0.05).sum() == pytest.approx(spot.sum(), rel=1e-4)


def test_a_ramp_runs_from_its_first_colour_to_its_last():
    row = ramp(np.array([[0.0, 0.5, 1.0, 7.0]]), [(0, 0, 0), (1, 0, 0), (1, 1, 1)])[0]

    assert row == pytest.approx(np.array([[0, 0, 0], [1, 0, 0], [1, 1, 1], [1, 1, 1]]), abs=0.002)


def test_lookup_mirrors_at_the_edges():
    assert lookup(X, [-0.1, 0.1, 1.9, 2.1], [0.5] * 4) == pytest.approx([0.1] * 4, abs=0.005)


def test_a_curve_runs_through_its_knots():
    knots = [(0.0, 0.0), (1.0, 0.2), (0.5, 1.0)]

    assert curve(knots, detail=8)[::8] == pytest.approx(np.array(knots))


def test_an_outline_is_moved_scaled_and_turned():
    moved = place([(1.0, 0.0)], 0.5, 0.5, 0.25, np.pi / 2)

    assert moved == pytest.approx(np.array([[0.5, 0.75]]))
