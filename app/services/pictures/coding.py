"""Compute a picture's code from its bytes: decode in a child process, encode in a micro-batch."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from app.concurrency import together
from app.domain.codes import codes_to_bytes, pack_signs
from app.domain.errors import PictureRefused
from app.domain.ids import sha256_hex
from app.domain.variants import WHOLE, QueryVariant, Region
from app.encoding.batching import EncodedPicture
from app.encoding.colours import colour_signature
from app.encoding.perceptual import PerceptualHash, perceptual_hash
from app.images.decode import Crop, DecodedImage, Decoder
from app.images.orientations import turned
from app.images.regions import cut
from app.images.spooled import Content, bytes_of
from app.services.model_registry.models import ServingModel
from app.services.pictures.turns import Turns
from app.services.pictures.weighted_semaphore import WeightedSemaphore
from app.telemetry.metrics import PICTURES_REFUSED, STAGE_SECONDS
from app.telemetry.usage import note_decoding

T = TypeVar("T")

VariantsOf = Callable[[NDArray[np.uint8]], Sequence[QueryVariant]]
"""Returns the variants of a decoded picture, (H, W, 3) uint8, to encode; the unchanged picture first."""

Scaling = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
"""Scales a decoded picture, (H, W, 3) uint8, to an encoder's input, (S, S, 3) uint8."""

SLICE_PICTURES: Final = 8
"""Largest number of pictures that a decoding child gets at a time."""
SLICE_BYTES: Final = 1_000_000
"""A slice ends with the picture that exceeds this number of bytes, so that large ones are decoded singly."""


def unchanged(_: NDArray[np.uint8]) -> Sequence[QueryVariant]:
    """Return the unchanged picture as the only variant."""
    return (QueryVariant(),)


@dataclass(slots=True)
class StageTimes:
    """Duration of each stage of a request, in milliseconds, in order."""

    ms: dict[str, float] = field(default_factory=dict)

    @asynccontextmanager
    async def measure(self, stage: str) -> AsyncIterator[None]:
        """Add the duration of the block to ``stage``."""
        start = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - start
            self.ms[stage] = self.ms.get(stage, 0.0) + seconds * 1e3
            STAGE_SECONDS.labels(stage).observe(seconds)


@dataclass(frozen=True, slots=True)
class StoredCode:
    """What the database stores of a picture's content under one model."""

    model: str
    sha256: str
    width: int
    """Width of the whole upright picture, in pixels."""
    height: int
    media_type: str
    code_bytes: bytes
    """The code in the database's format."""
    descriptor: bytes | None
    """Descriptor for re-ranking, if the model has one."""
    is_blank: bool
    """Whether the picture is nearly uniform, so that its code does not identify copies."""
    hash_bytes: bytes | None
    """The perceptual hash in the database's format; None if the picture has too little detail."""
    colours: bytes
    """The colour signature, 64 bytes."""


@dataclass(frozen=True, slots=True)
class PictureCode(StoredCode):
    """A picture's code under one model, as computed from its file."""

    code: NDArray[np.uint64]
    """Shape (words,), uint64."""
    y: NDArray[np.float32]
    """Hash-layer output, shape (bits,), float32."""
    perceptual: PerceptualHash | None
    """The perceptual hash in all orientations; None if the picture has too little detail."""


@dataclass(frozen=True, slots=True)
class HashedPicture:
    """The signatures of a picture or of a region, which need no model."""

    is_blank: bool
    """Whether the whole picture is."""
    perceptual: PerceptualHash | None
    colours: bytes


@dataclass(frozen=True, slots=True)
class _Scaled:
    """Encoder inputs of a decoded picture, which are several times smaller than its pixels."""

    sha256: str
    width: int
    height: int
    media_type: str
    is_blank: bool
    hashed: dict[Region, HashedPicture]
    """Signatures of each region among the variants; the first is the unchanged picture."""
    inputs: list[NDArray[np.uint8]]
    """One array for each variant and scaling, shape (S, S, 3), uint8."""
    variants: tuple[QueryVariant, ...]
    """The encoded variants; regions are those of the decoded part."""


class PictureCoder:
    """Decode and encode pictures of queries and additions, so that equal pictures get equal codes."""

    def __init__(self, decoder: Decoder, *, decode_threads: int) -> None:
        """Use ``decoder`` from ``decode_threads`` threads, and one more while queries and additions meet."""
        self._decoder = decoder
        self._threads = ThreadPoolExecutor(decode_threads + 1, thread_name_prefix="decode")
        self._decode_threads = decode_threads
        self._turns = Turns(decode_threads)
        # Two slices per thread: one to decode, one to encode. Further additions wait here, before their files
        # are read and before they take memory for the encoder's inputs. Counted in pictures: requests of one
        # picture each would wait for each other in four steps, and use a fraction of the memory.
        self._in_progress = WeightedSemaphore(2 * decode_threads * SLICE_PICTURES)

    async def decode(self, content: bytes, *, crop: Crop | None = None) -> tuple[str, DecodedImage]:
        """Return the SHA-256 of ``content`` and the decoded picture.

        Raises:
            PictureRefused: The file is not a picture, is damaged, or exceeds a limit.
        """
        try:
            async with self._turns.take(is_query=True):
                start = time.perf_counter()
                try:
                    return await self._in_thread(
                        lambda: (sha256_hex(content), self._decoder.decode(content, crop=crop))
                    )
                finally:
                    note_decoding(time.perf_counter() - start)
        except PictureRefused as refused:
            PICTURES_REFUSED.labels(refused.code).inc()
            raise

    async def code(
        self,
        content: bytes,
        model: ServingModel,
        *,
        crop: Crop | None = None,
        times: StageTimes | None = None,
    ) -> PictureCode:
        """Decode and encode one picture.

        Raises:
            PictureRefused: The file is not a picture, is damaged, or exceeds a limit.
            Overloaded: Too many pictures are waiting to be encoded.
        """
        times = times or StageTimes()
        async with times.measure("decode"):
            scaled = await self._decode_and_scale_one(content, [model.encoder.prepare], crop)
        async with times.measure("encode"):
            encoded = await model.batcher.encode_many(scaled.inputs)
        return _picture_codes([scaled], encoded, model)[0]

    async def variant_codes(
        self,
        content: bytes,
        model: ServingModel,
        variants_of: VariantsOf,
        *,
        crop: Crop | None = None,
        times: StageTimes | None = None,
    ) -> tuple[tuple[QueryVariant, ...], list[PictureCode]]:
        """Decode a picture once, and encode variants of it in one batch.

        Args:
            content: The file.
            model: The model.
            variants_of: Chooses the variants.
            crop: The part to encode, as fractions of the upright picture.
            times: Collects the duration of each stage.

        Returns:
            The variants, with regions of the whole upright picture, and the code of each.

        Raises:
            PictureRefused: The file is not a picture, is damaged, or exceeds a limit.
            Overloaded: Too many pictures are waiting to be encoded.
        """
        times = times or StageTimes()
        async with times.measure("decode"):
            scaled = await self._decode_and_scale_one(content, [model.encoder.prepare], crop, variants_of)
        async with times.measure("encode"):
            encoded = await model.batcher.encode_many(scaled.inputs)
        outer = WHOLE if crop is None else Region(*crop)
        regions = [variant.region for variant in scaled.variants]
        pictures = [replace(scaled, hashed={region: scaled.hashed[region]}) for region in regions]
        variants = tuple(replace(one, region=one.region.within(outer)) for one in scaled.variants)
        return variants, _picture_codes(pictures, encoded, model)

    async def codes(
        self, contents: Sequence[Content], models: Sequence[ServingModel]
    ) -> list[list[PictureCode] | PictureRefused]:
        """Decode each picture once and encode it under each model; queries go first.

        Args:
            contents: The files.
            models: The models.

        Returns:
            One entry for each picture, in order: its codes in the order of the models, or the refusal.

        Raises:
            Overloaded: Too many pictures are waiting to be encoded.
        """
        slices = _slices(contents, self._decode_threads)
        codes_of_slices = await together(self._slice_codes(files, models) for files in slices)
        return [codes for codes_of_slice in codes_of_slices for codes in codes_of_slice]

    async def hashes(self, contents: Sequence[Content]) -> list[HashedPicture | PictureRefused]:
        """Decode each picture and compute its signatures; queries go first.

        Returns:
            One entry for each picture, in order: its signatures, or the refusal.
        """
        hashed: list[HashedPicture | PictureRefused] = []
        for files in _slices(contents, self._decode_threads):
            async with self._in_progress.take(len(files)):
                outcomes = await self._decode_and_scale(files, (), None, is_query=False)
            hashed += [_hashed_of(one) if isinstance(one, _Scaled) else one for one in outcomes]
        return hashed

    async def _slice_codes(
        self, contents: Sequence[Content], models: Sequence[ServingModel]
    ) -> list[list[PictureCode] | PictureRefused]:
        scalings = [model.encoder.prepare for model in models]
        async with self._in_progress.take(len(contents)):
            outcomes = await self._decode_and_scale(contents, scalings, None, is_query=False)
            scaled = [outcome for outcome in outcomes if isinstance(outcome, _Scaled)]
            by_model = []
            for i, model in enumerate(models):
                inputs = [one.inputs[i] for one in scaled]
                encoded = await model.batcher.encode_many(inputs, is_query=False)
                by_model.append(_picture_codes(scaled, encoded, model))
        codes = iter([list(one) for one in zip(*by_model, strict=True)])
        return [outcome if isinstance(outcome, PictureRefused) else next(codes) for outcome in outcomes]

    async def _decode_and_scale_one(
        self,
        content: bytes,
        scalings: Sequence[Scaling],
        crop: Crop | None,
        variants_of: VariantsOf = unchanged,
    ) -> _Scaled:
        [outcome] = await self._decode_and_scale([content], scalings, crop, variants_of, is_query=True)
        if isinstance(outcome, PictureRefused):
            raise outcome
        return outcome

    async def _decode_and_scale(
        self,
        contents: Sequence[Content],
        scalings: Sequence[Scaling],
        crop: Crop | None,
        variants_of: VariantsOf = unchanged,
        *,
        is_query: bool,
    ) -> list[_Scaled | PictureRefused]:
        """Decode and scale pictures in one or more turns; between two turns, queries go first."""
        outcomes: list[_Scaled | PictureRefused] = []
        alone = False
        while len(outcomes) < len(contents):
            remaining = contents[len(outcomes) :]
            async with self._turns.take(is_query=is_query):
                start = time.perf_counter()
                decoded = await self._in_thread(
                    partial(
                        self._decode_some,
                        remaining,
                        scalings,
                        crop,
                        variants_of,
                        alone=alone,
                        is_query=is_query,
                    )
                )
                note_decoding(time.perf_counter() - start)
            # Without a result, the child died or timed out: decode singly from here on to find the picture.
            alone = alone or not decoded
            outcomes += decoded
        for outcome in outcomes:
            if isinstance(outcome, PictureRefused):
                PICTURES_REFUSED.labels(outcome.code).inc()
        return outcomes

    def _decode_some(
        self,
        contents: Sequence[Content],
        scalings: Sequence[Scaling],
        crop: Crop | None,
        variants_of: VariantsOf,
        *,
        alone: bool,
        is_query: bool,
    ) -> list[_Scaled | PictureRefused]:
        """Read, decode and scale pictures in one call to a thread; each further call would take 0.1 ms."""
        files = [bytes_of(content) for content in (contents[:1] if alone else contents)]
        decoded = self._decoder.decode_some(files, crop=crop, alone=alone, is_query=is_query)
        return [
            _scaled(content, outcome, scalings, variants_of(outcome.pixels))
            if isinstance(outcome, DecodedImage)
            else outcome
            for content, outcome in zip(files, decoded, strict=False)
        ]

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def close(self) -> None:
        """Stop the threads and the decoding children."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._decoder.close()


def _scaled(
    content: bytes, picture: DecodedImage, scalings: Sequence[Scaling], variants: Sequence[QueryVariant]
) -> _Scaled:
    inputs = [scale(_shown(picture.pixels, variant)) for variant in variants for scale in scalings]
    return _Scaled(
        sha256=sha256_hex(content),
        width=picture.width,
        height=picture.height,
        media_type=picture.media_type,
        is_blank=picture.is_blank,
        hashed={
            region: _hashed(picture, region) for region in dict.fromkeys(variant.region for variant in variants)
        },
        inputs=inputs,
        variants=tuple(variants),
    )


def _hashed(picture: DecodedImage, region: Region) -> HashedPicture:
    pixels = picture.pixels if region == WHOLE else cut(picture.pixels, region)
    perceptual = None if picture.is_blank else perceptual_hash(pixels)
    return HashedPicture(picture.is_blank, perceptual, colour_signature(pixels))


def _hashed_of(scaled: _Scaled) -> HashedPicture:
    return next(iter(scaled.hashed.values()))


def _shown(pixels: NDArray[np.uint8], variant: QueryVariant) -> NDArray[np.uint8]:
    if variant.region != WHOLE:
        pixels = cut(pixels, variant.region)
    return turned(pixels, variant.orientation) if variant.orientation != 1 else pixels


def _picture_codes(
    scaled: Sequence[_Scaled], encoded: Sequence[EncodedPicture], model: ServingModel
) -> list[PictureCode]:
    if not scaled:
        return []
    codes = pack_signs(np.stack([one.y for one in encoded]))  # (n, words)
    return [
        PictureCode(
            model=model.artifact.name,
            sha256=picture.sha256,
            width=picture.width,
            height=picture.height,
            media_type=picture.media_type,
            code=code,
            code_bytes=code_bytes,
            y=one.y,
            descriptor=None if one.descriptor is None else one.descriptor.tobytes(),
            is_blank=picture.is_blank,
            hash_bytes=None if hashed.perceptual is None else hashed.perceptual.code_bytes,
            colours=hashed.colours,
            perceptual=hashed.perceptual,
        )
        for picture, hashed, one, code, code_bytes in zip(
            scaled,
            map(_hashed_of, scaled),
            encoded,
            codes,
            codes_to_bytes(codes, model.encoder.bits),
            strict=True,
        )
    ]


def _slices(contents: Sequence[Content], threads: int) -> list[Sequence[Content]]:
    """Split files into slices for single threads, such that every thread gets some."""
    max_pictures = min(SLICE_PICTURES, math.ceil(len(contents) / threads))
    slices: list[list[Content]] = []
    size = SLICE_BYTES
    for content in contents:
        if size >= SLICE_BYTES or len(slices[-1]) == max_pictures:
            slices.append([])
            size = 0
        slices[-1].append(content)
        size += len(content)
    return list(slices)
