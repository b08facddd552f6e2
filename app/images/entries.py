"""Files inside an archive: which of them may be read, and how much of them."""

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
"""What Macs and Windows leave in folders, in lower case; their hidden files go by the dot."""


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """What an archive may hold at most."""

    max_entries: int = 10_000
    """Files in it."""
    max_unpacked_bytes: int = 50_000_000_000
    """Bytes of all of them together."""
    max_ratio: int = 100
    """Unpacked bytes for each packed one, of any entry and of the whole."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in an archive that may be read."""

    name: str
    """Its path inside, relative, with forward slashes."""
    offset: int
    """Where its bytes begin in the archive."""
    packed: int
    """How many there are."""
    size: int
    """How many they unpack to."""
    is_deflated: bool = False
    crc: int | None = None


@dataclass(frozen=True, slots=True)
class RefusedEntry:
    """A file in an archive that is not read, and why."""

    name: str
    error: EntryRefused


@dataclass(frozen=True, slots=True)
class IgnoredEntry:
    """A file in an archive that nobody means to import: hidden, or left there by an operating system."""


ListedEntry = Entry | RefusedEntry | IgnoredEntry


def read_entry(archive: IO[bytes], entry: Entry, max_bytes: int) -> bytes:
    """The bytes of one entry.

    Raises:
        ImageTooLarge: It unpacks to more than ``max_bytes``.
        EntryRefused: It is damaged, or does not unpack to what the archive says.
    """
    if entry.size > max_bytes:
        raise ImageTooLarge(f"the file has {entry.size:,} bytes; at most {max_bytes:,} are accepted")
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
            # One byte more than it may have, so that more than that is noticed without being unpacked.
            part = inflater.decompress(packed, entry.size - size + 1)
            parts.append(part)
            size += len(part)
            if size > entry.size or inflater.unconsumed_tail:
                raise EntryRefused("the entry unpacks to more than the archive says")
    except zlib.error as error:
        raise EntryRefused("the entry's compressed data is damaged; pack it again") from error
    return b"".join(parts)


def vetted_name(raw: str) -> str | None:
    """The path of an entry in plain form; None for files that are ignored.

    Characters that no database keeps are escaped, and a very long path is shortened: a name never costs a
    picture.

    Args:
        raw: The path in the archive, of a file. Bytes that could not be decoded are surrogates, as
            ``surrogateescape`` makes them.

    Raises:
        EntryRefused: It leads out of the archive.
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
    """Whether nobody means to import the file at a path: it is hidden, or an operating system left it there."""
    return any(part.startswith(".") or part.lower() in _LITTER for part in path.split("/"))


def is_folder(raw: str) -> bool:
    """Whether a path in an archive is that of a folder."""
    return not raw or raw.endswith(("/", "\\"))


def shown_name(raw: str) -> str:
    """A name in a form that can be kept and listed."""
    return shortened(escaped(raw), MAX_NAME)


class Tally:
    """Counts what a listing has come across, and refuses the archive past its caps."""

    def __init__(self, limits: ArchiveLimits) -> None:
        self._limits = limits
        self._entries = 0
        self._bytes = 0

    def check(self, name: str, packed: int, size: int) -> None:
        """Count a file.

        Raises:
            ArchiveRefused: The archive has too many, or they are too large together.
            EntryRefused: This one unpacks to too many times its packed size.
        """
        self._entries += 1
        self._bytes += size
        if self._entries > self._limits.max_entries:
            raise ArchiveRefused(f"the archive holds more than {self._limits.max_entries:,} files")
        if self._bytes > self._limits.max_unpacked_bytes:
            raise ArchiveRefused(f"the archive unpacks to more than {self._limits.max_unpacked_bytes:,} bytes")
        if size > self._limits.max_ratio * max(packed, 1):
            raise EntryRefused(f"{name[-60:]} unpacks to more than {self._limits.max_ratio} times its size")
