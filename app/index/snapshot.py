"""Index snapshot files, read into memory or mapped so that processes share the pages.

A mapped page shows what the file holds now: a file that is changed later changes answers, and one that is
truncated kills the process (SIGBUS). So the files are read-only, and by default they are read into memory.

Layout, little-endian: 8 magic bytes, the SHA-256 of everything after it (32 bytes), the length of a JSON header
(4 bytes), the header, zeros up to byte 4,096, the numbers (int64), and the codes word by word (uint64).
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

_Octets = NDArray[np.uint8]

_MAGIC: Final = b"LKLKIDX1"
_DIGEST_AT: Final = len(_MAGIC)
_HEADER_AT: Final = _DIGEST_AT + 32
_DATA_AT: Final = 4096
_PIECE: Final = 1 << 22
_READ_ONLY: Final = 0o400


class SnapshotRefused(Exception):
    """The file is missing, damaged, in another format or for another owner; load from the database instead."""


class SnapshotForeign(SnapshotRefused):
    """The file is intact but holds codes of another owner or length."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The contents of a snapshot: codes in insertion order."""

    bits: int
    owner: str
    """What the codes belong to, such as a collection and the digest of its model."""
    version: int
    """Change number of the state."""
    numbers: NDArray[np.int64]
    """Strictly ascending, shape (n,)."""
    columns: NDArray[np.uint64]
    """One row per word, shape (words, n)."""


def write_snapshot(path: Path, snapshot: Snapshot) -> None:
    """Write a temporary file and rename it, so that readers find either the old file or the new one.

    Raises:
        OSError: The disk is full, or the folder is not writable.
        ValueError: The name of the owner does not fit into the header.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w+b") as file:
            _write(file, snapshot)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(_READ_ONLY)
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
    """Flush the folder, so that the rename survives a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_snapshot(path: Path, *, bits: int, owner: str, is_mapped: bool = False) -> Snapshot:
    """Read or map a snapshot and verify its checksum.

    Args:
        path: The file.
        bits: The code length that it must have.
        owner: The owner that it must have.
        is_mapped: Whether the arrays are views of the mapped pages, which all processes that map the file
        share; otherwise they are copies in this process's memory.

    Raises:
        SnapshotForeign: It has another owner or code length.
        SnapshotRefused: It is missing or damaged.
    """
    try:
        octets = _mapped(path) if is_mapped else _copied(path)
    except (OSError, ValueError) as error:
        raise SnapshotRefused(f"{path.name} cannot be opened: {error}") from error
    header = _checked_header(octets, path.name)
    if (header["bits"], header["owner"]) != (bits, owner):
        raise SnapshotForeign(f"{path.name} holds {header['bits']}-bit codes of {header['owner']!r}")
    count, words = header["count"], words_for(bits)
    if len(octets) != _DATA_AT + 8 * count * (words + 1):
        raise SnapshotRefused(f"{path.name} has the wrong length for {count} codes")
    numbers = octets[_DATA_AT : _DATA_AT + 8 * count].view(np.int64)
    columns = octets[_DATA_AT + 8 * count :].view(np.uint64).reshape(words, count)
    return Snapshot(bits, owner, header["version"], numbers, columns)


def _mapped(path: Path) -> _Octets:
    with path.open("rb") as file:
        # Private and writable, although nothing writes: the kernels are compiled for writable arrays.
        return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY), np.uint8)


def _copied(path: Path) -> _Octets:
    return np.fromfile(path, np.uint8)


def saved_version(path: Path, owner: str) -> int | None:
    """Change number of a snapshot of ``owner``, without verifying it; None if there is no such snapshot."""
    try:
        with path.open("rb") as file:
            octets = file.read(_DATA_AT)
        if not octets.startswith(_MAGIC):
            return None
        header = _header_of(octets)
    except (OSError, ValueError, struct.error):
        return None
    return int(header["version"]) if header.get("owner") == owner else None


def _checked_header(octets: _Octets, name: str) -> dict[str, Any]:
    if len(octets) < _DATA_AT or octets[:_DIGEST_AT].tobytes() != _MAGIC:
        raise SnapshotRefused(f"{name} is not a snapshot of this format")
    if hashlib.sha256(octets[_HEADER_AT:].data).digest() != octets[_DIGEST_AT:_HEADER_AT].tobytes():
        raise SnapshotRefused(f"{name} is damaged or truncated")
    # The checksum is correct, so the header is what ``write_snapshot`` wrote.
    return _header_of(octets[:_DATA_AT].tobytes())


def _header_of(octets: bytes) -> dict[str, Any]:
    (length,) = struct.unpack_from("<I", octets, _HEADER_AT)
    header: dict[str, Any] = json.loads(octets[_HEADER_AT + 4 : _HEADER_AT + 4 + length])
    return header
