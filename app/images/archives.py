"""Archives of pictures, entry by entry and under caps: nothing is extracted to a path that an entry names.

``zipfile`` and ``tarfile`` are not used: they hold every entry in memory, accept entries that overlap (33 kB
that unpack to 5 GB), and ``tarfile`` of older Pythons loops for ever on a header of negative size. What is
needed of both formats is little.
"""

import gzip
import zlib
from collections.abc import Iterator
from typing import IO

from app.domain.errors import ArchiveRefused
from app.images.entries import CHUNK, ArchiveLimits, Entry, RefusedEntry
from app.images.tar_entries import list_tar
from app.images.zip_entries import list_zip


def kind_of(archive: IO[bytes]) -> str:
    """``zip``, ``tar`` or ``gzip``, by the first bytes.

    Raises:
        ArchiveRefused: It is none of them.
    """
    archive.seek(0)
    head = archive.read(512)
    if head[:4] in {b"PK\x03\x04", b"PK\x05\x06"}:
        return "zip"
    if head[:2] == b"\x1f\x8b":
        return "gzip"
    if head[257:262] == b"ustar":
        return "tar"
    raise ArchiveRefused("the file is no zip, tar or tar.gz archive")


def unpack_gzip(packed: IO[bytes], target: IO[bytes], limits: ArchiveLimits) -> None:
    """Unpack a gzip stream into ``target``, so that the tar inside can be read at any place.

    Raises:
        ArchiveRefused: It is damaged, or unpacks to more than ``limits`` allow.
    """
    packed.seek(0)
    total = 0
    try:
        with gzip.GzipFile(fileobj=packed, mode="rb") as stream:
            while chunk := stream.read(CHUNK):
                total += len(chunk)
                if total > limits.max_unpacked_bytes or total > limits.max_ratio * packed.tell() + CHUNK:
                    raise ArchiveRefused("the archive unpacks to more than is accepted")
                target.write(chunk)
    except (OSError, EOFError, zlib.error) as error:
        if isinstance(error, OSError) and not isinstance(error, gzip.BadGzipFile):
            raise
        raise ArchiveRefused("the gzip data is damaged or cut off") from error


def list_archive(archive: IO[bytes], limits: ArchiveLimits) -> Iterator[Entry | RefusedEntry]:
    """The files of a zip or tar archive in their order; folders and hidden files are passed over.

    Memory does not grow with the number of files but for 16 bytes each of a zip.

    Raises:
        ArchiveRefused: It is damaged, or holds more than ``limits`` allow. Files may have been listed before.
    """
    kind = kind_of(archive)
    if kind == "gzip":
        raise ArchiveRefused("unpack the gzip stream first")
    yield from (list_zip if kind == "zip" else list_tar)(archive, limits)
