"""Queries that arrive together are encoded together, by one thread, from a queue that is bounded."""

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from app.domain.errors import Overloaded
from app.encoding.encoder import Encoder, EncoderOutput


@dataclass(frozen=True, slots=True)
class EncodedPicture:
    """What an encoder says about one picture."""

    y: NDArray[np.float32]
    """Shape (bits,)."""
    descriptor: NDArray[np.int8] | None
    """Shape (m,), or None where the model has none."""


@dataclass(frozen=True, slots=True, eq=False)
class _Caller:
    outcome: asyncio.Future[list[EncodedPicture]]
    count: int
    """Pictures that it waits for."""
    encoded: list[EncodedPicture] = field(default_factory=list)
    """The first of them, as runs end; pictures keep their order in the queue."""


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    prepared: NDArray[np.uint8]
    caller: _Caller


class MicroBatcher:
    """Feeds one encoder from one event loop.

    An idle encoder starts at once on whatever arrives, so nothing waits for a batch to fill; while it works,
    arrivals queue up and make the next batch. Use as ``async with MicroBatcher(encoder) as batcher``.
    """

    def __init__(
        self, encoder: Encoder, *, max_batch: int = 8, max_waiting: int = 64, retry_after_s: int = 1
    ) -> None:
        """Prepare the worker thread; it starts with the first picture.

        Args:
            encoder: Who encodes.
            max_batch: Pictures handed to the encoder at a time.
            max_waiting: Pictures that may queue behind the running batch.
            retry_after_s: What a refused caller is told to wait, in seconds.
        """
        self._encoder = encoder
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._retry_after_s = retry_after_s
        self._waiting: deque[_Waiting] = deque()
        self._drain: asyncio.Task[None] | None = None
        self._is_closed = False
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="encode")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    @property
    def waiting(self) -> int:
        """Pictures that queue behind the running batch."""
        return len(self._waiting)

    async def encode(self, prepared: NDArray[np.uint8]) -> EncodedPicture:
        """Encode one prepared picture, together with those that arrive meanwhile.

        A caller that is cancelled gives up its place in the queue.

        Args:
            prepared: Shape (S, S, 3), uint8, from the encoder's ``prepare``.

        Raises:
            Overloaded: The queue is full, or the service is shutting down.
        """
        return (await self.encode_many([prepared]))[0]

    async def encode_many(self, prepared: Sequence[NDArray[np.uint8]]) -> list[EncodedPicture]:
        """Encode prepared pictures of one caller, who waits for all of them at once; else as ``encode``.

        They queue one behind the other and go to the encoder in runs of ``max_batch`` like everybody's, so that
        who comes after them waits no longer than behind as many callers.

        Args:
            prepared: Each of shape (S, S, 3), uint8, from the encoder's ``prepare``.

        Returns:
            One entry a picture, in their order.

        Raises:
            Overloaded: There is no room in the queue for all of them, or the service is shutting down.
        """
        if not prepared:
            return []
        if self._is_closed or len(self._waiting) + len(prepared) > self._max_waiting:
            raise Overloaded(retry_after_s=self._retry_after_s)
        caller = _Caller(asyncio.get_running_loop().create_future(), len(prepared))
        self._waiting.extend(_Waiting(one, caller) for one in prepared)
        if self._drain is None or self._drain.done():
            self._drain = asyncio.create_task(self._encode_waiting())
        try:
            return await caller.outcome
        except BaseException:
            # Cancelled, or a run has failed: the rest of its pictures would be encoded for nobody.
            self._waiting = deque(entry for entry in self._waiting if entry.caller is not caller)
            raise

    async def aclose(self) -> None:
        """Refuse new pictures, finish those that wait, end the thread."""
        self._is_closed = True
        if self._drain is not None:
            await self._drain
        self._thread.shutdown()

    async def _encode_waiting(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(self._max_batch, len(self._waiting)))]
            run = loop.run_in_executor(self._thread, self._encode, batch)
            await asyncio.wait([run])  # whatever fails, the callers get it, and this loop goes on
            _settle(batch, run)

    def _encode(self, batch: Sequence[_Waiting]) -> EncoderOutput:
        return self._encoder.encode(np.stack([entry.prepared for entry in batch]))


def _settle(batch: list[_Waiting], run: asyncio.Future[EncoderOutput]) -> None:
    error = run.exception()
    for i, entry in enumerate(batch):
        caller = entry.caller
        if caller.outcome.done():  # cancelled while its batch ran, or failed with an earlier one
            continue
        if error is not None:
            caller.outcome.set_exception(error)
            continue
        encoded = run.result()
        descriptor = None if encoded.descriptor is None else encoded.descriptor[i]
        caller.encoded.append(EncodedPicture(encoded.y[i], descriptor))
        if len(caller.encoded) == caller.count:
            caller.outcome.set_result(caller.encoded)
