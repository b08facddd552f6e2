"""Read archives of pictures entry by entry, within limits, without extracting anything to disk.

``zipfile`` and ``tarfile`` are not used: they keep every entry in memory and accept overlapping entries (33 kB
that unpack to 5 GB), and older versions of ``tarfile`` loop for ever on a header with a negative size. Only a
small part of both formats is needed.
"""

import zlib
from collections.abc import Iterator
from typing import IO, Final

from app.domain.errors import ArchiveRefused
from app.images.entries import CHUNK, ArchiveLimits, ListedEntry
from app.images.tar_entries import begins_like_tar, list_tar
from app.images.zip_entries import has_zip_directory, list_zip

_GZIP: Final = 16 + zlib.MAX_WBITS
"""The ``wbits`` value with which zlib reads gzip."""
_GZIP_MAGIC: Final = b"\x1f\x8b"
_OTHER_ARCHIVES: Final = {
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a RAR archive",
    b"BZh": "bzip2 data",
    b"\xfd7zXZ\x00": "xz data",
    b"\x28\xb5\x2f\xfd": "Zstandard data",
}


def kind_of(archive: IO[bytes]) -> str:
    """Return ``zip``, ``tar`` or ``gzip`` by the first bytes, or by the last ones for a zip after other data.

    Raises:
        ArchiveRefused: The file is none of these.
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
    raise ArchiveRefused("the file is not a zip, tar or tar.gz archive")


def unpack_gzip(packed: IO[bytes], target: IO[bytes], limits: ArchiveLimits) -> None:
    """Decompress a gzip stream into ``target``, so that the tar file in it is seekable.

    Raises:
        ArchiveRefused: The stream is damaged, or decompresses to more than ``limits`` allow.
    """
    packed.seek(0)
    total = 0
    for chunk in _gunzipped(packed):
        total += len(chunk)
        if total > limits.max_unpacked_bytes or total > limits.max_ratio * packed.tell() + CHUNK:
            raise ArchiveRefused(
                "the archive decompresses to more than LOOKALIKE_MAX_ARCHIVE_UNPACKED_BYTES allows"
            )
        target.write(chunk)


def _gunzipped(packed: IO[bytes]) -> Iterator[bytes]:
    """Yield the decompressed members of a gzip stream; ignore trailing data, as gzip does.

    ``gzip.GzipFile`` would lose the last bytes before trailing data.
    """
    inflater, members, pending = None, 0, b""
    while pending := pending or packed.read(CHUNK):
        if inflater is None:
            if members:
                pending = pending.lstrip(b"\0")  # tapes pad the last block with zeros
                pending += packed.read(CHUNK) if len(pending) < len(_GZIP_MAGIC) else b""
                if not pending.startswith(_GZIP_MAGIC):
                    return
            inflater = zlib.decompressobj(_GZIP)
        try:
            while unpacked := inflater.decompress(pending, CHUNK):
                yield unpacked
                pending = inflater.unconsumed_tail
        except zlib.error as error:
            raise ArchiveRefused("the gzip data is damaged") from error
        pending = inflater.unused_data
        if inflater.eof:
            inflater, members = None, members + 1
    if inflater is not None or not members:
        raise ArchiveRefused("the gzip data is truncated")


def list_archive(archive: IO[bytes], limits: ArchiveLimits) -> Iterator[ListedEntry]:
    """Yield the files of a zip or tar archive in order; skip folders.

    Memory does not grow with the number of files, except for up to 16 bytes per file of a zip.

    Raises:
        ArchiveRefused: The archive is damaged, or contains more than ``limits`` allow. Raised on the way: files
            may have been yielded before.
    """
    kind = kind_of(archive)
    if kind == "gzip":
        raise ArchiveRefused("the gzip data contains gzip data again; compress the tar once")
    yield from (list_zip if kind == "zip" else list_tar)(archive, limits)
