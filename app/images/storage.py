"""Store the bytes of pictures by SHA-256 in a local folder or an object store."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Protocol

from app.domain.errors import PictureGone
from app.images.objects import ObstoreObjects, Pieces


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
        """Return the bytes of a file.

        Raises:
            PictureGone: The file is not stored.
        """

    async def read(self, sha256: str) -> Pieces:
        """The bytes, piece by piece.

        Raises:
            PictureGone: They are not kept.
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
        """Return the bytes of a file."""
        content = await self._objects.get(_picture(sha256))
        if content is None:
            raise PictureGone("the picture's bytes are no longer in the store")
        return content

    async def read(self, sha256: str) -> Pieces:
        """The bytes, piece by piece."""
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
        await self._objects.put(_thumbnail(sha256, size), content, durable=False)

    async def get_thumbnail(self, sha256: str, size: int) -> bytes | None:
        """Return a stored thumbnail, or None."""
        return await self._objects.get(_thumbnail(sha256, size))


def _picture(sha256: str) -> str:
    # Two levels, so that with a million pictures no folder has more than a few hundred entries.
    return f"pictures/{sha256[:2]}/{sha256[2:4]}/{sha256}"


def _thumbnail(sha256: str, size: int) -> str:
    return f"thumbnails/{sha256[:2]}/{sha256[2:4]}/{sha256}-{size}"
