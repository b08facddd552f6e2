"""Find positions in TIFF structures: EXIF data of any container, and TIFF files themselves."""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from app.images.positions.iptc import dataset_spans
from app.images.positions.patches import Span, Steps

_HEADER: Final = re.compile(rb"II\x2a\x00|MM\x00\x2a")
_GPS: Final = 0x8825
_IPTC: Final = 0x83BB
_DIRECTORIES: Final = frozenset({0x8769, 0x014A, 0xA005})
"""Tags that point to further directories: EXIF, sub-directories, interoperability."""
_BLANKED: Final = frozenset({0x927C, 33550, 33922, 34264, 34736, 34737})
"""Maker notes, where cameras store names of places, and the coordinates of GeoTIFF."""
_MAX_POINTERS: Final = 32
"""Directories that one entry points to; the pages of a file are chained instead."""
_MAX_ENTRIES: Final = 512
_MAX_HEADERS: Final = 1_000
"""Headers followed in one file; a file of nothing else must not take long."""
_TYPE_BYTES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}


@dataclass(frozen=True, slots=True)
class _Entry:
    """An entry of a directory."""

    tag: int
    number: int
    """Number of its values."""
    start: int
    """Offset of its values in the file."""
    size: int
    """Bytes of its values; 0 if they are not in the file."""


def tiff_spans(content: bytes, steps: Steps) -> Iterator[Span]:
    """Yield what to overwrite in every TIFF structure of a file.

    Raises:
        TooMuchMetadata: Its directories have too many entries.
    """
    for number, found in enumerate(_HEADER.finditer(content)):
        if number == _MAX_HEADERS:
            return
        order = "<" if found.group().startswith(b"II") else ">"
        yield from _Structure(content, found.start(), order, steps).spans()


class _NoDirectory(Exception):
    """These bytes are no directory."""


class _Structure:
    def __init__(self, content: bytes, base: int, order: str, steps: Steps) -> None:
        self._content = content
        self._base = base
        self._order = order
        self._steps = steps

    def spans(self) -> Iterator[Span]:
        first = self._pointers(self._base + 4, 1)
        pending, seen = first, set[int]()
        while pending:
            self._steps.take()
            offset = pending.pop()
            if offset == 0 or offset in seen:
                continue
            seen.add(offset)
            try:
                entries = self._entries(offset)
            except (struct.error, _NoDirectory):
                continue  # no directory, or these four bytes begin no TIFF structure
            for entry in entries:
                if entry.tag == _GPS:
                    for pointer in self._pointers(entry.start, 1):
                        yield from self._whole_directory(pointer)
                elif entry.tag in _DIRECTORIES:
                    pending += self._pointers(entry.start, min(entry.number, _MAX_POINTERS))
                elif entry.tag == _IPTC:
                    yield from dataset_spans(self._content, entry.start, entry.start + entry.size, self._steps)
                elif entry.tag in _BLANKED and entry.size:
                    yield entry.start, entry.start + entry.size, b"\0"
            pending += self._pointers(self._base + offset + 2 + 12 * len(entries), 1)

    def _pointers(self, at: int, number: int) -> list[int]:
        try:
            return list(struct.unpack_from(f"{self._order}{number}I", self._content, at))
        except struct.error:
            return []

    def _entries(self, offset: int) -> list[_Entry]:
        """Return the entries of a directory.

        Raises:
            _NoDirectory: There is no directory.
            struct.error: It leads out of the file.
        """
        at = self._base + offset
        (count,) = struct.unpack_from(f"{self._order}H", self._content, at)
        if not 0 < count <= _MAX_ENTRIES:
            raise _NoDirectory
        self._steps.take(count)
        return [self._entry(at + 2 + 12 * i) for i in range(count)]

    def _entry(self, at: int) -> _Entry:
        tag, kind, number, value = struct.unpack_from(f"{self._order}HHII", self._content, at)
        size = _TYPE_BYTES.get(kind, 0) * number
        start = at + 8 if size <= 4 else self._base + value
        return _Entry(tag, number, start, size if start + size <= len(self._content) else 0)

    def _whole_directory(self, offset: int) -> Iterator[Span]:
        """Yield the spans of a directory and its values; of zeros, it is one without entries."""
        try:
            entries = self._entries(offset)
        except (struct.error, _NoDirectory):
            return
        for entry in entries:
            if entry.size > 4:
                yield entry.start, entry.start + entry.size, b"\0"
        at = self._base + offset
        yield at, at + 2 + 12 * len(entries), b"\0"
