"""From a picture's bytes to its code: decoded in a child, encoded in a micro-batch, off the event loop."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from app.domain.codes import codes_to_bytes, pack_signs
from app.domain.errors import PictureRefused
from app.domain.ids import sha256_hex
from app.encoding.batching import EncodedPicture
from app.encoding.encoder import Encoder
from app.images.decode import Crop, DecodedImage, Decoder
from app.images.orientations import turned
from app.services.models import ServingModel
from app.telemetry.metrics import PICTURES_REFUSED, STAGE_SECONDS

T = TypeVar("T")

Scaling = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
"""From a decoded picture, (H, W, 3) uint8, to an encoder's input, (S, S, 3) uint8."""


@dataclass(slots=True)
class StageTimes:
    """Milliseconds that each stage of one request took, in the order they ran."""

    ms: dict[str, float] = field(default_factory=dict)

    @asynccontextmanager
    async def measure(self, stage: str) -> AsyncIterator[None]:
        """Add the time spent inside to ``stage``."""
        start = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - start
            self.ms[stage] = self.ms.get(stage, 0.0) + seconds * 1e3
            STAGE_SECONDS.labels(stage).observe(seconds)


@dataclass(frozen=True, slots=True)
class PictureCode:
    """What the service learns from a picture's bytes."""

    model: str
    """The one that it was encoded under."""
    sha256: str
    width: int
    """Of the whole picture, upright, in pixels."""
    height: int
    media_type: str
    code: NDArray[np.uint64]
    """Shape (words,), uint64."""
    code_bytes: bytes
    """The same, as the database stores it."""
    y: NDArray[np.float32]
    """Hash-layer output, shape (bits,), float32."""
    descriptor: bytes | None
    """For re-ranking, where the model has one."""


@dataclass(frozen=True, slots=True)
class _Scaled:
    """What is kept of a picture that waits for its encoder; its pixels would take several times the space."""

    sha256: str
    width: int
    height: int
    media_type: str
    inputs: list[NDArray[np.uint8]]
    """For each scaling one, (S, S, 3) uint8."""


class PictureCoder:
    """Decodes and encodes pictures; queries and indexing share it, so equal pictures get equal codes."""

    def __init__(self, decoder: Decoder, *, decode_threads: int) -> None:
        """Use ``decoder`` from as many threads as it has children."""
        self._decoder = decoder
        self._threads = ThreadPoolExecutor(decode_threads, thread_name_prefix="decode")

    async def decode(self, content: bytes, *, crop: Crop | None = None) -> tuple[str, DecodedImage]:
        """Return the SHA-256 of ``content`` and its picture.

        Raises:
            PictureRefused: It is no picture, damaged, or over a limit.
        """
        return await self._in_thread(lambda: (sha256_hex(content), self._decoder.decode(content, crop=crop)))

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
            PictureRefused: It is no picture, damaged, or over a limit.
            Overloaded: Too many pictures wait to be encoded.
        """
        times = times or StageTimes()
        async with times.measure("decode"):
            scaled = await self._decode_and_scale(content, [model.encoder.prepare], crop)
        async with times.measure("encode"):
            encoded = await model.batcher.encode(scaled.inputs[0])
        return _picture_code(scaled, encoded, model)

    async def orientation_codes(
        self,
        content: bytes,
        model: ServingModel,
        orientations: Sequence[int],
        *,
        crop: Crop | None = None,
        times: StageTimes | None = None,
    ) -> tuple[PictureCode, NDArray[np.uint64]]:
        """Decode one picture once, and encode it turned in several ways.

        Args:
            content: The file.
            model: What encodes.
            orientations: EXIF numbers, the first of them 1: as it is.
            crop: The part to encode, as fractions of the upright picture.
            times: Where the time of each stage goes.

        Returns:
            The picture as it is, and the codes of all orientations, shape (len(orientations), words).

        Raises:
            PictureRefused: The file is no picture, damaged, or over a limit.
            Overloaded: Too many pictures wait to be encoded.
        """
        times = times or StageTimes()
        scalings = [partial(_turn_and_scale, model.encoder, number) for number in orientations]
        async with times.measure("decode"):
            scaled = await self._decode_and_scale(content, scalings, crop)
        async with times.measure("encode"):
            encoded = await asyncio.gather(*(model.batcher.encode(one) for one in scaled.inputs))
        codes = pack_signs(np.stack([one.y for one in encoded]))
        return _picture_code(scaled, encoded[0], model), codes

    async def codes(self, content: bytes, models: Sequence[ServingModel]) -> list[PictureCode]:
        """Decode a picture once and encode it under each of some models.

        Raises:
            PictureRefused: It is no picture, damaged, or over a limit.
            Overloaded: Too many pictures wait to be encoded.
        """
        times = StageTimes()
        scalings = [model.encoder.prepare for model in models]
        async with times.measure("decode"):
            scaled = await self._decode_and_scale(content, scalings, None)
        async with times.measure("encode"):
            return [
                _picture_code(scaled, await model.batcher.encode(one), model)
                for model, one in zip(models, scaled.inputs, strict=True)
            ]

    async def _decode_and_scale(
        self, content: bytes, scalings: Sequence[Scaling], crop: Crop | None
    ) -> _Scaled:
        """All of a picture's thread work in one turn: another turn would cost a tenth of a millisecond."""

        def work() -> _Scaled:
            picture = self._decoder.decode(content, crop=crop)
            inputs = [scale(picture.pixels) for scale in scalings]
            return _Scaled(sha256_hex(content), picture.width, picture.height, picture.media_type, inputs)

        return await self._in_thread(work)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except PictureRefused as refused:
            PICTURES_REFUSED.labels(refused.code).inc()
            raise

    def close(self) -> None:
        """End the threads and the decoding children."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._decoder.close()


def _turn_and_scale(encoder: Encoder, orientation: int, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return encoder.prepare(turned(pixels, orientation))


def _picture_code(scaled: _Scaled, encoded: EncodedPicture, model: ServingModel) -> PictureCode:
    codes = pack_signs(encoded.y.reshape(1, -1))  # (1, words)
    return PictureCode(
        model=model.artifact.name,
        sha256=scaled.sha256,
        width=scaled.width,
        height=scaled.height,
        media_type=scaled.media_type,
        code=codes[0],
        code_bytes=codes_to_bytes(codes, model.encoder.bits)[0],
        y=encoded.y,
        descriptor=None if encoded.descriptor is None else encoded.descriptor.tobytes(),
    )
