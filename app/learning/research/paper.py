"""Run Tables I to V and write the report (``lookalike research paper``); resumable cell by cell."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.learning.research import plots
from app.learning.research.report import write_report
from app.learning.research.robustness import robustness_table
from app.learning.research.settings import PaperSettings
from app.learning.research.table import ReportTable
from app.learning.research.table1_retrieval import retrieval_table
from app.learning.research.table2_cross_domain import cross_domain_table
from app.learning.research.table3_time import time_table
from app.learning.research.table4_labels import labels_table
from app.learning.research.table5_ablation import ablation_table
from app.learning.research.workspace import Workspace

log = logging.getLogger(__name__)

HEADING = "The paper, measured"
QUICK = PaperSettings(epochs=2, bits=(16, 32, 64))
QUICK_GALLERY = 1000

Experiment = Callable[[Workspace, PaperSettings], ReportTable]
EXPERIMENTS: tuple[Experiment, ...] = (
    retrieval_table,
    cross_domain_table,
    time_table,
    labels_table,
    ablation_table,
    robustness_table,
)


def run_paper(
    data_dir: Path,
    out_dir: Path,
    *,
    quick: bool = False,
    epochs: int | None = None,
    seeds: int = 1,
    most: int | None = None,
    only_finished: bool = False,
) -> Path:
    """Run every unfinished experiment of ``out_dir``, and write the report.

    Args:
        data_dir: Folder with the collections.
        out_dir: Results, checkpoints and cached features; the report is written here too. A second run with
            more epochs or seeds computes only what is missing.
        quick: Use a thousand gallery pictures and two epochs, to check everything within minutes.
        epochs: Epochs of the paper's network; the paper's 100 by default.
        seeds: Number of seeds that Table I is averaged over.
        most: Limit on gallery pictures per collection; no limit by default.
        only_finished: Compute nothing and report the finished results.

    Returns:
        The path of report.md.
    """
    settings = replace(QUICK if quick else PaperSettings(), seeds=tuple(range(seeds)))
    if epochs is not None:
        settings = replace(settings, epochs=epochs)
    workspace = Workspace(
        out_dir, data_dir, most or (QUICK_GALLERY if quick else None), only_finished=only_finished
    )
    return run_tables(workspace, settings)


def run_tables(workspace: Workspace, settings: PaperSettings) -> Path:
    """Run all experiments, computing missing cells, and write the report."""
    tables = []
    for experiment in EXPERIMENTS:
        log.info("running %s", experiment.__name__)
        tables.append(experiment(workspace, settings))
    write_report(workspace.folder, HEADING, _opening(workspace, settings), tables, _plots(tables))
    return workspace.folder / "report.md"


def _opening(workspace: Workspace, settings: PaperSettings) -> str:
    protocols = [workspace.material(name).protocol() for name in settings.collections]
    seeds = ", ".join(map(str, settings.seeds))
    opening = (
        f"Run with {settings.epochs} epochs at most for the paper's network, {settings.method_epochs} for "
        f"hash layers on features, seeds {seeds}, pretrained encoder {settings.encoder}. mAP is over the "
        "full ranking and expected over the order of equals. Lines in italics are the paper's claims; it gives "
        "neither λ, channels, d, splits, tie rule nor depth. `lookalike research paper` goes on from here with "
        "more `--epochs` or `--seeds`, or without `--most`, and runs whatever says `not run`."
    )
    described = [
        f"{p.collection}: {p.gallery:,} in the gallery, {p.queries:,} queries ({p.split}); "
        f"{p.queries_in_gallery} queries are byte for byte in the gallery; sha256 of the gallery "
        f"{p.gallery_sha256[:16]}…, of the queries {p.queries_sha256[:16]}…; the split's seed: {p.split_seed}"
        for p in protocols
    ]
    return "\n\n".join([opening, *described])


def _plots(tables: list[ReportTable]) -> dict[str, str]:
    cells: list[dict[str, Any]] = [cell for cell in tables[0].cells if cell]
    networks = [cell for cell in cells if "reading" in cell]
    claimed = [cell for cell in cells if cell["bits"] in (32, 64)]
    shown = {
        "Both terms of the loss": plots.loss_curves(networks),
        "Precision, recall, P@K": plots.retrieval_curves(claimed),
        "Use of the bits": plots.bit_balance(claimed),
    }
    for cell in networks:
        if cell["bits"] == 32:
            shown[f"Reconstructions: {cell['collection']}, {cell['reading']}"] = plots.reconstructions(cell)
    return shown
