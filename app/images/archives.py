"""Archives of pictures, entry by entry and under caps: nothing is extracted to a path that an entry names.

``zipfile`` and ``tarfile`` are not used: they hold every entry in memory, accept entries that overlap (33 kB
that unpack to 5 GB), and ``tarfile`` of older Pythons loops for ever on a header of negative size. What is
needed of both formats is little.
"""

import zlib
from collections.abc import Iterator
from typing import IO, Final

from app.domain.errors import ArchiveRefused
from app.images.entries import CHUNK, ArchiveLimits, ListedEntry
from app.images.tar_entries import begins_like_tar, list_tar
from app.images.zip_entries import has_zip_directory, list_zip

_GZIP: Final = 16 + zlib.MAX_WBITS
"""zlib's number for gzip's form."""
_GZIP_MAGIC: Final = b"\x1f\x8b"
_OTHER_ARCHIVES: Final = {
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a RAR archive",
    b"BZh": "bzip2 data",
    b"\xfd7zXZ\x00": "xz data",
    b"\x28\xb5\x2f\xfd": "Zstandard data",
}


def kind_of(archive: IO[bytes]) -> str:
    """``zip``, ``tar`` or ``gzip``, by the first bytes; of a zip that stands behind others, by the last ones.

    Raises:
        ArchiveRefused: It is none of them.
    """
    archive.seek(0)
    head = archive.read(512)
    if head[:4] in {b"PK\x03\x04", b"PK\x05\x06"}:
        return "zip"
    if head.startswith(_GZIP_MAGIC):
        return "gzip"
    if head[257:262] == b"ustar" or begins_like_tar(head):
        return "tar"
    if has_zip_directory(archive):
        return "zip"
    found = [name for magic, name in _OTHER_ARCHIVES.items() if head.startswith(magic)]
    if found:
        raise ArchiveRefused(f"the file is {found[0]}; send a zip, tar or tar.gz archive")
    raise ArchiveRefused("the file is no zip, tar or tar.gz archive")


def unpack_gzip(packed: IO[bytes], target: IO[bytes], limits: ArchiveLimits) -> None:
    """Unpack a gzip stream into ``target``, so that the tar inside can be read at any place.

    Raises:
        ArchiveRefused: It is damaged, or unpacks to more than ``limits`` allow.
    """
    packed.seek(0)
    total = 0
    for chunk in _gunzipped(packed):
        total += len(chunk)
        if total > limits.max_unpacked_bytes or total > limits.max_ratio * packed.tell() + CHUNK:
            raise ArchiveRefused("the archive unpacks to more than is accepted")
        target.write(chunk)


def _gunzipped(packed: IO[bytes]) -> Iterator[bytes]:
    """What a gzip stream holds, member after member; what follows the last is passed over, as gzip does.

    ``gzip.GzipFile`` would lose the last bytes before what follows.
    """
    inflater, members, at_hand = None, 0, b""
    while at_hand := at_hand or packed.read(CHUNK):
        if inflater is None:
            if members:
                at_hand = at_hand.lstrip(b"\0")  # a tape's last block is filled up
                at_hand += packed.read(CHUNK) if len(at_hand) < len(_GZIP_MAGIC) else b""
                if not at_hand.startswith(_GZIP_MAGIC):
                    return
            inflater = zlib.decompressobj(_GZIP)
        try:
            while unpacked := inflater.decompress(at_hand, CHUNK):
                yield unpacked
                at_hand = inflater.unconsumed_tail
        except zlib.error as error:
            raise ArchiveRefused("the gzip data is damaged") from error
        at_hand = inflater.unused_data
        if inflater.eof:
            inflater, members = None, members + 1
    if inflater is not None or not members:
        raise ArchiveRefused("the gzip data is cut off")


def list_archive(archive: IO[bytes], limits: ArchiveLimits) -> Iterator[ListedEntry]:
    """The files of a zip or tar archive in their order; folders are passed over.

    Memory does not grow with the number of files but for 16 bytes each of a zip.

    Raises:
        ArchiveRefused: It is damaged, or holds more than ``limits`` allow. Files may have been listed before.
    """
    kind = kind_of(archive)
    if kind == "gzip":
        raise ArchiveRefused("the gzip data holds gzip data again; compress the tar once")
    yield from (list_zip if kind == "zip" else list_tar)(archive, limits)
