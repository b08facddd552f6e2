"""Labelled pictures that stay in their zip or folder until they are looked at."""

import hashlib
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from app.encoding.preprocess import Preprocessing, prepare
from app.images.decoding import decode_in_process
from app.images.sniff import Limits


class PictureSource(Protocol):
    """Where the bytes of pictures are."""

    def read(self, name: str) -> bytes:
        """The encoded bytes of one picture."""


@dataclass(frozen=True)
class FolderSource:
    """Pictures in a folder."""

    root: Path

    def read(self, name: str) -> bytes:
        """The encoded bytes of one picture."""
        return (self.root / name).read_bytes()


@dataclass(frozen=True)
class ZipSource:
    """Pictures in a zip, read entry by entry; nothing is unpacked."""

    archive: zipfile.ZipFile

    def read(self, name: str) -> bytes:
        """The encoded bytes of one picture."""
        return self.archive.read(name)


@dataclass(frozen=True, eq=False)
class LabelledPictures:
    """Pictures in a fixed order, each of one kind or of an unknown one.

    Attributes:
        name: What protocols call the collection.
        names: Names of the pictures in their source, sorted.
        labels: Kind of each picture, shape (n,), int64, an index into ``kinds``; −1 where it is not known.
        kinds: Names of the kinds.
        source: Where the bytes are.
    """

    name: str
    names: tuple[str, ...]
    labels: NDArray[np.int64]
    kinds: tuple[str, ...]
    source: PictureSource

    @classmethod
    def from_paths(
        cls, name: str, paths: Iterable[str], source: PictureSource, *, unlabelled: str | None = None
    ) -> Self:
        """Pictures named ``…/<kind>/<picture>``, sorted by name.

        Args:
            name: What protocols call the collection.
            paths: The names.
            source: Where the bytes are.
            unlabelled: Name of a folder; the kind of what lies anywhere below it is not known.
        """
        names = tuple(sorted(paths))
        kinds = [_kind_of(PurePosixPath(path), unlabelled) for path in names]
        return cls.from_kinds(name, names, kinds, source)

    @classmethod
    def from_kinds(
        cls, name: str, names: tuple[str, ...], kind_of: Sequence[str | None], source: PictureSource
    ) -> Self:
        """Pictures by name, with the kind of each; None where it is not known."""
        kinds = tuple(sorted({kind for kind in kind_of if kind is not None}))
        number = {None: -1} | {kind: number for number, kind in enumerate(kinds)}
        return cls(name, names, np.array([number[kind] for kind in kind_of], dtype=np.int64), kinds, source)

    def __len__(self) -> int:
        return len(self.names)

    def subset(self, rows: NDArray[np.int64] | Sequence[int], name: str | None = None) -> Self:
        """The pictures of these rows, kinds unchanged."""
        names = tuple(self.names[row] for row in rows)
        return type(self)(name or self.name, names, self.labels[np.asarray(rows)], self.kinds, self.source)

    def followed_by(self, others: Self) -> Self:
        """These pictures and then others of the same source and kinds."""
        labels = np.concatenate([self.labels, others.labels])
        return type(self)(self.name, self.names + others.names, labels, self.kinds, self.source)

    def pixels(self, row: int) -> NDArray[np.uint8]:
        """One picture decoded as the service decodes it, shape (H, W, 3), uint8."""
        return decode_in_process(self.source.read(self.names[row]), Limits()).pixels

    def prepared(self, how: Preprocessing, batch: int = 32) -> Iterator[NDArray[np.uint8]]:
        """All pictures in order as encoder inputs, batches of shape (≤ batch, S, S, 3), uint8."""
        for start in range(0, len(self), batch):
            rows = range(start, min(start + batch, len(self)))
            yield np.stack([prepare(self.pixels(row), how) for row in rows])

    def sha256s(self) -> list[str]:
        """SHA-256 of each picture's bytes, for overlap checks."""
        return [hashlib.sha256(self.source.read(name)).hexdigest() for name in self.names]

    def checksum(self) -> str:
        """One SHA-256 over the names and contents: two runs with equal ones saw the same data."""
        return checksum_of(self.names, self.sha256s())


def _kind_of(path: PurePosixPath, unlabelled: str | None) -> str | None:
    return None if unlabelled in path.parts[:-1] else path.parent.name


def checksum_of(names: Iterable[str], sha256s: Iterable[str]) -> str:
    """One SHA-256 over pictures' names and the SHA-256 of each picture's bytes, in their order."""
    digest = hashlib.sha256()
    for name, sha256 in zip(names, sha256s, strict=True):
        digest.update(f"{name} {sha256}\n".encode())
    return digest.hexdigest()
