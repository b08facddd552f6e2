"""Files inside an archive: which of them may be read, and how much of them."""

import zlib
from dataclasses import dataclass
from typing import IO, Final

from app.domain.errors import ArchiveRefused, EntryRefused, ImageTooLarge

MAX_NAME: Final = 2_048
CHUNK: Final = 1_048_576


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
        raise EntryRefused("the entry is damaged: its bytes are not those that the archive tells of")
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
        raise EntryRefused("the entry's compressed data is damaged") from error
    return b"".join(parts)


def vetted_name(raw: str) -> str | None:
    """The path of an entry in plain form; None for what is passed over: folders, hidden files, a Mac's extras.

    Raises:
        EntryRefused: It leads out of the archive or cannot be kept.
    """
    name = raw.replace("\\", "/")
    parts = name.split("/")
    if not name or name.endswith("/"):
        return None
    if len(name) > MAX_NAME or any(ord(c) < 32 or "\ud800" <= c <= "\udfff" for c in name):
        raise EntryRefused("the entry's name cannot be kept")
    if name.startswith("/") or ".." in parts or (len(name) > 1 and name[1] == ":"):
        raise EntryRefused("the entry's name leads out of the archive")
    plain = [part for part in parts if part not in {"", "."}]
    if not plain or plain[0] == "__MACOSX" or any(part.startswith(".") for part in plain):
        return None
    return "/".join(plain)


def shown_name(raw: str) -> str:
    """A refused name in a form that can be listed."""
    return raw.encode("ascii", "backslashreplace").decode()[:MAX_NAME].replace("\x00", "\\x00")


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
