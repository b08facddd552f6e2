"""Copy detection: how often an edited copy finds its original first.

The gallery is all of Caltech-101, including the originals; only the original counts as relevant. Codes rank by
Hamming distance or asymmetrically (y against bits); descriptors re-rank the first results of the codes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from app.encoding.preprocess import Preprocessing, prepare
from app.learning.datasets.edits import EDITS, edited
from app.learning.datasets.splits import Split
from app.learning.evaluation.protocol import Protocol
from app.learning.nn.model import Descriptor
from app.learning.nn.preparation import FeaturePreparation
from app.learning.research.autoencoder import run
from app.learning.research.settings import PaperSettings
from app.learning.research.table import ReportRow, ReportTable
from app.learning.research.workspace import Workspace, claimed, pretrained
from app.learning.training.features.arrays import cached_array
from app.learning.training.methods.base import TrainingSet
from app.learning.training.methods.itq import Itq
from app.learning.training.methods.neighbour_contrast import NeighbourContrast

Floats = NDArray[np.float32]
Similarity = Callable[[Floats, Floats], Floats]

COPIES = 300
SEED = 0
CANDIDATES = 200
"""Number of first results that the descriptor re-ranks."""

WORDS = (
    "Each query is an edited copy of a picture in the gallery, and only that picture is relevant. Descriptors "
    "re-rank the codes' first 200 results."
)


@dataclass(frozen=True, eq=False)
class Copies:
    """Features of a gallery and of edited copies of some of its pictures."""

    gallery: Floats
    by_edit: Mapping[str, Floats]
    originals: NDArray[np.int64]
    """The gallery row of each copy, shape (copies,)."""
    protocol: Protocol


def robustness_table(workspace: Workspace, settings: PaperSettings) -> ReportTable:
    """Recall@1 and @10 on each edit, for codes, descriptors and float features."""

    def compute() -> dict[str, Any]:
        copies = copy_features(workspace, settings)
        measured = _measure(workspace, settings, copies)
        return {
            "figures": {name: {e: list(pair) for e, pair in found.items()} for name, found in measured},
            "protocol": copies.protocol.as_dict(),
        }

    cell = workspace.cell(f"{workspace.name('caltech101')}-robustness-{settings.encoder}", compute)
    rows = tuple(
        ReportRow(name, tuple(f"{found[edit][0]:.3f} / {found[edit][1]:.3f}" for edit in EDITS))
        for name, found in cell["figures"].items()
    )
    return ReportTable("Copies: recall@1 / recall@10", ("", *EDITS), rows, WORDS, _conclusions(cell["figures"]))


def _conclusions(figures: Mapping[str, Mapping[str, tuple[float, float]]]) -> list[str]:
    """Say for each ranking how much recall@1 it loses against the first one, the float features."""
    if not figures:
        return []
    (reference, best), *others = figures.items()
    said = []
    for name, found in others:
        lost = {edit: best[edit][0] - found[edit][0] for edit in EDITS}
        worst = max(lost, key=lambda edit: lost[edit])
        mean = round(sum(lost.values()) / len(lost), 3) + 0.0  # no -0.000
        said.append(
            f"{name}: recall@1 is {mean:.3f} below that of {reference} on average, and {lost[worst]:.3f} at "
            f"most ({worst})."
        )
    return said


def _measure(
    workspace: Workspace, settings: PaperSettings, copies: Copies
) -> list[tuple[str, dict[str, tuple[float, float]]]]:
    _, basis = workspace.material("caltech101").features(settings.encoder, settings.input_size("caltech101"))
    fitted = np.array(basis)
    dim = min(256, len(fitted) - 1)
    preparation = FeaturePreparation.fit(fitted, dim, whiten=0.0)
    prepared = run(preparation, fitted)
    results = [("float features, cosine", recall_of(copies, _cosine))]
    for method in (Itq(), NeighbourContrast()):
        for bits in (64, 256):
            if bits > dim:
                continue
            whole = nn.Sequential(preparation, method.fit(TrainingSet(prepared), bits, SEED))
            name = f"{method.name} {bits}"
            results.append((f"{name}, Hamming", recall_of(copies, partial(_hamming, whole))))
            results.append((f"{name}, asymmetric", recall_of(copies, partial(_asymmetric, whole))))
            for width in (64, 128, 192):
                if width > dim:
                    continue
                describe = Descriptor(FeaturePreparation.fit(fitted, width, whiten=0.5), width, scale=300.0)
                ranked = recall_of(copies, partial(_re_ranked, whole, describe))
                results.append((f"{name}, re-ranked by {width} bytes", ranked))
    return results


def copy_features(workspace: Workspace, settings: PaperSettings) -> Copies:
    """Compute features of all of Caltech-101 and of the copies, through the cache."""
    material, side = workspace.material("caltech101"), settings.input_size("caltech101")
    both = material.split.gallery.followed_by(material.split.queries)
    by_name = np.argsort(np.array(both.names))
    pictures = both.subset(by_name)
    queries, features = material.features(settings.encoder, side)
    gallery = np.concatenate([features, queries])[by_name]
    rows = np.linspace(0, len(pictures) - 1, min(COPIES, len(pictures) // 2)).astype(np.int64)
    split = Split(
        pictures,
        pictures.subset(rows),
        f"the gallery is all pictures; queries are edited copies of {len(rows)} of them, evenly spaced by "
        "name, and their checksum is that of the originals",
    )
    protocol = replace(Protocol.of(split, SEED), relevant="the picture that was edited")
    encode = pretrained(settings.encoder, side)
    folder = material.folder / f"copies-{settings.encoder}"

    def of_edit(edit: str) -> Floats:
        batches = (prepare(edited(pictures.pixels(i), edit, int(i)), Preprocessing(side)) for i in rows)
        return np.concatenate([encode(batch[None]) for batch in batches])

    with claimed(folder / "edits"):
        by_edit = {e: cached_array(folder / f"{e}.npy", partial(of_edit, e)).astype(np.float32) for e in EDITS}
    return Copies(gallery, by_edit, rows, protocol)


def recall_of(copies: Copies, similarity: Similarity) -> dict[str, tuple[float, float]]:
    """Recall@1 and @10 by edit, expected over the order of ties.

    Args:
        copies: Gallery and queries.
        similarity: Maps queries (q, d) and gallery (n, d) to (q, n); larger is more similar.
    """
    found = {}
    for edit, queries in copies.by_edit.items():
        scores = similarity(queries, copies.gallery)
        own = scores[np.arange(len(queries)), copies.originals][:, None]
        nearer, equal = (scores > own).sum(axis=1), (scores == own).sum(axis=1)
        first, tenth = (float(np.clip((k - nearer) / equal, 0, 1).mean()) for k in (1, 10))
        found[edit] = (first, tenth)
    return found


def _cosine(queries: Floats, gallery: Floats) -> Floats:
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (queries, gallery)]
    return unit[0] @ unit[1].T


def _signs(whole: nn.Module, rows: Floats) -> Floats:
    return np.where(run(whole, rows) >= 0, 1, -1).astype(np.float32)


def _hamming(whole: nn.Module, queries: Floats, gallery: Floats) -> Floats:
    return _signs(whole, queries) @ _signs(whole, gallery).T


def _asymmetric(whole: nn.Module, queries: Floats, gallery: Floats) -> Floats:
    return run(whole, queries) @ _signs(whole, gallery).T


@torch.no_grad()
def _re_ranked(whole: nn.Module, descriptor: nn.Module, queries: Floats, gallery: Floats) -> Floats:
    """Cosines of descriptors among each query's candidates; all others rank behind."""
    by_code = _hamming(whole, queries, gallery)
    count = min(CANDIDATES, by_code.shape[1] - 1)
    first = np.argpartition(-by_code, count, axis=1)[:, :count]
    cosines = _cosine(*(run(descriptor, rows).astype(np.float32) for rows in (queries, gallery)))
    ranked = np.full_like(cosines, -2.0)
    np.put_along_axis(ranked, first, np.take_along_axis(cosines, first, axis=1), axis=1)
    return ranked
