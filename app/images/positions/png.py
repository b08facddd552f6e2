"""Find positions in the text chunks of PNG files, which may be packed, and renew checksums."""

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from app.images.positions.iptc import dataset_spans, iptc_spans
from app.images.positions.patches import Patch, Steps, apply_patches, first_behind, merged
from app.images.positions.tiff import tiff_spans
from app.images.positions.xmp import xmp_spans

PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_MAX_TEXT_BYTES: Final = 4_000_000
"""What a compressed text chunk is unpacked to at most; a longer one is blanked unread."""
_MAX_ALL_TEXT_BYTES: Final = 8_000_000
"""What all text chunks of a file have together at most, unpacked; further ones are blanked unread."""
_KEYWORD: Final = re.compile(rb"gps|location|latitude|longitude|geo", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Chunk:
    """A chunk of a PNG file."""

    kind: bytes
    start: int
    """Offset of its data."""
    size: int


def text_patches(content: bytes, steps: Steps) -> Iterator[Patch]:
    """Yield patches that replace text chunks with a position by comments of spaces.

    Raises:
        TooMuchMetadata: There are too many chunks.
    """
    left = _MAX_ALL_TEXT_BYTES
    for chunk in _chunks(content):
        steps.take()
        if chunk.kind not in {b"tEXt", b"zTXt", b"iTXt", b"zxIf"}:
            continue
        octets = content[chunk.start : chunk.start + chunk.size]
        # Compressed EXIF data is not unpacked: what is in it besides a position is lost.
        text = _unpacked(chunk.kind, octets) if left > 0 and chunk.kind != b"zxIf" else None
        left -= _MAX_TEXT_BYTES if text is None else len(text)
        is_packed = chunk.kind != b"tEXt"
        if (
            text is None
            or _KEYWORD.search(octets.partition(b"\0")[0])
            or (is_packed and _names_place(text, steps))
            or _names_place(_from_hex(text), steps)
        ):
            comment = b"Comment\0"[: chunk.size]
            yield Patch(chunk.start - 4, b"tEXt" + comment + b" " * (chunk.size - len(comment)))


def with_checksums(content: bytes, patches: list[Patch]) -> list[Patch]:
    """Add the new checksums of the PNG chunks that patches change."""
    sums = []
    for chunk in _chunks(content):
        start, end = chunk.start - 4, chunk.start + chunk.size
        first = first_behind(patches, start)
        if first < len(patches) and patches[first].start < end:
            changed = apply_patches(content[start:end], start, patches)
            sums.append(Patch(end, struct.pack(">I", zlib.crc32(changed))))
    return merged([*patches, *sums])


def _chunks(content: bytes) -> Iterator[_Chunk]:
    at = len(PNG_SIGNATURE)
    while at + 12 <= len(content):
        (size,) = struct.unpack_from(">I", content, at)
        if at + 12 + size > len(content):
            return
        yield _Chunk(content[at + 4 : at + 8], at + 8, size)
        at += 12 + size


def _names_place(text: bytes, steps: Steps) -> bool:
    spans = (
        tiff_spans(text, steps),
        xmp_spans(text, steps),
        iptc_spans(text, steps),
        dataset_spans(text, 0, len(text), steps),
    )
    return any(True for found in spans for _ in found)


def _unpacked(kind: bytes, octets: bytes) -> bytes | None:
    """Return the text of a chunk; None if it cannot be read within the limits."""
    _, _, rest = octets.partition(b"\0")
    if kind == b"tEXt" or (kind == b"iTXt" and rest[:1] == b"\0"):
        return rest
    packed = rest[1:]
    if kind == b"iTXt":
        packed = packed[1:].partition(b"\0")[2].partition(b"\0")[2]
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(packed, _MAX_TEXT_BYTES)
    except zlib.error:
        return None
    return None if unpacker.unconsumed_tail else text


def _from_hex(text: bytes) -> bytes:
    """Return what a raw profile in a text holds, as ImageMagick writes it: a name, a length, lines of hex."""
    lines = text.split()
    if len(lines) < 3:
        return b""
    try:
        return bytes.fromhex(b"".join(lines[2:]).decode("ascii"))
    except ValueError:
        return b""
