"""Remove where a picture was taken from its file without touching its pixels.

Positions are in the GPS directory of EXIF data and in XMP. EXIF data is a small TIFF file inside JPEG, PNG,
WebP, HEIF, AVIF and TIFF files, never compressed except in old PNG text chunks, so it is found by its own
structure instead of by each container's. Every position is overwritten in place: sizes and offsets stay valid.
"""

import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

_TIFF: Final = re.compile(rb"II\x2a\x00|MM\x00\x2a")
_XMP_ATTRIBUTE: Final = re.compile(rb"""GPS[A-Za-z]{1,40}\s{0,8}=\s{0,8}(["'])([^"'<>]{1,400})\1""")
_XMP_ELEMENT: Final = re.compile(
    rb"<([A-Za-z]{1,20}:GPS[A-Za-z]{1,40})(?:\s[^<>]{0,200})?>([^<]{1,400})</\1\s{0,8}>"
)
_GPS_POINTER: Final = 0x8825
_LAST_GPS_TAG: Final = 0x1F
_MAX_DIRECTORIES: Final = 16
_MAX_ENTRIES: Final = 512
_TYPE_BYTES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_MAX_TEXT_BYTES: Final = 4_000_000
"""What a compressed text chunk is unpacked to at most; a longer one is blanked unread."""


@dataclass(frozen=True, slots=True)
class Patch:
    """Bytes that replace others of the same length in a file."""

    start: int
    content: bytes

    @property
    def end(self) -> int:
        """Offset of the byte behind it."""
        return self.start + len(self.content)


def patches_against_positions(content: bytes) -> list[Patch]:
    """Return what to overwrite in a picture's file, ordered and without overlaps."""
    spans = [*_exif_spans(content), *_xmp_spans(content)]
    patches = [Patch(start, fill * (end - start)) for start, end, fill in spans]
    if content.startswith(_PNG):
        patches = [*patches, *_png_texts(content)]
    patches = _merged(patches)
    return _with_checksums(content, patches) if content.startswith(_PNG) else patches


def apply_patches(piece: bytes, start: int, patches: Sequence[Patch]) -> bytes:
    """Return a piece of a file, which begins at offset ``start``, with the patches applied."""
    changed = None
    for patch in patches:
        first, last = max(patch.start, start), min(patch.end, start + len(piece))
        if first < last:
            changed = changed if changed is not None else bytearray(piece)
            changed[first - start : last - start] = patch.content[first - patch.start : last - patch.start]
    return piece if changed is None else bytes(changed)


def _exif_spans(content: bytes) -> Iterator[tuple[int, int, bytes]]:
    for found in _TIFF.finditer(content):
        base, order = found.start(), "<" if found.group().startswith(b"II") else ">"
        try:
            for directory in _gps_directories(content, base, order):
                yield from _directory_spans(content, base, directory, order)
        except (struct.error, ValueError):
            continue  # these four bytes begin no EXIF data


def _gps_directories(content: bytes, base: int, order: str) -> Iterator[int]:
    """Yield the offsets, from ``base``, of the GPS directories that the chain of directories points to.

    Raises:
        ValueError: There is no such chain.
        struct.error: It leads out of the file.
    """
    (offset,) = struct.unpack_from(f"{order}I", content, base + 4)
    for _ in range(_MAX_DIRECTORIES):
        if offset == 0:
            return
        count = _entry_count(content, base + offset, order)
        for i in range(count):
            tag, kind, number, value = struct.unpack_from(f"{order}HHII", content, base + offset + 2 + 12 * i)
            if tag == _GPS_POINTER and kind in {4, 13} and number == 1:
                yield value
        (offset,) = struct.unpack_from(f"{order}I", content, base + offset + 2 + 12 * count)


def _entry_count(content: bytes, at: int, order: str) -> int:
    (count,) = struct.unpack_from(f"{order}H", content, at)
    if not 0 < count <= _MAX_ENTRIES:
        raise ValueError("no directory")
    return int(count)


def _directory_spans(content: bytes, base: int, offset: int, order: str) -> Iterator[tuple[int, int, bytes]]:
    """Yield the spans of a GPS directory and its values; of zeros, it is one without entries."""
    at = base + offset
    count = _entry_count(content, at, order)
    for i in range(count):
        tag, kind, number, value = struct.unpack_from(f"{order}HHII", content, at + 2 + 12 * i)
        if tag > _LAST_GPS_TAG or kind not in _TYPE_BYTES:
            raise ValueError("no GPS directory")
        size = _TYPE_BYTES[kind] * number
        if 4 < size <= len(content) - base - value:
            yield base + value, base + value + size, b"\0"
    yield at, min(at + 2 + 12 * count, len(content)), b"\0"


def _xmp_spans(content: bytes) -> Iterator[tuple[int, int, bytes]]:
    for pattern in (_XMP_ATTRIBUTE, _XMP_ELEMENT):
        for found in pattern.finditer(content):
            if found[2].strip():
                yield *found.span(2), b" "


@dataclass(frozen=True, slots=True)
class _Chunk:
    """A chunk of a PNG file."""

    kind: bytes
    start: int
    """Offset of its data."""
    size: int


def _chunks(content: bytes) -> Iterator[_Chunk]:
    at = len(_PNG)
    while at + 12 <= len(content):
        (size,) = struct.unpack_from(">I", content, at)
        if at + 12 + size > len(content):
            return
        yield _Chunk(content[at + 4 : at + 8], at + 8, size)
        at += 12 + size


def _png_texts(content: bytes) -> Iterator[Patch]:
    """Yield patches that replace text chunks with a packed position by comments of spaces."""
    for chunk in _chunks(content):
        if chunk.kind not in {b"tEXt", b"zTXt", b"iTXt"}:
            continue
        text = _unpacked(chunk.kind, content[chunk.start : chunk.start + chunk.size])
        if text is None or (chunk.kind != b"tEXt" and _names_place(text)) or _names_place(_from_hex(text)):
            comment = b"Comment\0"[: chunk.size]
            yield Patch(chunk.start - 4, b"tEXt" + comment + b" " * (chunk.size - len(comment)))


def _names_place(text: bytes) -> bool:
    return any(True for _ in _exif_spans(text)) or any(True for _ in _xmp_spans(text))


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


def _merged(patches: Sequence[Patch]) -> list[Patch]:
    """Order patches and cut overlaps off, so that each byte is in one."""
    merged: list[Patch] = []
    end = 0
    for patch in sorted(patches, key=lambda one: (one.start, -one.end)):
        if patch.end <= end:
            continue
        merged.append(Patch(max(patch.start, end), patch.content[max(0, end - patch.start) :]))
        end = patch.end
    return merged


def _with_checksums(content: bytes, patches: list[Patch]) -> list[Patch]:
    """Add the new checksums of the PNG chunks that patches change."""
    sums = []
    for chunk in _chunks(content):
        start, end = chunk.start - 4, chunk.start + chunk.size
        if any(patch.start < end and start < patch.end for patch in patches):
            changed = apply_patches(content[start:end], start, patches)
            sums.append(Patch(end, struct.pack(">I", zlib.crc32(changed))))
    return _merged([*patches, *sums])
