"""Labelled pictures, read from their zip or folder on demand."""

import hashlib
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from app.domain.errors import LookalikeError
from app.encoding.preprocess import Preprocessing, prepare
from app.images.decoding import decode_in_process
from app.images.sniff import Limits


class PictureSource(Protocol):
    """Reads the bytes of pictures by name."""

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
    """Pictures in a zip, read entry by entry without unpacking it."""

    archive: zipfile.ZipFile

    def read(self, name: str) -> bytes:
        """The encoded bytes of one picture."""
        return self.archive.read(name)


@dataclass(frozen=True, eq=False)
class LabelledPictures:
    """Pictures in a fixed order, each of one kind or of unknown kind.

    Attributes:
        name: Name of the collection in protocols.
        names: Sorted names of the pictures in their source.
        labels: Kind of each picture, shape (n,), int64, an index into ``kinds``; −1 where unknown.
        kinds: Names of the kinds.
        source: Reads the bytes.
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
        """Pictures named ``…/<kind>/<picture>``, sorted by name; a picture outside any folder has no kind.

        Args:
            name: Name of the collection in protocols.
            paths: Names of the pictures.
            source: Reads the bytes.
            unlabelled: Name of a folder; pictures anywhere below it have no kind.
        """
        names = tuple(sorted(paths))
        kinds = [_kind_of(PurePosixPath(path), unlabelled) for path in names]
        return cls.from_kinds(name, names, kinds, source)

    @classmethod
    def from_kinds(
        cls, name: str, names: tuple[str, ...], kind_of: Sequence[str | None], source: PictureSource
    ) -> Self:
        """Pictures by name, with the kind of each, or None where unknown."""
        kinds = tuple(sorted({kind for kind in kind_of if kind is not None}))
        number = {None: -1} | {kind: number for number, kind in enumerate(kinds)}
        return cls(name, names, np.array([number[kind] for kind in kind_of], dtype=np.int64), kinds, source)

    def __len__(self) -> int:
        return len(self.names)

    def subset(self, rows: NDArray[np.int64] | Sequence[int], name: str | None = None) -> Self:
        """The pictures in these rows; ``kinds`` stays as it is."""
        names = tuple(self.names[row] for row in rows)
        return type(self)(name or self.name, names, self.labels[np.asarray(rows)], self.kinds, self.source)

    def followed_by(self, others: Self) -> Self:
        """These pictures, followed by others with the same source and kinds."""
        labels = np.concatenate([self.labels, others.labels])
        return type(self)(self.name, self.names + others.names, labels, self.kinds, self.source)

    def pixels(self, row: int) -> NDArray[np.uint8]:
        """Decode one picture as the service does, shape (H, W, 3), uint8.

        Raises:
            ValueError: The picture cannot be decoded; the message names it.
        """
        content = self.source.read(self.names[row])
        try:
            return decode_in_process(content, Limits()).pixels
        except LookalikeError as error:
            raise ValueError(f"{self.names[row]} cannot be decoded: {error}; repair or remove it") from error

    def prepared(self, how: Preprocessing, batch: int = 32) -> Iterator[NDArray[np.uint8]]:
        """All pictures in order as encoder inputs, in batches of shape (≤ batch, S, S, 3), uint8."""
        for start in range(0, len(self), batch):
            rows = range(start, min(start + batch, len(self)))
            yield np.stack([prepare(self.pixels(row), how) for row in rows])

    def sha256s(self) -> tuple[str, ...]:
        """SHA-256 of each picture's bytes, in hex."""
        return self._sha256s

    @cached_property
    def _sha256s(self) -> tuple[str, ...]:
        # Reads every picture.
        return tuple(hashlib.sha256(self.source.read(name)).hexdigest() for name in self.names)

    def checksum(self) -> str:
        """One SHA-256 over names and contents; equal checksums mean the same data."""
        return checksum_of(self.names, self.sha256s())


def _kind_of(path: PurePosixPath, unlabelled: str | None) -> str | None:
    return None if unlabelled in path.parts[:-1] else path.parent.name or None


def checksum_of(names: Iterable[str], sha256s: Iterable[str]) -> str:
    """One SHA-256 over the names of pictures and the SHA-256 of their bytes, in order."""
    digest = hashlib.sha256()
    for name, sha256 in zip(names, sha256s, strict=True):
        digest.update(f"{name} {sha256}\n".encode())
    return digest.hexdigest()
