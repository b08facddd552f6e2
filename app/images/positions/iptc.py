"""Find names of places in IPTC data, which Photoshop's resource blocks and TIFF files hold."""

import re
import struct
from collections.abc import Iterator
from typing import Final

from app.images.positions.patches import Span, Steps

_RESOURCE: Final = re.compile(rb"8BIM\x04\x04")
_PLACES: Final = frozenset({26, 27, 90, 92, 95, 100, 101})
"""Datasets of record 2: location code and name, city, sub-location, state, country code and name."""


def iptc_spans(content: bytes, steps: Steps) -> Iterator[Span]:
    """Yield the names of places in every IPTC resource block of a file.

    Raises:
        TooMuchMetadata: There are too many blocks or datasets.
    """
    for found in _RESOURCE.finditer(content):
        steps.take()
        at = found.end()
        if at >= len(content):
            return
        name_bytes = 1 + content[at]
        at += name_bytes + name_bytes % 2
        if at + 4 <= len(content):
            (size,) = struct.unpack_from(">I", content, at)
            yield from dataset_spans(content, at + 4, min(at + 4 + size, len(content)), steps)


def dataset_spans(content: bytes, start: int, end: int, steps: Steps) -> Iterator[Span]:
    """Yield the names of places in a sequence of IPTC datasets.

    Raises:
        TooMuchMetadata: There are too many.
    """
    at = start
    while at + 5 <= end and content[at] == 0x1C:
        steps.take()
        record, dataset, size = struct.unpack_from(">BBH", content, at + 1)
        at += 5
        if size & 0x8000:  # the length of the length of a long value, which no place has
            return
        if record == 2 and dataset in _PLACES and content[at : at + size].strip():
            yield at, min(at + size, end), b" "
        at += size
