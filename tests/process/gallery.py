"""Labelled pictures for tests that need many: Caltech-101 where it is at hand, else drawn ones."""

import itertools
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from app.gallery.gallery import draw_gallery


@dataclass(frozen=True)
class Labelled:
    """A picture and its class."""

    name: str
    label: str
    content: bytes


def labelled_pictures(n_gallery: int, n_queries: int) -> tuple[list[Labelled], list[Labelled]]:
    """Gallery and held-out queries; classes with at least 30 pictures, the same ones on each run."""
    folder = os.environ.get("LOOKALIKE_TEST_DATA_DIR")
    pool = _caltech(Path(folder) / "caltech101.zip") if folder else _drawn(n_gallery + n_queries)
    chosen = np.random.default_rng(0).permutation(len(pool))[: n_gallery + n_queries]
    pictures = [pool[i]() for i in chosen]
    return pictures[:n_gallery], pictures[n_gallery:]


def _caltech(path: Path):
    archive = zipfile.ZipFile(path)
    names = [PurePosixPath(name) for name in archive.namelist() if name.endswith(".jpg")]
    names = [name for name in names if name.parent.name != "BACKGROUND_Google"]
    by_label = {
        label: list(group) for label, group in itertools.groupby(sorted(names), lambda n: n.parent.name)
    }
    kept = [name for group in by_label.values() if len(group) >= 30 for name in group]
    return [
        lambda n=n: Labelled(f"{n.parent.name}-{n.stem}", n.parent.name, archive.read(str(n))) for n in kept
    ]


def _drawn(count: int):
    pictures = itertools.islice(draw_gallery(per_group=-(-count // 26)), count)
    return [lambda p=p: Labelled(p.name, p.group, p.jpeg) for p in pictures]
