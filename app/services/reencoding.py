"""Encode stored pictures under another model, from the bytes that the picture store keeps."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from app.domain.errors import LookalikeError, PictureDamaged, PictureGone, PictureRefused
from app.domain.ids import sha256_hex
from app.images.storage import PictureStore
from app.services.models import Models, ServingModel
from app.services.picture_codes import PictureCoder
from app.store.engine import Database
from app.store.records import ImageCode, ImageRecord
from app.store.unit_of_work import WriteUnit

GAP: Final = 100
"""So few pictures without a code are encoded while an activation waits; more are a job's work."""
_BATCH: Final = 32


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

    async def write(self, unit: WriteUnit, collection_pk: int, model: str) -> int:
        """Keep the codes, and the reasons where there is none; returns how many codes were new."""
        await unit.coverage.note_unencoded(collection_pk, model, [(f.image, f.error.code) for f in self.failed])
        return len(await unit.coverage.put_codes(collection_pk, self.codes))


class Reencoding:
    """Encodes pictures that are stored already."""

    def __init__(self, database: Database, pictures: PictureStore, models: Models, coder: PictureCoder) -> None:
        """Join the picture store and the encoders."""
        self._database = database
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
        outcomes = await asyncio.gather(*(self._encode_one(image, serving) for image in images))
        encoded = Encoded()
        for image, outcome in zip(images, outcomes, strict=True):
            if isinstance(outcome, ImageCode):
                encoded.codes.append((image, outcome))
            else:
                encoded.failed.append(Unencoded(image, outcome))
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

    async def _encode_one(self, image: ImageRecord, model: ServingModel) -> ImageCode | LookalikeError:
        if not image.has_bytes:
            return PictureGone("the collection keeps references only")
        try:
            content = await self._pictures.get(image.sha256)
            if sha256_hex(content) != image.sha256:
                return PictureDamaged()
            coded = await self._coder.code(content, model)
        except (PictureGone, PictureRefused) as error:
            return error
        return ImageCode(coded.model, coded.code_bytes, coded.descriptor)
