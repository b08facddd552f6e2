"""Get back files of pictures that are missing from the picture store, or damaged in it."""

import structlog

from app.domain.errors import FetchFailed, PictureGone, PictureRefused, UrlNotAllowed
from app.domain.ids import sha256_hex
from app.domain.images import ImageRecord
from app.images.picture_sources import PictureSources
from app.images.storage import PictureStore
from app.services.operations.backups import Backups

_log = structlog.get_logger()


class LostFiles:
    """Looks for the same bytes in backups that copy pictures, and at the picture's own address."""

    def __init__(
        self, pictures: PictureStore, backups: Backups, sources: PictureSources, *, max_bytes: int
    ) -> None:
        """Restore files to ``pictures``; from an address at most ``max_bytes`` are read."""
        self._pictures = pictures
        self._backups = backups
        self._sources = sources
        self._max_bytes = max_bytes

    async def restore(self, image: ImageRecord) -> bool:
        """Store a picture's file again if its bytes are found; return whether they were.

        Raises:
            Unavailable: The picture store or a source does not answer.
        """
        content = await self._backups.picture(image.sha256)
        if content is None or sha256_hex(content) != image.sha256:
            content = await self._from_address(image)
        if content is None or sha256_hex(content) != image.sha256:
            return False
        await self._pictures.put(image.sha256, content)
        _log.info("stored_file_restored", sha256=image.sha256)
        return True

    async def _from_address(self, image: ImageRecord) -> bytes | None:
        if image.uri is None:
            return None
        try:
            return await self._sources.read(image.uri, self._max_bytes)
        except (FetchFailed, PictureGone, PictureRefused, UrlNotAllowed):
            return None
