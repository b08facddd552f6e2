"""Store the bytes of pictures by SHA-256 in a local folder or an object store."""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Protocol

import structlog

from app.domain.errors import FileDamaged, PictureGone
from app.domain.ids import sha256_hex
from app.images.objects import ObstoreObjects, Pieces

_log = structlog.get_logger()

_LONG: Final = 262_144
"""Bytes from which a checksum is computed in a thread."""
_SEAL: Final = b"LKTHUMB1"
_SEAL_BYTES: Final = len(_SEAL) + hashlib.sha256().digest_size


class PictureStore(Protocol):
    """Protocol of a store of files by SHA-256, with their thumbnails.

    Every method raises ``StorageUnavailable`` if the store does not respond.
    """

    async def put(self, sha256: str, content: bytes) -> None:
        """Store ``content`` atomically and durably; storing it again updates its modification time.

        Raises:
            StorageFull: There is no space left.
        """

    async def put_many(self, contents: Mapping[str, bytes]) -> None:
        """Store files by SHA-256, each atomically and all durably.

        Raises:
            StorageFull: There is no space left; some files may be stored.
        """

    async def missing(self, sha256s: Sequence[str]) -> list[str]:
        """Return those of the files that are not stored."""

    async def get(self, sha256: str) -> bytes:
        """Return the bytes of a file, after comparing them with the checksum.

        Raises:
            PictureGone: The file is not stored.
            FileDamaged: It is not the file that was stored.
        """

    async def read(self, sha256: str) -> Pieces:
        """Return a file that is read piece by piece; nothing is compared with the checksum.

        Raises:
            PictureGone: The file is not stored.
        """

    async def exists(self, sha256: str) -> bool:
        """Return whether a file is stored."""

    async def last_modified(self, sha256: str) -> datetime | None:
        """Return when a file was last stored, in UTC, or None."""

    async def delete(self, sha256: str) -> None:
        """Delete a file and its thumbnails if they exist."""

    async def put_thumbnail(self, sha256: str, size: int, content: bytes) -> None:
        """Store a thumbnail, not durably, since it can be made again."""

    async def get_thumbnail(self, sha256: str, size: int) -> bytes | None:
        """Return a stored thumbnail, or None."""


class ObstorePictureStore:
    """A picture store on any obstore backend: ``file://``, ``memory://``, ``s3://``, ``gs://``, ``az://``."""

    THUMBNAIL_SIZES: Final = (64, 128, 256, 512)

    def __init__(self, url: str) -> None:
        """Use the store at ``url``; a local folder is created."""
        self._objects = ObstoreObjects(url)

    async def put(self, sha256: str, content: bytes) -> None:
        """Store ``content`` atomically and durably; storing it again updates its modification time."""
        await self._objects.put(_picture(sha256), content)

    async def put_many(self, contents: Mapping[str, bytes]) -> None:
        """Store files by SHA-256, each atomically and all durably."""
        await self._objects.put_many({_picture(sha256): content for sha256, content in contents.items()})

    async def missing(self, sha256s: Sequence[str]) -> list[str]:
        """Return those of the files that are not stored."""
        by_key = {_picture(sha256): sha256 for sha256 in sha256s}
        return [by_key[key] for key in await self._objects.missing(list(by_key))]

    async def get(self, sha256: str) -> bytes:
        """Return the bytes of a file, after comparing them with the checksum."""
        content = await self._objects.get(_picture(sha256))
        if content is None:
            raise PictureGone("the picture's bytes are no longer in the store")
        found = sha256_hex(content) if len(content) < _LONG else await asyncio.to_thread(sha256_hex, content)
        if found != sha256:
            _log.error("stored_file_damaged", sha256=sha256)
            raise FileDamaged
        return content

    async def read(self, sha256: str) -> Pieces:
        """Return a file that is read piece by piece."""
        content = await self._objects.read(_picture(sha256))
        if content is None:
            raise PictureGone("the picture's bytes are no longer in the store")
        return content

    async def exists(self, sha256: str) -> bool:
        """Return whether a file is stored."""
        return await self.last_modified(sha256) is not None

    async def last_modified(self, sha256: str) -> datetime | None:
        """Return when a file was last stored, in UTC, or None."""
        return await self._objects.last_modified(_picture(sha256))

    async def delete(self, sha256: str) -> None:
        """Delete a file and its thumbnails if they exist."""
        keys = (_picture(sha256), *(_thumbnail(sha256, size) for size in self.THUMBNAIL_SIZES))
        await asyncio.gather(*(self._objects.delete(key) for key in keys))

    async def put_thumbnail(self, sha256: str, size: int, content: bytes) -> None:
        """Store a thumbnail, not durably, since it can be made again."""
        await self._objects.put(_thumbnail(sha256, size), _sealed(content), durable=False)

    async def get_thumbnail(self, sha256: str, size: int) -> bytes | None:
        """Return a stored thumbnail; None if there is none, or none that is intact."""
        stored = await self._objects.get(_thumbnail(sha256, size))
        if stored is None:
            return None
        content = _unsealed(stored)
        if content is None:
            _log.info("thumbnail_made_again", sha256=sha256, size=size)
        return content


def _sealed(content: bytes) -> bytes:
    return _SEAL + hashlib.sha256(content).digest() + content


def _unsealed(stored: bytes) -> bytes | None:
    """Return what ``_sealed`` took; None for a damaged file, or one of a version that stored no checksum."""
    digest, content = stored[len(_SEAL) : _SEAL_BYTES], stored[_SEAL_BYTES:]
    is_intact = stored.startswith(_SEAL) and hashlib.sha256(content).digest() == digest
    return content if is_intact else None


def _picture(sha256: str) -> str:
    # Two levels, so that with a million pictures no folder has more than a few hundred entries.
    return f"pictures/{sha256[:2]}/{sha256[2:4]}/{sha256}"


def _thumbnail(sha256: str, size: int) -> str:
    return f"thumbnails/{sha256[:2]}/{sha256[2:4]}/{sha256}-{size}"
