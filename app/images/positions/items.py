"""Find positions in the metadata items of HEIC and AVIF, which may be in several parts or compressed."""

import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from app.images.positions.iptc import dataset_spans, iptc_spans
from app.images.positions.patches import Span, Steps
from app.images.positions.tiff import tiff_spans
from app.images.positions.xmp import xmp_spans

_METADATA: Final = frozenset({b"Exif", b"mime", b"uri "})
"""Types of items that hold metadata, not pixels."""
_MAX_ITEM_BYTES: Final = 8_000_000


class _NotSuchABox(ValueError):
    """A box has another form."""


@dataclass(slots=True)
class Item:
    """An item of metadata."""

    is_packed: bool
    parts: list[tuple[int, int]] = field(default_factory=list)
    """Start and end of its parts in the file, in order."""


def metadata_items(content: bytes, steps: Steps) -> list[Item]:
    """Return the metadata items of a file; none for other formats.

    Raises:
        TooMuchMetadata: There are too many.
    """
    if content[4:8] != b"ftyp":
        return []
    found: list[Item] = []
    for kind, start, end in _boxes(content, 0, len(content), steps):
        if kind == b"meta":
            # Decoders find no items in a box of another form either.
            with suppress(struct.error, IndexError, _NotSuchABox):
                found += _items(content, start + 4, end, steps)
    return found


def without_scattered(content: bytes, items: Sequence[Item]) -> bytes:
    """Return the file with zeros in the place of items in several parts.

    Within those, offsets of Exif data do not count bytes of the file: to follow them there would find pixels.
    """
    scattered = [part for item in items if len(item.parts) > 1 for part in item.parts]
    if not scattered:
        return content
    blanked = bytearray(content)
    for start, end in scattered:
        blanked[start:end] = bytes(end - start)
    return bytes(blanked)


def item_spans(content: bytes, items: Sequence[Item], steps: Steps) -> Iterator[Span]:
    """Yield what to overwrite in items that are in several parts, or compressed, which are overwritten unread.

    Raises:
        TooMuchMetadata: There are too many.
    """
    for item in items:
        yield from _spans_of(content, item, steps)


def _spans_of(content: bytes, item: Item, steps: Steps) -> Iterator[Span]:
    if item.is_packed or sum(end - start for start, end in item.parts) > _MAX_ITEM_BYTES:
        for start, end in item.parts:
            steps.take((end - start) // 100)  # parts may overlap
            if content[start:end].strip(b"\0"):
                yield start, end, b"\0"
        return
    if len(item.parts) < 2:
        return
    joined = b"".join(content[start:end] for start, end in item.parts)
    searches = (tiff_spans, xmp_spans, iptc_spans)
    found = [span for search in searches for span in search(joined, steps)]
    found += dataset_spans(joined, 0, len(joined), steps)
    at = 0  # in the joined parts
    for start, end in item.parts:
        steps.take(1 + len(found))
        for span_start, span_end, fill in found:
            first, last = max(span_start, at), min(span_end, at + end - start)
            if first < last:
                # Fills of several bytes are those of wide text, where each byte is 0 or a blank.
                yield start + first - at, start + last - at, fill[:1] if len(fill) == 1 else b" "
        at += end - start


def _boxes(content: bytes, start: int, end: int, steps: Steps) -> Iterator[tuple[bytes, int, int]]:
    """Yield the type of each box, and the start and end of its content."""
    at = start
    while at + 8 <= end:
        steps.take()
        size, kind = struct.unpack_from(">I4s", content, at)
        head = 8
        if size == 1:
            if at + 16 > end:
                return
            (size,) = struct.unpack_from(">Q", content, at + 8)
            head = 16
        stop = end if size == 0 else at + size
        if size and size < head:
            return
        yield kind, at + head, min(stop, end)
        at = stop


def _items(content: bytes, start: int, end: int, steps: Steps) -> list[Item]:
    """Return the metadata items of a ``meta`` box."""
    boxes = {kind: (at, stop) for kind, at, stop in _boxes(content, start, end, steps)}
    if b"iinf" not in boxes or b"iloc" not in boxes:
        return []
    items = dict(_described(content, *boxes[b"iinf"], steps))
    data_start = boxes[b"idat"][0] if b"idat" in boxes else None
    for number, parts in _located(content, *boxes[b"iloc"], data_start, steps):
        if number in items:
            items[number].parts = [
                (part_start, min(part_end, len(content)))
                for part_start, part_end in parts
                if part_start < min(part_end, len(content))
            ]
    return list(items.values())


def _described(content: bytes, start: int, end: int, steps: Steps) -> Iterator[tuple[int, Item]]:
    """Yield the number of each metadata item, and whether it is compressed."""
    at = start + (6 if content[start] == 0 else 8)
    for kind, entry, stop in _boxes(content, at, end, steps):
        version = content[entry]
        if kind != b"infe" or version < 2:
            continue
        form = ">HH4s" if version == 2 else ">IH4s"
        number, _, item_type = struct.unpack_from(form, content, entry + 4)
        if item_type not in _METADATA:
            continue
        texts = content[entry + 4 + struct.calcsize(form) : stop].split(b"\0")
        # The name, the media type and the encoding of the content.
        yield number, Item(is_packed=item_type == b"mime" and len(texts) > 2 and bool(texts[2]))


def _located(
    content: bytes, start: int, end: int, data_start: int | None, steps: Steps
) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Yield the number of each item, and where its parts are."""
    version, sizes = content[start], struct.unpack_from(">H", content, start + 4)[0]
    offset_size, length_size, base_size, index_size = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    reader = _Numbers(content, start + 6, end)
    for _ in range(reader.next(4 if version == 2 else 2)):
        number = reader.next(4 if version == 2 else 2)
        method = reader.next(2) & 15 if version else 0
        reader.next(2)
        base = reader.next(base_size)
        parts = []
        for _ in range(reader.next(2)):
            steps.take()
            if version:
                reader.next(index_size)
            offset, length = reader.next(offset_size), reader.next(length_size)
            origin = 0 if method == 0 else data_start
            if method < 2 and origin is not None:
                part = origin + base + offset
                parts.append((part, part + length if length else len(content)))
        yield number, parts


class _Numbers:
    """Reads numbers of different sizes, one after the other."""

    def __init__(self, content: bytes, at: int, end: int) -> None:
        self._content, self._at, self._end = content, at, end

    def next(self, size: int) -> int:
        """Return the next number.

        Raises:
            _NotSuchABox: The box has ended.
        """
        if self._at + size > self._end:
            raise _NotSuchABox
        number = int.from_bytes(self._content[self._at : self._at + size], "big")
        self._at += size
        return number
