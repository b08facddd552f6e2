"""Plots of the report, as text."""

import re

import pytest

pytest.importorskip("matplotlib")

from app.learning.research import plots

pytestmark = pytest.mark.torch


def test_a_plot_shows_one_collection_in_at_most_six_lines_over_whole_epochs():
    history = {"terms": [{"reconstruction": 2.0, "quantisation": 1.0}] * 3, "distinct": [5, 6, 7]}
    cells = [
        {"collection": collection, "reading": f"reading {i}", "bits": 32, "history": history}
        for collection in ("cifar10", "caltech101")
        for i in range(8)
    ]

    panels = list(plots.panels_of(cells))
    drawn = plots.loss_curves(panels[0][1])

    assert [(title, len(part)) for title, part in panels] == [
        ("cifar10, 1 of 2", 6), ("cifar10, 2 of 2", 2), ("caltech101, 1 of 2", 6), ("caltech101, 2 of 2", 2),
    ]  # fmt: skip
    assert all(len({cell["collection"] for cell in part}) == 1 for _, part in panels)
    for words in (
        "reading 0, 32 bits",
        "reading 5, 32 bits",
        "epoch",
        "reconstruction error of a picture",
        "distinct codes",
    ):
        assert words in drawn
    epochs = drawn[drawn.index('id="matplotlib.axis_1"') : drawn.index('id="matplotlib.axis_2"')]
    assert re.findall(r">([\d.]+)</text>", epochs) == ["1", "2", "3"]


def test_losses_that_are_means_are_drawn_as_the_sums_of_the_other_readings():
    history = {"terms": [{"reconstruction": 0.01, "quantisation": 0.001}], "distinct": [5]}
    cells = [{"reading": reading, "history": history} for reading in ("from_codes", "algorithm_2")]

    assert [plots._sums(cell)[0]["reconstruction"] for cell in cells] == [pytest.approx(30.72), 0.01]


def test_default_and_tuned_settings_of_a_method_have_lines_of_their_own_name():
    labels = [
        plots._label({"method": "m", "label": f"m, {name}", "bits": 32}) for name in ("defaults", "tuned")
    ]

    assert labels == ["m, defaults, 32 bits", "m, tuned, 32 bits"]
