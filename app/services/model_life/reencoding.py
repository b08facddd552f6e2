"""Encode stored pictures under another model: from the bytes that are kept, or else from their uris."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from app.domain.errors import (
    FetchFailed,
    LookalikeError,
    PictureDamaged,
    PictureGone,
    PictureRefused,
    UrlNotAllowed,
)
from app.domain.ids import sha256_hex
from app.images.picture_sources import PictureSources
from app.images.storage import PictureStore
from app.services.model_registry.models import Models
from app.services.pictures.coding import PictureCoder
from app.store.engine import Database
from app.store.records import ImageCode, ImageRecord
from app.store.unit_of_work import WriteUnit

GAP: Final = 100
"""So few pictures without a code are encoded while an activation waits; more are a job's work."""
_BATCH: Final = 32
FETCHES: Final = 8
"""Referenced pictures read at one time."""


@dataclass(frozen=True, slots=True)
class Unencoded:
    """A picture that has no code, and why."""

    image: ImageRecord
    error: LookalikeError


@dataclass(slots=True)
class Encoded:
    """What became of some pictures."""

    codes: list[tuple[ImageRecord, ImageCode]] = field(default_factory=list)
    failed: list[Unencoded] = field(default_factory=list)
    blank: list[tuple[ImageRecord, bool]] = field(default_factory=list)
    """Pictures whose mark of being blank differs from what was found now."""

    async def write(self, unit: WriteUnit, collection_pk: int, model: str) -> int:
        """Keep the codes, and the reasons where there is none; returns how many codes were new."""
        await unit.coverage.mark_blank(self.blank)
        await unit.coverage.note_unencoded(collection_pk, model, [(f.image, f.error.code) for f in self.failed])
        return len(await unit.coverage.put_codes(collection_pk, self.codes))


class Reencoding:
    """Encodes pictures that are stored already."""

    def __init__(
        self,
        database: Database,
        pictures: PictureStore,
        models: Models,
        coder: PictureCoder,
        sources: PictureSources,
        *,
        max_bytes: int,
    ) -> None:
        """Join the picture store and the encoders.

        Args:
            database: Whose pictures are encoded.
            pictures: Where their bytes are kept.
            models: What encodes them.
            coder: Decodes and encodes.
            sources: Where those are read whose bytes are not kept, as an import reads them.
            max_bytes: Largest picture that is read from there, in bytes.
        """
        self._database = database
        self._sources = sources
        self._max_bytes = max_bytes
        self._fetching = asyncio.Semaphore(FETCHES)
        self._pictures = pictures
        self._models = models
        self._coder = coder

    async def encode(self, images: Sequence[ImageRecord], model: str) -> Encoded:
        """Read, decode and encode pictures, all at one time, with no transaction open.

        Raises:
            UnknownModel: There is no such model.
            ArtifactRefused: The model is damaged.
            Unavailable: The picture store does not answer; nothing is known of the pictures.
        """
        serving = await self._models.serving(model)
        contents = await asyncio.gather(*(self._content_or_error(image) for image in images))
        read = [content for content in contents if isinstance(content, bytes)]
        coded = iter(await self._coder.codes(read, [serving]))
        encoded = Encoded()
        for image, content in zip(images, contents, strict=True):
            outcome = next(coded) if isinstance(content, bytes) else content
            if isinstance(outcome, LookalikeError):
                encoded.failed.append(Unencoded(image, outcome))
            else:
                encoded.codes += [(image, ImageCode(c.model, c.code_bytes, c.descriptor)) for c in outcome]
                encoded.blank += [(image, c.is_blank) for c in outcome if c.is_blank != image.is_blank]
        return encoded

    async def close_gap(self, collection_pk: int, model: str) -> None:
        """Encode at most ``GAP`` pictures that were never tried: those that came in beside a job's last pass.

        Raises:
            Unavailable: The database or the picture store does not answer.
        """
        for _ in range(0, GAP, _BATCH):
            async with self._database.read() as unit:
                images = await unit.coverage.missing_images(
                    collection_pk, model, after=-1, limit=_BATCH, untried=True
                )
            if not images:
                return
            encoded = await self.encode(images, model)
            async with self._database.write() as writing:
                await encoded.write(writing, collection_pk, model)

    async def _content_or_error(self, image: ImageRecord) -> bytes | LookalikeError:
        try:
            return await self._content(image)
        except (PictureGone, PictureRefused, UrlNotAllowed, FetchFailed) as error:
            return error

    async def _content(self, image: ImageRecord) -> bytes:
        """The very bytes that were added.

        Raises:
            PictureGone: They are not kept any more, or were not, and the picture has no address.
            PictureDamaged: Others lie in their place.
            UrlNotAllowed: They are not kept, and its address is not one to read from.
            FetchFailed: They are not kept, and nothing comes from its address.
            ImageTooLarge: What comes from there is larger than what is accepted.
            StorageUnavailable: A store does not answer.
        """
        if image.has_bytes:
            content = await self._pictures.get(image.sha256)
            if sha256_hex(content) != image.sha256:
                raise PictureDamaged
            return content
        if image.uri is None:
            raise PictureGone("the collection keeps references only, and the picture has no uri")
        async with self._fetching:
            content = await self._sources.read(image.uri, self._max_bytes)
        # The distances under both models must be of one picture.
        if sha256_hex(content) != image.sha256:
            raise PictureDamaged("what lies at the picture's uri is not the file that was added")
        return content
