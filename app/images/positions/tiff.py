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
_BLANKED: Final = frozenset({0x927C, 0xC634, 33550, 33920, 33922, 34264, 34736, 34737, 42112, 50844})
"""Maker notes (of DNG too), where cameras store names of places; coordinates of GeoTIFF and GDAL."""
_SHORT: Final = 3
"""Type of a value of two bytes; pointers have four."""
_TYPE_BYTES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}


@dataclass(frozen=True, slots=True)
class _Entry:
    """An entry of a directory."""

    tag: int
    kind: int
    """Type of its values."""
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
    for found in _HEADER.finditer(content):
        steps.take()
        order = "<" if found.group().startswith(b"II") else ">"
        yield from _Structure(content, found.start(), order, steps).spans()


class _Structure:
    def __init__(self, content: bytes, base: int, order: str, steps: Steps) -> None:
        self._content = content
        self._base = base
        self._order = order
        self._steps = steps

    def spans(self) -> Iterator[Span]:
        pending, seen = self._pointers(self._base + 4, 1), set[int]()
        while pending:
            self._steps.take()
            offset = pending.pop()
            if offset == 0 or offset in seen:
                continue
            seen.add(offset)
            entries = self._entries(offset)
            for entry in entries:
                if entry.tag == _GPS:
                    for pointer in self._pointers(entry.start, 1, entry.kind):
                        yield from self._whole_directory(pointer)
                elif entry.tag in _DIRECTORIES:
                    pending += self._pointers(entry.start, entry.number, entry.kind)
                elif entry.tag == _IPTC:
                    yield from dataset_spans(self._content, entry.start, entry.start + entry.size, self._steps)
                elif entry.tag in _BLANKED and entry.size:
                    yield entry.start, entry.start + entry.size, b"\0"
            pending += self._pointers(self._base + offset + 2 + 12 * len(entries), 1)

    def _pointers(self, at: int, number: int, kind: int = 4) -> list[int]:
        size = 2 if kind == _SHORT else 4
        number = min(number, (len(self._content) - at) // size)
        if number <= 0:
            return []
        self._steps.take(number)
        return list(struct.unpack_from(f"{self._order}{number}{'H' if size == 2 else 'I'}", self._content, at))

    def _entries(self, offset: int) -> list[_Entry]:
        """Return the entries of a directory, as many as the file has; none if there is no directory."""
        at = self._base + offset
        if at + 2 > len(self._content):
            return []
        (count,) = struct.unpack_from(f"{self._order}H", self._content, at)
        count = min(count, (len(self._content) - at - 2) // 12)
        self._steps.take(count)
        return [self._entry(at + 2 + 12 * i) for i in range(count)]

    def _entry(self, at: int) -> _Entry:
        tag, kind, number, value = struct.unpack_from(f"{self._order}HHII", self._content, at)
        size = _TYPE_BYTES.get(kind, 0) * number
        start = at + 8 if size <= 4 else self._base + value
        return _Entry(tag, kind, number, start, size if start + size <= len(self._content) else 0)

    def _whole_directory(self, offset: int) -> Iterator[Span]:
        """Yield the spans of a directory and its values; of zeros, it is one without entries."""
        entries = self._entries(offset)
        for entry in entries:
            if entry.size > 4:
                yield entry.start, entry.start + entry.size, b"\0"
        at = self._base + offset
        if entries:
            yield at, at + 2 + 12 * len(entries), b"\0"
