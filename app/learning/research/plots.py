"""Plots of the report as SVG text."""

import io
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from app.learning.research.autoencoder import SHOWN

# Text stays text and ids are the same in every run, so that a report changes only where figures do.
mpl.rcParams["svg.fonttype"] = "none"
mpl.rcParams["svg.hashsalt"] = "lookalike"


def loss_curves(cells: list[dict[str, Any]]) -> str:
    """Terms of the loss and number of distinct codes, by epoch, one line a run."""
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    axes = figure.subplots(1, 3)
    for cell in cells:
        name = f"{cell['collection']} {cell['reading']} {cell['bits']}"
        terms = cell["history"]["terms"]
        for axis, term in zip(axes[:2], ("reconstruction", "quantisation"), strict=True):
            if term in terms[0]:
                axis.plot(range(1, len(terms) + 1), [epoch[term] for epoch in terms], label=name, marker=".")
        axes[2].plot(range(1, len(terms) + 1), cell["history"]["distinct"], label=name, marker=".")
    for axis, title in zip(
        axes, ("reconstruction", "quantisation (weighted)", "distinct codes of 2,000"), strict=True
    ):
        axis.set(title=title, xlabel="epoch", yscale="log")
    _legend(axes[2])
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


def retrieval_curves(cells: list[dict[str, Any]]) -> str:
    """Precision against recall, and P@K against K, one line per set of codes."""
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for cell in cells:
        codes = cell["codes"]
        name = f"{cell['collection']} {cell.get('method') or cell['reading']} {cell['bits']}"
        left.plot(codes["recall_curve"], codes["precision_curve"], label=name)
        points = {int(k): p for k, p in codes["precision_at"].items()}
        right.plot(list(points), list(points.values()), label=name, marker=".")
    left.set(xlabel="recall", ylabel="precision", title="precision and recall by distance")
    right.set(xlabel="K", ylabel="P@K", xscale="log", title="precision of the first K")
    _legend(right)
    return _svg(figure)


def bit_balance(cells: list[dict[str, Any]]) -> str:
    """Balance, correlation and collisions, one group of bars per set of codes."""
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    axes = figure.subplots(1, 3)
    names = [f"{c['collection']} {c.get('method') or c['reading']} {c['bits']}" for c in cells]
    for axis, measure in zip(axes, ("balance", "correlation", "collisions"), strict=True):
        axis.barh(names, [cell["codes"]["bits"][measure] for cell in cells])
        axis.set(title=measure, xlim=(0, 1))
        axis.tick_params(axis="y", labelsize=6, labelleft=axis is axes[0])
    return _svg(figure)


def _legend(axis: Axes) -> None:
    """Add a legend if there are lines."""
    if axis.get_legend_handles_labels()[0]:
        axis.legend(fontsize=6)


def _svg(figure: Figure) -> str:
    written = io.StringIO()
    figure.savefig(written, format="svg", metadata={"Date": None})
    text = written.getvalue()
    return text[text.index("<svg") :]
