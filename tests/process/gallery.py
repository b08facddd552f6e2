"""Labelled pictures for tests that need many: Caltech-101 where it is at hand, else drawn ones."""

import fcntl
import hashlib
import itertools
import os
import pickle
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import PIL

from app.domain.perceptual import PERCEPTUAL_DIGEST
from app.samples import samples
from tools.sample_gallery import draw_gallery, gallery

PAINTERS = Path(gallery.__file__).parent
KEPT = Path(__file__).resolve().parents[2] / ".pytest_cache" / "drawn-pictures"


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
    """The shipped samples, and kept drawings: drawing a picture takes longer than importing it."""
    pictures = [
        Labelled(sample.image_id, sample.metadata["label"], sample.read())
        for sample in samples()
        if sample.file.startswith("drawn/")
    ]
    if count > len(pictures):
        pictures += _kept_drawings(count - len(pictures))
    return [lambda p=p: p for p in pictures[:count]]


def _kept_drawings(count: int) -> list[Labelled]:
    """Drawings that no sample equals."""
    painters = b"".join(path.read_bytes() for path in sorted(PAINTERS.glob("*.py")))
    version = hashlib.sha256(painters + PIL.__version__.encode()).hexdigest()[:16]
    KEPT.mkdir(parents=True, exist_ok=True)
    kept = KEPT / f"{version}-{count}.pickle"
    with (KEPT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            drawn = itertools.islice(draw_gallery(seed=1, per_group=count), count)
            aside = kept.with_suffix(".writing")
            aside.write_bytes(pickle.dumps([Labelled(f"another-{p.name}", p.group, p.jpeg) for p in drawn]))
            aside.replace(kept)
    return pickle.loads(kept.read_bytes())


def snapshots_of_codes(folder: Path) -> list[Path]:
    """Return the index files of a data folder without those of perceptual hashes."""
    return [path for path in (folder / "snapshots").glob("*.index") if PERCEPTUAL_DIGEST not in path.name]
