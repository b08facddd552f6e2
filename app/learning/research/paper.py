"""Run Tables I to V and write the report (``lookalike research paper``); resumable cell by cell."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from app.domain.codes import check_bits
from app.learning.nn.autoencoder import LossReading
from app.learning.research import plots
from app.learning.research.files import Files
from app.learning.research.readings import BITS, readings_table
from app.learning.research.report import write_report
from app.learning.research.robustness import robustness_table
from app.learning.research.settings import PaperSettings
from app.learning.research.table import NOT_RUN, ReportTable
from app.learning.research.table1_retrieval import retrieval_table
from app.learning.research.table2_cross_domain import cross_domain_table
from app.learning.research.table3_time import time_table
from app.learning.research.table4_labels import labels_table
from app.learning.research.table5_ablation import ablation_table
from app.learning.research.wordnet import wordnet_table
from app.learning.research.workspace import Part, Workspace

log = logging.getLogger(__name__)

HEADING = "The paper, measured"
QUICK = PaperSettings(epochs=2, bits=(16, 32, 64), label_draws=2)
QUICK_GALLERY = 1000
WAIT_S = 10.0
"""Seconds between two looks for the results of other processes."""

Experiment = Callable[[Workspace, PaperSettings], ReportTable]
EXPERIMENTS: tuple[Experiment, ...] = (
    readings_table,
    retrieval_table,
    cross_domain_table,
    time_table,
    labels_table,
    ablation_table,
    wordnet_table,
    robustness_table,
)


@dataclass(frozen=True, slots=True)
class PaperRun:
    """Options of a run; a second run with more pictures, epochs or seeds computes only what is missing."""

    quick: bool = False
    """Use a thousand gallery pictures and two epochs, to check everything within minutes."""
    epochs: int | None = None
    """Epochs of the paper's network; the paper's 100 by default."""
    seeds: int = 3
    """Number of seeds that figures are averaged over."""
    pictures: int | None = None
    """Limit on gallery pictures per collection; no limit by default."""
    bits: tuple[int, ...] = ()
    """Code lengths of Tables I and II; 16 to 256 by default."""
    readings: tuple[LossReading, ...] = ()
    """Readings of the paper's loss; all by default."""
    quantisation_weight: float | None = None
    """λ; .1 by default."""
    label_draws: int | None = None
    """Draws of labelled pictures in Table IV; 10 by default."""
    parts: tuple[Part, ...] = tuple(Part)
    """Parts to compute; results of the others are reported if they are finished."""

    @property
    def settings(self) -> PaperSettings:
        """Settings of the experiments.

        Raises:
            ValueError: A code length is not a multiple of 8.
        """
        for bits in self.bits:
            check_bits(bits)
        given: dict[str, Any] = {
            "epochs": self.epochs,
            "bits": self.bits,
            "readings": self.readings,
            "quantisation_weight": self.quantisation_weight,
            "label_draws": self.label_draws,
        }
        base = QUICK if self.quick else PaperSettings()
        changed = {name: value for name, value in given.items() if value not in (None, ())}
        return replace(base, seeds=tuple(range(self.seeds)), **changed)


def parts_called(names: Iterable[str]) -> tuple[Part, ...]:
    """Return parts by name, all for no names.

    Raises:
        ValueError: There is no such part.
    """
    try:
        return tuple(Part(name) for name in names) or tuple(Part)
    except ValueError as error:
        raise ValueError(f"{error}; parts are {', '.join(Part)}") from error


def run_paper(data_dir: Path, out_dir: Path, options: PaperRun) -> Path:
    """Run every unfinished experiment of ``out_dir``, and write the report.

    Args:
        data_dir: Folder with the collections.
        out_dir: Results, checkpoints and cached features; the report is written here too.
        options: Size of the run.

    Returns:
        The path of report.md.

    Raises:
        ValueError: A code length is not a multiple of 8.
        FileNotFoundError: A collection is not in ``data_dir``.
    """
    settings = options.settings
    most = options.pictures or (QUICK_GALLERY if options.quick else None)
    workspace = Workspace(out_dir, data_dir, most, frozenset(options.parts))
    return run_tables(workspace, settings)


def run_tables(workspace: Workspace, settings: PaperSettings) -> Path:
    """Run all experiments, computing missing cells, and write the report."""
    tables: list[ReportTable] = []
    for stage in dict.fromkeys(_stages(settings)) if workspace.parts else [settings]:
        log.info("running seeds %s with code lengths %s", stage.seeds, stage.bits)
        tables = [experiment(workspace, stage) for experiment in EXPERIMENTS]
    while workspace.in_progress:
        log.info("waiting for %s cells that other processes are computing", len(workspace.in_progress))
        time.sleep(WAIT_S)
        workspace.in_progress.clear()
        tables = [experiment(workspace, settings) for experiment in EXPERIMENTS]
    noted = [_with_note(table, workspace, settings) for table in tables]
    write_report(workspace.folder, HEADING, _opening(workspace, settings), noted, _plots(tables))
    return workspace.folder / "report.md"


def _stages(settings: PaperSettings) -> Iterator[PaperSettings]:
    """Order the work so that a run that is stopped early has the first seed at the paper's longest codes."""
    longest = tuple(bits for bits in settings.bits if bits in BITS.values()) or settings.bits
    yield replace(settings, seeds=settings.seeds[:1], bits=longest)
    yield replace(settings, bits=longest)
    yield replace(settings, seeds=settings.seeds[:1])
    yield settings


def _files(workspace: Workspace, collection: str) -> Files:
    gallery = workspace.material(collection).split.gallery
    return workspace.remembered(f"files-{collection}", lambda: Files.of(gallery))


def _with_note(table: ReportTable, workspace: Workspace, settings: PaperSettings) -> ReportTable:
    """Say beside claims which pictures were changed since their publication."""
    changes = {name: _files(workspace, name).changes for name in settings.collections}
    changed = [f"{name} ({what})" for name, what in changes.items() if what]
    if not changed or not any(row.claim for row in table.rows):
        return table
    note = f" The claims are about the published pictures; changed here: {', '.join(changed)}."
    return replace(table, words=table.words + note)


def _opening(workspace: Workspace, settings: PaperSettings) -> str:
    protocols = [workspace.material(name).protocol() for name in settings.collections]
    seeds = ", ".join(map(str, settings.seeds))
    opening = (
        f"Run with at most {settings.epochs} epochs of the paper's network, {settings.method_epochs} of hash "
        f"layers on features, seeds {seeds}, {settings.label_draws} draws of few labels, pretrained encoder "
        f"{settings.encoder}. mAP is over the full ranking and expected over the order of ties. Intervals "
        "cover 95 % of the bootstrap over queries, and over runs where a row has several. "
        "The column `runs` counts the finished seeds or draws of a row, and has the standard deviation of "
        "their mAP. Lines in italics are the paper's claims; it gives neither λ, channels, d, splits, tie "
        "rule nor depth. The sentences below each table are generated from its figures; a difference is one "
        f"only if its interval excludes 0. `{NOT_RUN}` marks results that are missing so far: the same command "
        "computes them."
    )
    described = [
        f"{p.collection}: {p.gallery:,} in the gallery, {p.queries:,} queries ({p.split}); "
        f"{_files(workspace, p.collection)}; "
        f"{p.queries_in_gallery} queries are byte for byte in the gallery; sha256 of the gallery "
        f"{p.gallery_sha256[:16]}…, of the queries {p.queries_sha256[:16]}…; the split's seed: {p.split_seed}"
        for p in protocols
    ]
    return "\n\n".join([opening, *described])


def _plots(tables: list[ReportTable]) -> dict[str, str]:
    networks, methods = ([cell for cell in table.cells if cell] for table in tables[:2])
    networks, methods = ([cell for cell in cells if cell["seed"] == 0] for cells in (networks, methods))
    of_networks, of_methods = ([c for c in cells if c["bits"] in (32, 64)] for cells in (networks, methods))
    shown: dict[str, str] = {}
    for title, draw, cells in (
        ("Both terms of the loss", plots.loss_curves, networks),
        ("Precision, recall and P@K of the paper's network", plots.retrieval_curves, of_networks),
        ("Precision, recall and P@K of hash methods on features", plots.retrieval_curves, of_methods),
        ("Use of the bits by the paper's network", plots.bit_balance, of_networks),
        ("Use of the bits by hash methods on features", plots.bit_balance, of_methods),
    ):
        shown |= {f"{title}: {of}": draw(some) for of, some in plots.panels_of(cells)}
    for cell in networks:
        if cell["collection"] == "cifar10":
            shown[f"Reconstructions: {cell['collection']}, {cell['reading']}"] = plots.reconstructions(cell)
    return shown
