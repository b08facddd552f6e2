"""Encode or hash stored pictures again, from the stored files or from their URIs."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from app.domain.colours import COLOUR_MODEL
from app.domain.errors import (
    FetchFailed,
    LookalikeError,
    PictureDamaged,
    PictureGone,
    PictureRefused,
    UrlNotAllowed,
)
from app.domain.ids import sha256_hex
from app.domain.images import ImageCode, ImageRecord
from app.domain.perceptual import NO_HASH, PERCEPTUAL_MODEL
from app.domain.signatures import SIGNATURES
from app.images.picture_sources import PictureSources
from app.images.storage import PictureStore
from app.services.model_registry.models import Models
from app.services.pictures.coding import PictureCoder
from app.store.engine import Database
from app.store.unit_of_work import WriteUnit

MAX_GAP: Final = 100
"""Largest number of pictures without a code to encode during an activation; more need a job."""
_BATCH: Final = 32
FETCHES: Final = 8
"""Number of referenced pictures read concurrently."""


@dataclass(frozen=True, slots=True)
class EncodingFailure:
    """A picture that could not be encoded, and why."""

    image: ImageRecord
    error: LookalikeError


@dataclass(slots=True)
class EncodingResult:
    """Codes of pictures, and failures."""

    codes: list[tuple[ImageRecord, ImageCode]] = field(default_factory=list)
    failed: list[EncodingFailure] = field(default_factory=list)
    without_hash: list[ImageRecord] = field(default_factory=list)
    """Pictures that have too little detail for a perceptual hash."""
    blank: list[tuple[ImageRecord, bool]] = field(default_factory=list)
    """Pictures whose stored ``is_blank`` is wrong, with the right value."""

    async def write(self, unit: WriteUnit, collection_pk: int, model: str) -> int:
        """Write the codes and the reasons of failures; return the number of new codes under ``model``."""
        await unit.coverage.mark_blank(self.blank)
        stored = 0
        for name in SIGNATURES if model in SIGNATURES else (model,):
            reasons = [(f.image, f.error.code) for f in self.failed]
            if name == PERCEPTUAL_MODEL:
                reasons += [(image, NO_HASH) for image in self.without_hash]
            await unit.coverage.note_unencoded(collection_pk, name, reasons)
            codes = [(image, code) for image, code in self.codes if code.model == name]
            count = len(await unit.coverage.put_codes(collection_pk, codes))
            stored += count if name == model else 0
        return stored


class Reencoding:
    """Encode stored pictures."""

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
        """Encode pictures of ``database``.

        Args:
            database: Contains the rows.
            pictures: Contains the stored files.
            models: Loads the model.
            coder: Decodes and encodes.
            sources: Reads pictures that are stored as references only.
            max_bytes: Largest accepted picture from ``sources``, in bytes.
        """
        self._database = database
        self._sources = sources
        self._max_bytes = max_bytes
        self._fetching = asyncio.Semaphore(FETCHES)
        self._pictures = pictures
        self._models = models
        self._coder = coder

    async def encode(self, images: Sequence[ImageRecord], model: str) -> EncodingResult:
        """Read, decode and encode pictures concurrently, without holding a transaction.

        Raises:
            UnknownModel: The model does not exist.
            ArtifactRefused: The model is damaged.
            Unavailable: The picture store does not answer.
        """
        serving = await self._models.serving(model)
        contents = await asyncio.gather(*(self._content_or_error(image) for image in images))
        readable = [content for content in contents if isinstance(content, bytes)]
        codes = iter(await self._coder.codes(readable, [serving]))
        result = EncodingResult()
        for image, content in zip(images, contents, strict=True):
            outcome = next(codes) if isinstance(content, bytes) else content
            if isinstance(outcome, LookalikeError):
                result.failed.append(EncodingFailure(image, outcome))
            else:
                result.codes += [(image, ImageCode(c.model, c.code_bytes, c.descriptor)) for c in outcome]
                result.blank += [(image, c.is_blank) for c in outcome if c.is_blank != image.is_blank]
        return result

    async def hash(self, images: Sequence[ImageRecord]) -> EncodingResult:
        """Read and decode pictures and compute their signatures, without holding a transaction.

        Returns:
            The signatures, as codes under the names of ``SIGNATURES``.

        Raises:
            Unavailable: The picture store does not answer.
        """
        contents = await asyncio.gather(*(self._content_or_error(image) for image in images))
        readable = [content for content in contents if isinstance(content, bytes)]
        hashed = iter(await self._coder.hashes(readable))
        result = EncodingResult()
        for image, content in zip(images, contents, strict=True):
            outcome = next(hashed) if isinstance(content, bytes) else content
            if isinstance(outcome, LookalikeError):
                result.failed.append(EncodingFailure(image, outcome))
                continue
            result.codes.append((image, ImageCode(COLOUR_MODEL, outcome.colours)))
            if outcome.perceptual is None:
                result.without_hash.append(image)
            else:
                code = ImageCode(PERCEPTUAL_MODEL, outcome.perceptual.code_bytes)
                result.codes.append((image, code))
            if outcome.is_blank != image.is_blank:
                result.blank.append((image, outcome.is_blank))
        return result

    async def close_gap(self, collection_pk: int, model: str) -> None:
        """Encode up to about ``MAX_GAP`` untried pictures, which were added during a job's last pass.

        Raises:
            Unavailable: The database or the picture store does not answer.
        """
        for _ in range(0, MAX_GAP, _BATCH):
            async with self._database.read() as unit:
                images = await unit.coverage.missing_images(
                    collection_pk, model, after=-1, limit=_BATCH, untried=True
                )
            if not images:
                return
            result = await self.encode(images, model)
            async with self._database.write() as writing:
                await result.write(writing, collection_pk, model)

    async def unreadable(self, images: Sequence[ImageRecord]) -> list[EncodingFailure]:
        """Try to read pictures as ``content`` does; return those that cannot be read, and why.

        Raises:
            Unavailable: The picture store does not answer.
        """
        contents = await asyncio.gather(*(self._content_or_error(image) for image in images))
        return [
            EncodingFailure(image, content)
            for image, content in zip(images, contents, strict=True)
            if isinstance(content, LookalikeError)
        ]

    async def _content_or_error(self, image: ImageRecord) -> bytes | LookalikeError:
        try:
            return await self.content(image)
        except (PictureGone, PictureRefused, UrlNotAllowed, FetchFailed) as error:
            return error

    async def content(self, image: ImageRecord) -> bytes:
        """Read the file that was added, from the picture store, or from the picture's URI.

        Raises:
            PictureGone: The file is missing from the store, or is not stored and the picture has no URI.
            FileDamaged: The stored file has changed.
            PictureDamaged: The file at the URI is not the file that was added.
            UrlNotAllowed: The URI may not be read.
            FetchFailed: The URI cannot be read.
            ImageTooLarge: The file at the URI is larger than accepted.
            StorageUnavailable: A store does not answer.
        """
        if image.has_bytes:
            return await self._pictures.get(image.sha256)
        if image.uri is None:
            raise PictureGone("the collection stores references only, and the picture has no uri")
        async with self._fetching:
            content = await self._sources.read(image.uri, self._max_bytes)
        # Refuse changed files, so that the codes under all models are of the same picture.
        if sha256_hex(content) != image.sha256:
            raise PictureDamaged("the file at the picture's uri is not the file that was added")
        return content
