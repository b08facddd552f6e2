"""Say how the files of a collection differ from those that its authors publish."""

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final, Self

import numpy as np

from app.learning.datasets.pictures import LabelledPictures

ORIGINAL_SIDES: Final = {"cifar10": 32, "caltech101": 300}
"""Longer side of a published picture, in pixels; of Caltech-101 about this for most."""
LOSSLESS: Final = frozenset({"cifar10"})
"""Collections that are published without lossy compression."""
LOSSY_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".webp"})
SAMPLE: Final = 50
"""Pictures that are decoded to find the longest side."""


@dataclass(frozen=True, slots=True)
class Files:
    """Formats and sizes of a collection's files."""

    suffixes: tuple[str, ...]
    longest: int
    """Longer side of the largest picture of a sample, in pixels."""
    changes: str
    """How they differ from the published ones; empty if nothing shows."""

    @classmethod
    def of(cls, pictures: LabelledPictures) -> Self:
        """Look at the names, and at a sample of the pictures."""
        rows = np.linspace(0, len(pictures) - 1, min(SAMPLE, len(pictures))).astype(np.int64)
        longest = max(max(pictures.pixels(int(row)).shape[:2]) for row in rows)
        suffixes = tuple(sorted({PurePosixPath(name).suffix.lower() for name in pictures.names}))
        changes = []
        if longest < 0.9 * ORIGINAL_SIDES.get(pictures.name, 0):
            changes.append(f"scaled down from about {ORIGINAL_SIDES[pictures.name]} pixels")
        if changes or (pictures.name in LOSSLESS and LOSSY_SUFFIXES & set(suffixes)):
            changes.append("re-encoded with loss")
        return cls(suffixes, longest, " and ".join(changes))

    def __str__(self) -> str:
        described = f"{', '.join(self.suffixes)} files of at most {self.longest} pixels"
        return f"{described}, {self.changes} since their publication" if self.changes else described
