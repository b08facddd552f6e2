"""Caltech-101 (Fei-Fei, Fergus, Perona 2004): 8,677 pictures of 101 kinds, without the background class."""

from pathlib import Path
from typing import Final

import numpy as np

from app.learning.datasets.folder import load_pictures
from app.learning.datasets.pictures import LabelledPictures
from app.learning.datasets.splits import Split, split_every_tenth

BACKGROUND: Final = "BACKGROUND_Google"


def load_caltech101(data_dir: Path) -> LabelledPictures:
    """Load ``caltech101.zip``, or the folder ``caltech101`` that torchvision downloads.

    Raises:
        FileNotFoundError: ``data_dir`` contains neither.
    """
    path = data_dir / "caltech101.zip"
    if not path.exists():
        path = data_dir / "caltech101"
    # torchvision stores pictures below caltech101/, shared archives do not always.
    everything = load_pictures(path, "caltech101")
    rows = [i for i, name in enumerate(everything.names) if "101_ObjectCategories/" in name]
    kept = [row for row in rows if f"/{BACKGROUND}/" not in everything.names[row]]
    if not kept:
        raise FileNotFoundError(f"no 101_ObjectCategories in {path}")
    names = [everything.names[row] for row in np.asarray(kept)]
    return LabelledPictures.from_paths("caltech101", names, everything.source)


def split_caltech101(data_dir: Path) -> Split:
    """The fixed split: 7,766 gallery pictures and 911 queries."""
    return split_every_tenth(load_caltech101(data_dir))
