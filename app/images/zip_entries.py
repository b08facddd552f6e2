"""List the entries of a zip archive from its central directory.

Source: PKWARE's APPNOTE.TXT 6.3.10, sections 4.3.7 (local header), 4.3.12 (central directory), 4.3.14 to 4.3.16
(its end), 4.4.5 (compression methods) and 4.5.3 (zip64 sizes); Info-ZIP's proginfo/extrafld.txt, "Unicode Path
Extra Field".
"""

import operator
import stat
import struct
import zlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
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

_LOCAL: Final = struct.Struct("<4s5H3I2H")
_CENTRAL: Final = struct.Struct("<4s6H3I5H2I")
_END: Final = struct.Struct("<4s4H2IH")
_END64_LOCATOR: Final = struct.Struct("<4sIQI")
_END64: Final = struct.Struct("<4sQ2H2I4Q")
_MAX_COMMENT: Final = 65_535
_ENCRYPTED: Final = 1
_UTF8: Final = 1 << 11
_STORED, _DEFLATED = 0, 8
_METHODS: Final = {
    9: "Deflate64",
    12: "bzip2",
    14: "LZMA",
    93: "Zstandard",
    95: "XZ",
    98: "PPMd",
}
_ZIP64_FIELD, _UNICODE_PATH_FIELD = 0x0001, 0x7075
_IN_ZIP64: Final = 0xFFFFFFFF
_DAMAGED: Final = "the zip archive's directory is damaged"
_OVERLAP: Final = "entries of the archive overlap"


@dataclass(frozen=True, slots=True)
class _Directory:
    start: int
    size: int
    count: int
    """Number of entries; some writers store it modulo 65,536."""
    shift: int
    """Bytes before the archive; its offsets are relative to their end."""


@dataclass(frozen=True, slots=True)
class _Central:
    """One record of the central directory."""

    flags: int
    method: int
    crc: int
    packed: int
    size: int
    mode: int
    header: int
    raw_name: str
    is_complete: bool
    """False if sizes that do not fit into 32 bits are missing."""


def has_zip_directory(archive: IO[bytes]) -> bool:
    """Return whether a file ends with a zip directory, regardless of its first bytes."""
    try:
        _find_directory(archive)
    except ArchiveRefused:
        return False
    return True


def list_zip(archive: IO[bytes], limits: ArchiveLimits) -> Iterator[ListedEntry]:
    """Yield the files of a zip archive in the order of its directory.

    Other data may precede the archive, as in a self-extracting one.

    Raises:
        ArchiveRefused: The archive is damaged, has overlapping entries, or contains more than ``limits`` allow.
    """
    directory = _find_directory(archive)
    tally = Tally(limits)
    extents = _Extents(directory.start)
    position, count = directory.start, 0
    while position < directory.start + directory.size:
        central, position = _read_central(archive, position, directory)
        count += 1
        if count > 2 * limits.max_entries:
            raise ArchiveRefused(
                f"the archive contains more than {limits.max_entries:,} files "
                "(LOOKALIKE_MAX_ARCHIVE_ENTRIES raises the limit)"
            )
        try:
            offset = _data_offset(archive, central, directory)
            extents.add(central.header, offset + central.packed)
            if is_folder(central.raw_name):
                continue
            name = vetted_name(central.raw_name)
            if name is None:
                yield IgnoredEntry()
                continue
            tally.check(name, central.packed, central.size)
            yield _vetted(central, name, offset)
        except EntryRefused as error:
            yield RefusedEntry(shown_name(central.raw_name), error)
    if (count - directory.count) % 0x10000:
        raise ArchiveRefused(_DAMAGED)
    extents.check()


def _vetted(central: _Central, name: str, offset: int) -> Entry:
    if stat.S_ISLNK(central.mode):
        raise EntryRefused("the entry is a link; pack the file that it points to")
    if stat.S_IFMT(central.mode) not in {0, stat.S_IFREG}:
        raise EntryRefused("the entry is a device, not a file")
    if central.flags & _ENCRYPTED:
        raise EntryRefused("the entry is encrypted; pack it without a password")
    if central.method not in {_STORED, _DEFLATED}:
        method = _METHODS.get(central.method, f"method {central.method}")
        raise EntryRefused(f"the entry is compressed with {method}; use deflate, which is the default of zip")
    if central.method == _STORED and central.packed != central.size:
        raise EntryRefused("the entry is damaged: it is stored, but its two sizes differ; pack it again")
    return Entry(name, offset, central.packed, central.size, central.method == _DEFLATED, central.crc)


class _Extents:
    """The byte ranges of an archive's entries, at 16 bytes of memory per run of adjacent entries."""

    def __init__(self, limit: int) -> None:
        """Require entries to end before byte ``limit``."""
        self._limit = limit
        self._starts, self._ends = array("q"), array("q")

    def add(self, start: int, end: int) -> None:
        """Add an entry, from its local header to the end of its data.

        Raises:
            EntryRefused: The entry overlaps the directory.
        """
        if end > self._limit:
            raise EntryRefused("the entry is damaged: it overlaps the archive's directory; pack it again")
        # A gap smaller than a header cannot contain an entry, so adjacent entries can be merged.
        if self._ends and 0 <= start - self._ends[-1] < _LOCAL.size:
            self._ends[-1] = end
        else:
            self._starts.append(start)
            self._ends.append(end)

    def check(self) -> None:
        """Check that no two runs overlap.

        Raises:
            ArchiveRefused: Two entries overlap.
        """
        if all(map(operator.le, self._ends, islice(self._starts, 1, None))):
            return
        # Only archives whose entries are out of order need numpy, which commands should not wait for.
        import numpy as np  # noqa: PLC0415

        first = np.frombuffer(self._starts, dtype=np.int64)
        last = np.frombuffer(self._ends, dtype=np.int64)
        order = np.argsort(first, kind="stable")
        if np.any(last[order][:-1] > first[order][1:]):
            raise ArchiveRefused(_OVERLAP)


def _find_directory(archive: IO[bytes]) -> _Directory:
    length = archive.seek(0, 2)
    tail_start = max(0, length - _MAX_COMMENT - _END.size)
    archive.seek(tail_start)
    tail = archive.read()
    refusal = ArchiveRefused("the zip archive is truncated: it has no directory")
    at = len(tail)
    # The archive's comment, or trailing data, may contain the same four bytes by chance.
    while (at := tail.rfind(b"PK\x05\x06", 0, at)) >= 0:
        if len(tail) - at < _END.size:
            continue
        try:
            return _directory_before(archive, _END.unpack_from(tail, at), tail_start + at)
        except ArchiveRefused as error:
            refusal = error
    raise refusal


def _directory_before(archive: IO[bytes], record: tuple[int, ...], end: int) -> _Directory:
    """Return the directory that an end record at ``end`` describes.

    Raises:
        ArchiveRefused: The directory is missing or damaged, or the archive is one of several parts.
    """
    _, disk, first_disk, here, count, size, start, _ = record
    end64 = _find_end64(archive, end)
    if end64 is not None:
        end, (_, _, _, _, disk, first_disk, here, count, size, start) = end64
    if disk or first_disk or here != count:
        raise ArchiveRefused("the zip archive is one part of several; join them into one file")
    # The directory ends at the end record, regardless of data before the archive.
    shift = end - size - start
    if shift < 0 or count * _CENTRAL.size > size:
        raise ArchiveRefused(_DAMAGED)
    if size:
        archive.seek(start + shift)
        if archive.read(4) != b"PK\x01\x02":
            raise ArchiveRefused(_DAMAGED)
    return _Directory(start + shift, size, count, shift)


def _find_end64(archive: IO[bytes], end: int) -> tuple[int, tuple[int, ...]] | None:
    """Return the position and fields of the zip64 end record for the end record at ``end``, if there is one."""
    locator_at = end - _END64_LOCATOR.size
    if locator_at < 0:
        return None
    archive.seek(locator_at)
    signature, _, declared, _ = _END64_LOCATOR.unpack(archive.read(_END64_LOCATOR.size))
    if signature != b"PK\x06\x07":
        return None
    # If other data precedes the archive, the record is not where the locator says, but just before the locator.
    for position in (declared, locator_at - _END64.size):
        if 0 <= position <= locator_at - _END64.size:
            archive.seek(position)
            record = archive.read(_END64.size)
            if record[:4] == b"PK\x06\x06":
                return position, _END64.unpack(record)
    raise ArchiveRefused(_DAMAGED)


def _read_central(archive: IO[bytes], position: int, directory: _Directory) -> tuple[_Central, int]:
    archive.seek(position)
    fixed = archive.read(_CENTRAL.size)
    if len(fixed) != _CENTRAL.size or fixed[:4] != b"PK\x01\x02":
        raise ArchiveRefused(_DAMAGED)
    fields = _CENTRAL.unpack(fixed)
    flags, method, crc, packed, size = fields[3], fields[4], fields[7], fields[8], fields[9]
    name_length, extra_length, comment_length = fields[10:13]
    attributes, header = fields[15], fields[16]
    variable = archive.read(name_length + extra_length)
    following = position + _CENTRAL.size + name_length + extra_length + comment_length
    if len(variable) != name_length + extra_length or following > directory.start + directory.size:
        raise ArchiveRefused(_DAMAGED)
    raw_name, extra = variable[:name_length], variable[name_length:]
    large = _with_zip64(extra, size, packed, header)
    size, packed, header = large or (size, packed, header)
    central = _Central(
        flags,
        method,
        crc,
        packed,
        size,
        attributes >> 16,
        header + directory.shift,
        _decoded_name(raw_name, flags, extra),
        large is not None,
    )
    return central, following


def _decoded_name(raw: bytes, flags: int, extra: bytes) -> str:
    """Decode a name by the archive's declarations, otherwise as UTF-8 if valid, otherwise as code page 437.

    macOS and Info-ZIP's zip write UTF-8 without setting the flag.
    """
    unicode_path = _extra_field(extra, _UNICODE_PATH_FIELD)
    if unicode_path is not None and len(unicode_path) > 5 and unicode_path[0] == 1:
        # Checksum of the raw name: a tool that ignores the field may have renamed the entry since.
        [checksum] = struct.unpack_from("<I", unicode_path, 1)
        if checksum == zlib.crc32(raw):
            return unicode_path[5:].decode("utf-8", "surrogateescape")
    if flags & _UTF8:
        return raw.decode("utf-8", "surrogateescape")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("cp437")


def _extra_field(extra: bytes, field_id: int) -> bytes | None:
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind == field_id:
            return extra[at + 4 : at + 4 + length]
        at += 4 + length
    return None


def _with_zip64(extra: bytes, size: int, packed: int, header: int) -> tuple[int, int, int] | None:
    """Read sizes and offset that do not fit into 32 bits from the zip64 field, which has only those, in order.

    Returns None if the field lacks one of them.
    """
    values = [size, packed, header]
    if _IN_ZIP64 not in values:
        return size, packed, header
    field = _extra_field(extra, _ZIP64_FIELD) or b""
    for i, value in enumerate(values):
        if value == _IN_ZIP64:
            if len(field) < 8:
                return None
            values[i] = struct.unpack_from("<Q", field)[0]
            field = field[8:]
    return values[0], values[1], values[2]


def _data_offset(archive: IO[bytes], central: _Central, directory: _Directory) -> int:
    """Return the offset of an entry's data.

    Raises:
        EntryRefused: The entry is not where the directory says.
    """
    damaged = EntryRefused("the entry is damaged: it is not where the archive's directory says; pack it again")
    if not central.is_complete or not 0 <= central.header <= directory.start - _LOCAL.size:
        raise damaged
    archive.seek(central.header)
    local = archive.read(_LOCAL.size)
    if len(local) != _LOCAL.size or local[:4] != b"PK\x03\x04":
        raise damaged
    name_length, extra_length = _LOCAL.unpack(local)[9:11]
    return int(central.header + _LOCAL.size + name_length + extra_length)
