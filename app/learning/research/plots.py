"""Plots of the report as SVG text."""

import io
from collections.abc import Iterator, Sequence
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from app.learning.nn.autoencoder import LossReading
from app.learning.research.autoencoder import SHOWN

# Text stays text and ids are the same in every run, so that a report changes only where figures do.
mpl.rcParams["svg.fonttype"] = "none"
mpl.rcParams["svg.hashsalt"] = "lookalike"

MAX_LINES: Final = 6
"""Largest number of lines of a panel that a reader can tell apart."""
PICTURE_VALUES: Final = 32 * 32 * 3
BIT_MEASURES: Final = {
    "balance": "balance (0: set in half)",
    "correlation": "mean correlation of two bits",
    "collisions": "pictures that share a code",
}
"""Axis names by measure of ``BitUse``."""


def panels_of(cells: Sequence[dict[str, Any]]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Split cells into the contents of figures: one collection each, at most ``MAX_LINES`` cells.

    Yields:
        A title and the cells.
    """
    for collection in dict.fromkeys(cell["collection"] for cell in cells):
        own = [cell for cell in cells if cell["collection"] == collection]
        parts = [own[start : start + MAX_LINES] for start in range(0, len(own), MAX_LINES)]
        for number, part in enumerate(parts, 1):
            yield (collection if len(parts) == 1 else f"{collection}, {number} of {len(parts)}"), part


def loss_curves(cells: Sequence[dict[str, Any]]) -> str:
    """Errors summed over a picture, and number of distinct codes, by epoch; one line for each run."""
    figure = Figure(figsize=(11, 3.2), layout="constrained")
    axes = figure.subplots(1, 3)
    for cell in cells:
        terms = _sums(cell)
        epochs = range(1, len(terms) + 1)
        for axis, term in zip(axes[:2], ("reconstruction", "quantisation"), strict=True):
            if term in terms[0]:
                axis.plot(epochs, [epoch[term] for epoch in terms], label=_label(cell), marker=".")
        axes[2].plot(epochs, cell["history"]["distinct"], label=_label(cell), marker=".")
    names = ("reconstruction error of a picture", "quantisation error of a code × λ", "distinct codes of 2,000")
    for axis, name in zip(axes, names, strict=True):
        axis.set(xlabel="epoch", ylabel=name, yscale="log")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    _legend(figure, axes[2])
    return _svg(figure)


def reconstructions(cell: dict[str, Any]) -> str:
    """Pictures above what the decoder made of them."""
    figure = Figure(figsize=(8, 2.3), layout="constrained")
    axes = figure.subplots(2, SHOWN)
    for i in range(SHOWN):
        axes[0][i].imshow(np.array(cell["originals"][i], dtype=np.uint8))
        axes[1][i].imshow(np.array(cell["rebuilt"][i], dtype=np.uint8).transpose(1, 2, 0))
        for axis in (axes[0][i], axes[1][i]):
            axis.set_axis_off()
    figure.suptitle(f"{cell['collection']}, {cell['reading']}, {cell['bits']} bits", fontsize=8)
    return _svg(figure)


def retrieval_curves(cells: Sequence[dict[str, Any]]) -> str:
    """Precision against recall, and P@K against K, one line for each set of codes of one collection."""
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for cell in cells:
        codes = cell["codes"]
        left.plot(codes["recall_curve"], codes["precision_curve"], label=_label(cell))
        points = {int(k): p for k, p in codes["precision_at"].items()}
        right.plot(list(points), list(points.values()), label=_label(cell), marker=".")
    left.set(xlabel="recall", ylabel="precision", title="all pictures up to a distance")
    right.set(xlabel="K", ylabel="P@K", xscale="log", title="the first K pictures")
    _legend(figure, right)
    return _svg(figure)


def bit_balance(cells: Sequence[dict[str, Any]]) -> str:
    """Balance, correlation and collisions, one group of bars for each set of codes of one collection."""
    figure = Figure(figsize=(11, 0.9 + 0.3 * len(cells)), layout="constrained")
    axes = figure.subplots(1, 3, sharey=True)
    names = [_label(cell) for cell in cells]
    for axis, (measure, meaning) in zip(axes, BIT_MEASURES.items(), strict=True):
        axis.barh(names, [cell["codes"]["bits"][measure] for cell in cells])
        axis.set(xlabel=meaning, xlim=(0, 1))
        axis.tick_params(axis="y", labelsize=8)
    axes[0].set_ylabel("codes")
    return _svg(figure)


def _label(cell: dict[str, Any]) -> str:
    return f"{cell.get('label') or cell.get('method') or cell['reading']}, {cell['bits']} bits"


def _sums(cell: dict[str, Any]) -> list[dict[str, float]]:
    """Loss terms by epoch; means are scaled so that reconstruction is a sum over the values of a picture."""
    scale = PICTURE_VALUES if cell["reading"] == LossReading.FROM_CODES else 1
    return [{term: scale * value for term, value in epoch.items()} for epoch in cell["history"]["terms"]]


def _legend(figure: Figure, axis: Axes) -> None:
    """Add one legend to the right of all panels if there are lines."""
    handles, labels = axis.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside right center", fontsize=8)


def _svg(figure: Figure) -> str:
    written = io.StringIO()
    figure.savefig(written, format="svg", metadata={"Date": None})
    text = written.getvalue()
    return text[text.index("<svg") :]
