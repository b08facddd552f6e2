"""Where the bytes of pictures live: a local folder or an object store, addressed by SHA-256."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Protocol

from app.domain.errors import PictureGone
from app.images.objects import ObstoreObjects, Pieces


class PictureStore(Protocol):
    """Keeps files by their SHA-256, and thumbnails beside them.

    Every method raises ``StorageUnavailable`` where the store does not answer.
    """

    async def put(self, sha256: str, content: bytes) -> None:
        """Keep ``content`` whole and durably before returning; keeping it again refreshes its age.

        Raises:
            StorageFull: There is no space left.
        """

    async def put_many(self, contents: Mapping[str, bytes]) -> None:
        """Keep files by their SHA-256, each whole and all durably before returning, as ``put`` does one.

        Raises:
            StorageFull: There is no space left; some may be kept.
        """

    async def missing(self, sha256s: Sequence[str]) -> list[str]:
        """Those that are not kept."""

    async def get(self, sha256: str) -> bytes:
        """The bytes.

        Raises:
            PictureGone: They are not kept.
        """

    async def read(self, sha256: str) -> Pieces:
        """The bytes, piece by piece.

        Raises:
            PictureGone: They are not kept.
        """

    async def exists(self, sha256: str) -> bool:
        """Whether they are kept."""

    async def last_modified(self, sha256: str) -> datetime | None:
        """When they were kept last, in UTC, or nothing where they are not."""

    async def delete(self, sha256: str) -> None:
        """Forget the bytes and their thumbnails; no error where there are none."""

    async def put_thumbnail(self, sha256: str, size: int, content: bytes) -> None:
        """Keep a thumbnail; it may be lost, as it can be made again."""

    async def get_thumbnail(self, sha256: str, size: int) -> bytes | None:
        """A kept thumbnail, or nothing."""


class ObstorePictureStore:
    """A picture store on whatever obstore reaches: ``file://``, ``memory://``, ``s3://``, ``gs://``, ``az://``."""

    THUMBNAIL_SIZES: Final = (64, 128, 256, 512)

    def __init__(self, url: str) -> None:
        """Use the store at ``url``; a local folder is created."""
        self._objects = ObstoreObjects(url)

    async def put(self, sha256: str, content: bytes) -> None:
        """Keep ``content`` whole and durably before returning; keeping it again refreshes its age."""
        await self._objects.put(_picture(sha256), content)

    async def put_many(self, contents: Mapping[str, bytes]) -> None:
        """Keep files by their SHA-256, each whole and all durably before returning."""
        await self._objects.put_many({_picture(sha256): content for sha256, content in contents.items()})

    async def missing(self, sha256s: Sequence[str]) -> list[str]:
        """Those that are not kept."""
        by_key = {_picture(sha256): sha256 for sha256 in sha256s}
        return [by_key[key] for key in await self._objects.missing(list(by_key))]

    async def get(self, sha256: str) -> bytes:
        """The bytes."""
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
        """Whether they are kept."""
        return await self.last_modified(sha256) is not None

    async def last_modified(self, sha256: str) -> datetime | None:
        """When they were kept last, in UTC, or nothing where they are not."""
        return await self._objects.last_modified(_picture(sha256))

    async def delete(self, sha256: str) -> None:
        """Forget the bytes and their thumbnails; no error where there are none."""
        keys = (_picture(sha256), *(_thumbnail(sha256, size) for size in self.THUMBNAIL_SIZES))
        await asyncio.gather(*(self._objects.delete(key) for key in keys))

    async def put_thumbnail(self, sha256: str, size: int, content: bytes) -> None:
        """Keep a thumbnail; it may be lost, as it can be made again."""
        await self._objects.put(_thumbnail(sha256, size), content, durable=False)

    async def get_thumbnail(self, sha256: str, size: int) -> bytes | None:
        """A kept thumbnail, or nothing."""
        return await self._objects.get(_thumbnail(sha256, size))


def _picture(sha256: str) -> str:
    # Two levels, so that no folder of a million pictures holds more than a few hundred entries.
    return f"pictures/{sha256[:2]}/{sha256[2:4]}/{sha256}"


def _thumbnail(sha256: str, size: int) -> str:
    return f"thumbnails/{sha256[:2]}/{sha256[2:4]}/{sha256}-{size}"
