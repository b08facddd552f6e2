"""List the entries of a tar archive.

Source: POSIX.1-2001, "pax Interchange Format" (ustar and pax headers); the GNU tar manual, "Basic Tar Format"
(long names, numbers in base 256).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Final

from app.domain.errors import ArchiveRefused, EntryRefused
from app.images.entries import (
    ArchiveLimits,
    Entry,
    IgnoredEntry,
    ListedEntry,
    RefusedEntry,
    Tally,
    is_folder,
    shown_name,
    vetted_name,
)

_BLOCK: Final = 512
_MAX_HEADER_BYTES: Final = 65_536
_REGULAR: Final = frozenset({b"0", b"\0", b"7"})
_LONG_NAME: Final = b"L"
_PAX: Final = frozenset({b"x", b"X"})
_DESCRIBING: Final = frozenset({_LONG_NAME, b"K", b"g", *_PAX})
"""Headers that describe the next entry, or (``g``) all following ones."""
_NO_FILES: Final = frozenset({b"5", b"D", b"V"})
"""Folders, GNU tar's folder listings, and volume labels."""
_SPARSE: Final = b"S"
_REFUSED_KINDS: Final = {
    b"1": "the entry is a link; pack the file that it points to",
    b"2": "the entry is a link; pack the file that it points to",
    b"3": "the entry is a device, not a file",
    b"4": "the entry is a device, not a file",
    b"6": "the entry is a pipe, not a file",
    _SPARSE: "the entry is a sparse file; pack it without --sparse",
}
_DAMAGED: Final = "the tar archive is damaged"


def begins_like_tar(head: bytes) -> bool:
    """Return whether the first 512 bytes of a file are a tar header, including pre-POSIX ones."""
    try:
        _check(head)
    except ArchiveRefused:
        return False
    return bool(head.strip(b"\0"))


def list_tar(archive: IO[bytes], limits: ArchiveLimits) -> Iterator[ListedEntry]:
    """Yield the files of an uncompressed tar archive in order.

    Raises:
        ArchiveRefused: The archive is damaged, truncated, or contains more than ``limits`` allow.
    """
    tally = Tally(limits)
    for member in _members(archive, limits):
        try:
            if is_folder(member.raw_name):
                continue
            name = vetted_name(member.raw_name)
            if name is None:
                yield IgnoredEntry()
                continue
            tally.check(name, member.size, member.size)
            yield _vetted(member, name)
        except EntryRefused as error:
            yield RefusedEntry(shown_name(member.raw_name), error)


@dataclass(frozen=True, slots=True)
class _Member:
    raw_name: str
    kind: bytes
    offset: int
    size: int


def _vetted(member: _Member, name: str) -> Entry:
    if member.kind not in _REGULAR:
        raise EntryRefused(_REFUSED_KINDS.get(member.kind, f"the entry is of kind {member.kind!r}, not a file"))
    return Entry(name, member.offset, member.size, member.size)


def _members(archive: IO[bytes], limits: ArchiveLimits) -> Iterator[_Member]:
    """Yield all entries except folders, with the extension headers applied."""
    length = archive.seek(0, 2)
    position = 0
    described: dict[str, str] = {}
    # Bounds the number of headers: folders, links and extension headers do not count as files.
    for _ in range(4 * limits.max_entries + 4):
        archive.seek(position)
        header = archive.read(_BLOCK)
        if not header.strip(b"\0"):
            return
        _check(header)
        kind = header[156:157]
        size = _number(header[124:136])
        if "size" in described and kind not in _DESCRIBING:
            size = _decimal(described["size"])
        offset = position + _BLOCK
        if offset + size > length:
            raise ArchiveRefused("the tar archive is truncated")
        position = offset + -(-size // _BLOCK) * _BLOCK
        if kind == _LONG_NAME:
            described["path"] = _text(_header_content(archive, size))
        elif kind in _PAX:
            described |= _pax_records(_header_content(archive, size))
        elif kind not in _DESCRIBING:
            if kind not in _NO_FILES:
                # GNU tar stores a sparse file as a regular one that starts with a map; only pax records tell.
                is_sparse = any(key.startswith("GNU.sparse.") for key in described)
                name = described.get("GNU.sparse.name") or described.get("path") or _name(header)
                yield _Member(name, _SPARSE if is_sparse else kind, offset, size)
            described = {}
    raise ArchiveRefused(
        f"the archive contains more than {limits.max_entries:,} files "
        "(LOOKALIKE_MAX_ARCHIVE_ENTRIES raises the limit)"
    )


def _check(header: bytes) -> None:
    if len(header) != _BLOCK:
        raise ArchiveRefused("the tar archive is truncated")
    # The checksum is the sum of the header's bytes, with its own field as spaces.
    if _number(header[148:156]) != sum(header[:148]) + 8 * 32 + sum(header[156:]):
        raise ArchiveRefused(_DAMAGED)


def _number(field: bytes) -> int:
    if field[0] & 0x80:
        if field[0] != 0x80:
            raise ArchiveRefused(_DAMAGED)  # a negative size
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    if not digits:
        return 0
    if not digits.isdigit() or b"8" in digits or b"9" in digits:
        raise ArchiveRefused(_DAMAGED)
    return int(digits, 8)


def _decimal(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise ArchiveRefused(_DAMAGED)
    return int(text)


def _name(header: bytes) -> str:
    name = _text(header[:100])
    prefix = _text(header[345:500]) if header[257:263] == b"ustar\0" else ""
    return f"{prefix}/{name}" if prefix else name


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _header_content(archive: IO[bytes], size: int) -> bytes:
    if size > _MAX_HEADER_BYTES:
        raise ArchiveRefused("a header of the tar archive is too large")
    return archive.read(size)


def _pax_records(content: bytes) -> dict[str, str]:
    """Parse lines of ``LENGTH KEY=VALUE``; the length includes itself and the line feed."""
    records, at = {}, 0
    while at < len(content):
        digits, space, _ = content[at : at + 20].partition(b" ")
        if not space or not digits.isdigit():
            raise ArchiveRefused(_DAMAGED)
        length = int(digits)
        if length <= len(digits) + 1 or at + length > len(content):
            raise ArchiveRefused(_DAMAGED)
        key, _, value = content[at + len(digits) + 1 : at + length].rstrip(b"\n").partition(b"=")
        records[key.decode("utf-8", "replace")] = value.decode("utf-8", "surrogateescape")
        at += length
    return records
