"""The entries of a zip archive, from its central directory.

Source: PKWARE's APPNOTE.TXT 6.3.10, sections 4.3.7 (local header), 4.3.12 (central directory), 4.3.14 to 4.3.16
(its end) and 4.5.3 (zip64 sizes).
"""

import stat
import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Final

import numpy as np

from app.domain.errors import ArchiveRefused, EntryRefused
from app.images.entries import ArchiveLimits, Entry, RefusedEntry, Tally, shown_name, vetted_name

_LOCAL: Final = struct.Struct("<4s5H3I2H")
_CENTRAL: Final = struct.Struct("<4s6H3I5H2I")
_END: Final = struct.Struct("<4s4H2IH")
_END64_LOCATOR: Final = struct.Struct("<4sIQI")
_END64: Final = struct.Struct("<4sQ2H2I4Q")
_MAX_COMMENT: Final = 65_535
_ENCRYPTED: Final = 1
_UTF8: Final = 1 << 11
_STORED, _DEFLATED = 0, 8
_IN_ZIP64: Final = 0xFFFFFFFF
_DAMAGED: Final = "the zip archive's directory is damaged"
_OVERLAP: Final = "entries of the archive overlap"


@dataclass(frozen=True, slots=True)
class _Directory:
    start: int
    size: int
    count: int


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


def list_zip(archive: IO[bytes], limits: ArchiveLimits) -> Iterator[Entry | RefusedEntry]:
    """The files of a zip archive in the order of its directory.

    Raises:
        ArchiveRefused: It is damaged, its entries overlap, or it holds more than ``limits`` allow.
    """
    directory = _find_directory(archive)
    tally = Tally(limits)
    extents = _Extents(directory.start)
    place = directory.start
    for i in range(directory.count):
        central, place = _read_central(archive, place, directory)
        if i > 2 * limits.max_entries:
            raise ArchiveRefused(f"the archive holds more than {limits.max_entries:,} files")
        offset = _data_offset(archive, central, directory)
        extents.add(central.header, offset + central.packed)
        try:
            name = vetted_name(central.raw_name)
            if name is None:
                continue
            tally.check(name, central.packed, central.size)
            yield _vetted(central, name, offset)
        except EntryRefused as error:
            yield RefusedEntry(shown_name(central.raw_name), error)
    extents.check()


def _vetted(central: _Central, name: str, offset: int) -> Entry:
    if stat.S_IFMT(central.mode) not in {0, stat.S_IFREG}:
        raise EntryRefused("the entry is a link or a device, not a file")
    if central.flags & _ENCRYPTED:
        raise EntryRefused("the entry is encrypted")
    if central.method not in {_STORED, _DEFLATED}:
        raise EntryRefused("the entry is compressed by a method other than deflate")
    if central.method == _STORED and central.packed != central.size:
        raise EntryRefused("the entry is damaged: it is stored, and yet its sizes differ")
    return Entry(name, offset, central.packed, central.size, central.method == _DEFLATED, central.crc)


class _Extents:
    """Which bytes of an archive its entries take: 16 bytes a run of entries that follow one another."""

    def __init__(self, limit: int) -> None:
        """Entries end before byte ``limit``."""
        self._limit = limit
        self._starts, self._ends = array("q"), array("q")

    def add(self, start: int, end: int) -> None:
        """Take an entry in, from its local header to behind its last byte.

        Raises:
            ArchiveRefused: It reaches into the directory.
        """
        if end > self._limit:
            raise ArchiveRefused(_OVERLAP)
        # Where no entry's header fits between, none can lie: a run is as good as its entries one by one.
        if self._ends and 0 <= start - self._ends[-1] < _LOCAL.size:
            self._ends[-1] = end
        else:
            self._starts.append(start)
            self._ends.append(end)

    def check(self) -> None:
        """Compare the runs.

        Raises:
            ArchiveRefused: Two entries share a byte.
        """
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
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END.size:
        raise ArchiveRefused("the zip archive is cut off: it has no directory")
    _, disk, first_disk, here, count, size, start, _ = _END.unpack_from(tail, at)
    end = tail_start + at
    if _IN_ZIP64 in {size, start} or count == 0xFFFF:
        archive.seek(max(0, end - _END64_LOCATOR.size))
        locator = archive.read(_END64_LOCATOR.size)
        if locator[:4] == b"PK\x06\x07":
            _, _, end64, _ = _END64_LOCATOR.unpack(locator)
            archive.seek(min(end64, length))
            record = archive.read(_END64.size)
            if len(record) != _END64.size or record[:4] != b"PK\x06\x06":
                raise ArchiveRefused(_DAMAGED)
            _, _, _, _, disk, first_disk, here, count, size, start = _END64.unpack(record)
            end = end64
    if disk or first_disk or here != count:
        raise ArchiveRefused("the zip archive is one part of several")
    if start + size != end or count * _CENTRAL.size > size:
        raise ArchiveRefused(_DAMAGED)
    return _Directory(start, size, count)


def _read_central(archive: IO[bytes], place: int, directory: _Directory) -> tuple[_Central, int]:
    archive.seek(place)
    fixed = archive.read(_CENTRAL.size)
    if len(fixed) != _CENTRAL.size or fixed[:4] != b"PK\x01\x02":
        raise ArchiveRefused(_DAMAGED)
    fields = _CENTRAL.unpack(fixed)
    flags, method, crc, packed, size = fields[3], fields[4], fields[7], fields[8], fields[9]
    name_length, extra_length, comment_length = fields[10:13]
    attributes, header = fields[15], fields[16]
    variable = archive.read(name_length + extra_length)
    following = place + _CENTRAL.size + name_length + extra_length + comment_length
    if len(variable) != name_length + extra_length or following > directory.start + directory.size:
        raise ArchiveRefused(_DAMAGED)
    size, packed, header = _with_zip64(variable[name_length:], size, packed, header)
    raw = variable[:name_length].decode("utf-8" if flags & _UTF8 else "cp437", "surrogateescape")
    return _Central(flags, method, crc, packed, size, attributes >> 16, header, raw), following


def _with_zip64(extra: bytes, size: int, packed: int, header: int) -> tuple[int, int, int]:
    """Sizes and place that do not fit into 32 bits stand in an extra field, only those, in this order."""
    values = [size, packed, header]
    if _IN_ZIP64 not in values:
        return size, packed, header
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind == 1:
            field = extra[at + 4 : at + 4 + length]
            for i, value in enumerate(values):
                if value == _IN_ZIP64:
                    if len(field) < 8:
                        raise ArchiveRefused(_DAMAGED)
                    values[i] = struct.unpack_from("<Q", field)[0]
                    field = field[8:]
            return values[0], values[1], values[2]
        at += 4 + length
    raise ArchiveRefused(_DAMAGED)


def _data_offset(archive: IO[bytes], central: _Central, directory: _Directory) -> int:
    if not 0 <= central.header <= directory.start - _LOCAL.size:
        raise ArchiveRefused(_DAMAGED)
    archive.seek(central.header)
    local = archive.read(_LOCAL.size)
    if len(local) != _LOCAL.size or local[:4] != b"PK\x03\x04":
        raise ArchiveRefused(_DAMAGED)
    name_length, extra_length = _LOCAL.unpack(local)[9:11]
    return int(central.header + _LOCAL.size + name_length + extra_length)
