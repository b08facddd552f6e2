"""An index as a file: mapped, not read, so that a start costs its checksum and processes share its pages.

Layout, little-endian: 8 bytes that name the format, 32 bytes SHA-256 of all that follows, 4 bytes length of a
JSON header, the header, zeros up to byte 4,096; then the numbers (int64) and, word by word, the codes (uint64).
"""

import hashlib
import json
import mmap
import os
import struct
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from app.domain.codes import words_for

_MAGIC: Final = b"LKLKIDX1"
_DIGEST_AT: Final = len(_MAGIC)
_HEADER_AT: Final = _DIGEST_AT + 32
_DATA_AT: Final = 4096
_PIECE: Final = 1 << 22


class SnapshotRefused(Exception):
    """The file is missing, damaged, of another format or of something else: load from the database."""


class SnapshotForeign(SnapshotRefused):
    """The file is whole, and of something else."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Codes in insertion order."""

    bits: int
    owner: str
    """What they are the codes of, such as a collection and the digest of its model."""
    version: int
    """Change number that they stand at."""
    numbers: NDArray[np.int64]
    """Strictly ascending, shape (n,)."""
    columns: NDArray[np.uint64]
    """A row a word, shape (words, n)."""


def write_snapshot(path: Path, snapshot: Snapshot) -> None:
    """Write beside ``path``, then rename: whoever opens it finds the old file or the new one, whole.

    Raises:
        OSError: The disk is full, or the folder cannot be written to.
        ValueError: The owner's name is too long for the header.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w+b") as file:
            _write(file, snapshot)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
    _sync_folder(path.parent)


def _write(file: BinaryIO, snapshot: Snapshot) -> None:
    header = {
        "bits": snapshot.bits,
        "count": len(snapshot.numbers),
        "owner": snapshot.owner,
        "version": snapshot.version,
    }
    text = json.dumps(header).encode()
    opening = struct.pack("<I", len(text)) + text
    if _HEADER_AT + len(opening) > _DATA_AT:
        raise ValueError(f"an owner's name of {len(snapshot.owner)} characters is too long")
    digest = hashlib.sha256()
    file.write(_MAGIC + bytes(32))
    padding = np.frombuffer(opening.ljust(_DATA_AT - _HEADER_AT, b"\0"), np.uint8)
    for array in (padding, snapshot.numbers, *snapshot.columns):
        octets = np.ascontiguousarray(array).view(np.uint8)
        for start in range(0, len(octets), _PIECE):
            piece = octets[start : start + _PIECE].data
            digest.update(piece)
            file.write(piece)
    file.seek(_DIGEST_AT)
    file.write(digest.digest())


def _sync_folder(folder: Path) -> None:
    """Make the rename survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_snapshot(path: Path, *, bits: int, owner: str) -> Snapshot:
    """Map a snapshot after checking every byte of it.

    The arrays are views of the file's pages, which all processes that map it share.

    Raises:
        SnapshotForeign: It is of another owner or code length.
        SnapshotRefused: There is none, or it is not whole.
    """
    try:
        with path.open("rb") as file:
            # Private and writable, though nobody writes: the type of array that the kernels are compiled for.
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    except (OSError, ValueError) as error:
        raise SnapshotRefused(f"{path.name} cannot be opened: {error}") from error
    header = _checked_header(mapped, path.name)
    if (header["bits"], header["owner"]) != (bits, owner):
        raise SnapshotForeign(f"{path.name} holds {header['bits']}-bit codes of {header['owner']!r}")
    count, words = header["count"], words_for(bits)
    if len(mapped) != _DATA_AT + 8 * count * (words + 1):
        raise SnapshotRefused(f"{path.name} has not the length that {count} codes take")
    numbers = np.frombuffer(mapped, np.int64, count, _DATA_AT)
    columns = np.frombuffer(mapped, np.uint64, count * words, _DATA_AT + 8 * count).reshape(words, count)
    return Snapshot(bits, owner, header["version"], numbers, columns)


def saved_version(path: Path, owner: str) -> int | None:
    """The change number of a snapshot of ``owner``, its bytes unchecked; None where there is none."""
    try:
        with path.open("rb") as file:
            octets = file.read(_DATA_AT)
        if not octets.startswith(_MAGIC):
            return None
        header = _header_of(octets)
    except (OSError, ValueError, struct.error):
        return None
    return int(header["version"]) if header.get("owner") == owner else None


def _checked_header(mapped: mmap.mmap, name: str) -> dict[str, Any]:
    if len(mapped) < _DATA_AT or mapped[:_DIGEST_AT] != _MAGIC:
        raise SnapshotRefused(f"{name} is no snapshot of this format")
    with memoryview(mapped) as octets, octets[_HEADER_AT:] as hashed:
        if hashlib.sha256(hashed).digest() != mapped[_DIGEST_AT:_HEADER_AT]:
            raise SnapshotRefused(f"{name} is damaged or truncated")
    # The checksum held, so this is what ``write_snapshot`` wrote.
    return _header_of(mapped[:_DATA_AT])


def _header_of(octets: bytes) -> dict[str, Any]:
    (length,) = struct.unpack_from("<I", octets, _HEADER_AT)
    header: dict[str, Any] = json.loads(octets[_HEADER_AT + 4 : _HEADER_AT + 4 + length])
    return header
