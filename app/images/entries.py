"""Entries of archives: validate their names and sizes, and read their contents."""

import re
import zlib
from dataclasses import dataclass
from typing import IO, Final

from app.domain.errors import ArchiveRefused, EntryRefused, ImageTooLarge
from app.domain.texts import escaped, shortened

MAX_NAME: Final = 2_048
CHUNK: Final = 1_048_576

_DRIVE: Final = re.compile(r"[A-Za-z]:/")
_LITTER: Final = frozenset({"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini"})
"""Files and folders that macOS and Windows create, in lower case; hidden files are recognised by their dot."""


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """Limits of an archive."""

    max_entries: int = 10_000
    """Maximum number of files."""
    max_unpacked_bytes: int = 50_000_000_000
    """Maximum total size of the files in bytes."""
    max_ratio: int = 100
    """Maximum compression ratio of any entry and of the whole archive."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A readable file in an archive."""

    name: str
    """Relative path with forward slashes."""
    offset: int
    """Offset of its data in the archive."""
    packed: int
    """Compressed size in bytes."""
    size: int
    """Uncompressed size in bytes."""
    is_deflated: bool = False
    crc: int | None = None


@dataclass(frozen=True, slots=True)
class RefusedEntry:
    """A file in an archive that cannot be read, with the reason."""

    name: str
    error: EntryRefused


@dataclass(frozen=True, slots=True)
class IgnoredEntry:
    """A hidden file, or a file created by an operating system, which is skipped."""


ListedEntry = Entry | RefusedEntry | IgnoredEntry


def read_entry(archive: IO[bytes], entry: Entry, max_bytes: int) -> bytes:
    """Return the uncompressed bytes of one entry.

    Raises:
        ImageTooLarge: The entry has more than ``max_bytes``.
        EntryRefused: The entry is damaged, or differs from the archive's directory.
    """
    if entry.size > max_bytes:
        raise ImageTooLarge(
            f"the file has {entry.size:,} bytes; at most {max_bytes:,} are accepted "
            "(LOOKALIKE_MAX_UPLOAD_BYTES raises the limit)"
        )
    archive.seek(entry.offset)
    content = _inflate(archive, entry) if entry.is_deflated else archive.read(entry.size)
    if len(content) != entry.size or (entry.crc is not None and zlib.crc32(content) != entry.crc):
        raise EntryRefused(
            "the entry is damaged: its size or checksum differs from the archive's directory; pack it again"
        )
    return content


def _inflate(archive: IO[bytes], entry: Entry) -> bytes:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    left, parts, size = entry.packed, [], 0
    try:
        while left > 0 and not inflater.eof:
            packed = archive.read(min(left, CHUNK))
            if not packed:
                break
            left -= len(packed)
            # One byte more than declared, to detect excess data without decompressing it.
            part = inflater.decompress(packed, entry.size - size + 1)
            parts.append(part)
            size += len(part)
            if size > entry.size or inflater.unconsumed_tail:
                raise EntryRefused("the entry decompresses to more than the archive declares")
    except zlib.error as error:
        raise EntryRefused("the entry's compressed data is damaged; pack it again") from error
    return b"".join(parts)


def vetted_name(raw: str) -> str | None:
    """Return the normalized path of an entry, or None if the file is ignored.

    Escapes characters that a database cannot store and shortens very long paths, so that no picture is refused
    because of its name.

    Args:
        raw: Path of a file in the archive. Undecodable bytes are surrogates, as from ``surrogateescape``.

    Raises:
        EntryRefused: The path leads out of the archive.
    """
    name = raw.replace("\\", "/")
    parts = name.split("/")
    if name.startswith("/") or ".." in parts or _DRIVE.match(name):
        raise EntryRefused("the entry's name leads out of the archive")
    plain = [part for part in parts if part not in {"", "."}]
    if not plain or is_ignored("/".join(plain)):
        return None
    return shown_name("/".join(plain))


def is_ignored(path: str) -> bool:
    """Return whether to skip the file at a path because it is hidden or was created by an operating system."""
    return any(part.startswith(".") or part.lower() in _LITTER for part in path.split("/"))


def is_folder(raw: str) -> bool:
    """Return whether a path in an archive names a folder."""
    return not raw or raw.endswith(("/", "\\"))


def shown_name(raw: str) -> str:
    """Return a name in a form that can be stored and displayed."""
    return shortened(escaped(raw), MAX_NAME)


class Tally:
    """Counts the entries of a listing and enforces the archive's limits."""

    def __init__(self, limits: ArchiveLimits) -> None:
        self._limits = limits
        self._entries = 0
        self._bytes = 0

    def check(self, name: str, packed: int, size: int) -> None:
        """Count a file.

        Raises:
            ArchiveRefused: The archive has too many files, or their total size is too large.
            EntryRefused: The compression ratio of this file is too high.
        """
        self._entries += 1
        self._bytes += size
        if self._entries > self._limits.max_entries:
            raise ArchiveRefused(
                f"the archive contains more than {self._limits.max_entries:,} files "
                "(LOOKALIKE_MAX_ARCHIVE_ENTRIES raises the limit)"
            )
        if self._bytes > self._limits.max_unpacked_bytes:
            raise ArchiveRefused(
                f"the archive decompresses to more than {self._limits.max_unpacked_bytes:,} bytes "
                "(LOOKALIKE_MAX_ARCHIVE_UNPACKED_BYTES raises the limit)"
            )
        if size > self._limits.max_ratio * max(packed, 1):
            raise EntryRefused(
                f"{name[-60:]} decompresses to more than {self._limits.max_ratio} times its size"
            )
