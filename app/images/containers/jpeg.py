"""JPEG markers: the end of the picture, its coding, and its application segments."""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from app.domain.errors import UnsupportedFormat
from app.images.containers.exif import orientation_of
from app.images.containers.source import Source

_ICC: Final = b"ICC_PROFILE\0"
_EXIF: Final = b"Exif\0\0"
_ADOBE: Final = b"Adobe"
_SOI, _EOI, _SOS, _APP0, _APP1, _APP2, _APP14, _APP15, _COM = (
    0xD8,
    0xD9,
    0xDA,
    0xE0,
    0xE1,
    0xE2,
    0xEE,
    0xEF,
    0xFE,
)
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
_DECODED_FRAMES: Final = frozenset({0xC0, 0xC1, 0xC2, 0xC9, 0xCA})
"""Baseline, extended, progressive, and the last two with arithmetic coding."""
_ALONE: Final = frozenset({0x00, 0x01, _SOI, *range(0xD0, 0xD8)})
"""Markers without a length that may occur between segments."""
_PROGRESSIVE: Final = frozenset({0xC2, 0xCA})
_NAMES: Final = {0xC3: "lossless coding", 0xF7: "JPEG-LS coding", 0xCB: "lossless coding"}
_IN_SCAN: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""The end of a scan's data: a marker that is neither a stuffed byte nor a restart."""
_WINDOW: Final = 1_048_576
"""Bytes searched at a time, so that other threads get their turn."""
_MAX_FILL: Final = 65_536
"""Most fill bytes before a marker."""
_MAX_MARKERS: Final = 10_000
"""Most markers outside scans; pictures have a few hundred at most."""
_COEFFICIENTS: Final = 64


@dataclass(slots=True)
class Jpeg:
    """The structure of a JPEG."""

    frame: int = 0
    """Marker of the frame header; 0 if there is none."""
    bits: int = 8
    components: tuple[int, ...] = ()
    """Their identifiers."""
    scans: int = 0
    end: int | None = None
    """Offset after the end marker; None if it is missing."""
    is_whole: bool = False
    """Whether the scans contain all coefficients of each component at full precision."""
    has_adobe_marker: bool = False
    orientation: int | None = None
    kept: list[tuple[int, int]] = field(default_factory=list)
    """(start, end) offsets of the segments that a decoder needs."""
    profile_parts: dict[int, bytes] = field(default_factory=dict)
    profile_count: int = 0

    @property
    def icc_profile(self) -> bytes | None:
        """The ICC profile, joined from its segments; None if one is missing."""
        if not self.profile_count or set(self.profile_parts) != set(range(1, self.profile_count + 1)):
            return None
        return b"".join(self.profile_parts[i] for i in range(1, self.profile_count + 1))


@dataclass(frozen=True, slots=True)
class _Segment:
    marker: int
    start: int
    body: bytes
    """Payload after the length field."""
    end: int
    """Offset after the segment, or after the scan's data for a start of scan."""


def _segments(content: bytes) -> Iterator[_Segment]:
    """Yield the segments as a decoder reads them, up to the end marker or the first truncated segment.

    They also end where no picture continues: at a long run of fill bytes, or after very many markers.
    """
    at = 2
    for _ in range(_MAX_MARKERS):
        start = content.find(b"\xff", at)
        fill = content[start : start + _MAX_FILL]
        at = start + len(fill) - len(fill.lstrip(b"\xff"))
        if start < 0 or at - start == len(fill):
            return
        marker = content[at]
        at += 1
        if marker == _EOI:
            yield _Segment(marker, at - 2, b"", at)
            return
        if marker in _ALONE:
            continue
        length = int.from_bytes(content[at : at + 2], "big")
        body, end = content[at + 2 : at + length], at + length
        if length < 2 or end > len(content):
            return
        if marker == _SOS:
            end = _end_of_scan(content, end)
        yield _Segment(marker, start, body, end)
        at = end


def _end_of_scan(content: bytes, start: int) -> int:
    """Return the offset of the marker that ends a scan's data, or the end of the file."""
    for window in range(start, len(content), _WINDOW):
        # One byte more, as a marker has two.
        found = _IN_SCAN.search(content, window, window + _WINDOW + 1)
        if found is not None:
            return found.start()
    return len(content)


def parse_jpeg(content: bytes, *, max_scans: int) -> Jpeg:
    """Parse a JPEG's structure, up to its end or the first scan beyond ``max_scans``."""
    jpeg = Jpeg()
    jpeg.kept.append((0, 2))
    unrefined: dict[int, list[int]] = {}
    for segment in _segments(content):
        if segment.marker == _EOI:
            jpeg.end = segment.end
        elif segment.marker in _FRAMES and not jpeg.frame:
            jpeg.frame = segment.marker
            _read_frame(jpeg, segment.body)
            unrefined = {number: [1] * _COEFFICIENTS for number in jpeg.components}
        elif segment.marker == _SOS:
            jpeg.scans += 1
            _note_scan(jpeg, unrefined, segment.body)
        else:
            _read_application_data(jpeg, segment)
        if not _is_ancillary(segment.marker):
            jpeg.kept.append((segment.start, segment.end))
        if jpeg.scans > max_scans:
            break
    jpeg.is_whole = bool(unrefined) and not any(any(levels) for levels in unrefined.values())
    return jpeg


def _read_application_data(jpeg: Jpeg, segment: _Segment) -> None:
    body = segment.body
    if segment.marker == _APP1 and body.startswith(_EXIF) and jpeg.orientation is None:
        # The first block counts.
        jpeg.orientation = orientation_of(body)
    elif segment.marker == _APP2 and body.startswith(_ICC) and len(body) >= len(_ICC) + 2:
        jpeg.profile_count = body[len(_ICC) + 1]
        jpeg.profile_parts[body[len(_ICC)]] = body[len(_ICC) + 2 :]
    elif segment.marker == _APP14 and body.startswith(_ADOBE):
        jpeg.has_adobe_marker = True


def _is_ancillary(marker: int) -> bool:
    """Return whether no pixel depends on the segment: comments and application data, except JFIF and Adobe."""
    return marker == _COM or (_APP1 <= marker <= _APP15 and marker != _APP14)


def _read_frame(jpeg: Jpeg, body: bytes) -> None:
    if len(body) >= 6 and len(body) >= 6 + 3 * body[5]:
        jpeg.bits = body[0]
        jpeg.components = tuple(body[6 + 3 * i] for i in range(body[5]))


def _note_scan(jpeg: Jpeg, unrefined: dict[int, list[int]], body: bytes) -> None:
    """Record which coefficients a scan completes."""
    count = body[0] if body else 0
    if len(body) < 4 + 2 * count:
        return
    first, last, approximation = struct.unpack_from("BBB", body, 1 + 2 * count)
    is_progressive = jpeg.frame in _PROGRESSIVE
    if not is_progressive:
        first, last, approximation = 0, _COEFFICIENTS - 1, 0
    for i in range(count):
        levels = unrefined.get(body[1 + 2 * i])
        if levels is not None:
            for k in range(first, min(last + 1, _COEFFICIENTS)):
                levels[k] = approximation & 15


def read_jpeg(content: bytes, *, max_scans: int) -> Source:
    """Return the decoder input of a JPEG.

    Raises:
        UnsupportedFormat: The coding or the sample depth is not supported.
    """
    jpeg = parse_jpeg(content, max_scans=max_scans)
    if jpeg.frame and jpeg.frame not in _DECODED_FRAMES:
        raise UnsupportedFormat(
            f"JPEG with {_NAMES.get(jpeg.frame, 'hierarchical or lossless coding')} is not decoded; save it as "
            "a baseline or progressive JPEG, or as PNG"
        )
    if jpeg.bits != 8:
        raise UnsupportedFormat(
            f"JPEG with {jpeg.bits}-bit samples is not decoded; save it with 8-bit samples, or as PNG"
        )
    if len(jpeg.components) not in {0, 1, 3, 4}:
        raise UnsupportedFormat(f"JPEG with {len(jpeg.components)} components is not decoded")
    needed = b"".join(content[start:end] for start, end in jpeg.kept)
    is_unended = jpeg.end is None and jpeg.is_whole
    if is_unended:
        needed = needed.rstrip(b"\xff") + b"\xff\xd9"
    return Source(
        needed,
        orientation=jpeg.orientation or 1,
        icc_profile=jpeg.icc_profile,
        has_plain_inks=len(jpeg.components) == 4 and not jpeg.has_adobe_marker,
        is_unended=is_unended,
    )
