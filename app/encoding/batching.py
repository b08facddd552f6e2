"""Encode pictures that arrive together as one batch, in one thread, from a bounded queue."""

import asyncio
import math
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from app.domain.errors import Overloaded
from app.encoding.encoder import Encoder, EncoderOutput
from app.telemetry.metrics import ENCODER_BATCH, ENCODER_SECONDS, ENCODER_WAITING

PATIENCE_S: Final = 0.5
"""Seconds after which pictures to index get their share of those that wait, instead of a quarter of a batch."""


@dataclass(frozen=True, slots=True)
class EncodedPicture:
    """Encoder output for one picture."""

    y: NDArray[np.float32]
    """Shape (bits,)."""
    descriptor: NDArray[np.int8] | None
    """Shape (m,), int8, or None if the model has no descriptor."""


@dataclass(frozen=True, slots=True, eq=False)
class _Caller:
    outcome: asyncio.Future[list[EncodedPicture]]
    count: int
    """Number of pictures it waits for."""
    encoded: list[EncodedPicture] = field(default_factory=list)
    """Its pictures encoded so far; pictures keep their order in the queue."""


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    prepared: NDArray[np.uint8]
    caller: _Caller
    since: float
    """When it began to wait, by the clock of the event loop."""


class MicroBatcher:
    """Batches the pictures of one event loop for one encoder.

    An idle encoder starts immediately with whatever has arrived, so nothing waits for a batch to fill. While it
    works, arrivals queue up and form the next batch. Queries go first; pictures to index get a quarter of a
    batch beside them, and half a batch alone. Once they have waited for ``PATIENCE_S``, they get their share of
    all that wait, half a batch at most. Use as ``async with MicroBatcher(encoder) as batcher``.
    """

    def __init__(
        self, encoder: Encoder, *, max_batch: int = 8, max_waiting: int = 64, retry_after_s: int = 1
    ) -> None:
        """Prepare the worker thread; it starts with the first picture.

        Args:
            encoder: The encoder to use.
            max_batch: Most pictures per batch.
            max_waiting: Most pictures in each of the two queues behind the running batch.
            retry_after_s: Time after which a refused caller should retry, in seconds.
        """
        self._encoder = encoder
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._retry_after_s = retry_after_s
        self._queries: deque[_Waiting] = deque()
        self._others: deque[_Waiting] = deque()
        self._reported = {"query": 0, "addition": 0}
        self._drain: asyncio.Task[None] | None = None
        self._is_closed = False
        self._is_turn_of_queries = True
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="encode")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    @property
    def waiting(self) -> int:
        """Number of pictures queued behind the running batch."""
        return len(self._queries) + len(self._others)

    async def encode(self, prepared: NDArray[np.uint8]) -> EncodedPicture:
        """Encode one prepared picture, batched with others that arrive meanwhile.

        A cancelled caller loses its place in the queue.

        Args:
            prepared: Shape (S, S, 3), uint8, from the encoder's ``prepare``.

        Raises:
            Overloaded: The queue is full, or the service is shutting down.
        """
        return (await self.encode_many([prepared]))[0]

    async def encode_many(
        self, prepared: Sequence[NDArray[np.uint8]], *, is_query: bool = True
    ) -> list[EncodedPicture]:
        """Encode several prepared pictures for one caller, who waits for all of them.

        The pictures queue one behind the other and go to the encoder in batches of ``max_batch`` like all
        others, so a later caller waits no longer than behind as many single callers.

        Args:
            prepared: Each of shape (S, S, 3), uint8, from the encoder's ``prepare``.
            is_query: Whether somebody waits for them; others are encoded behind the queries.

        Returns:
            One output per picture, in order.

        Raises:
            Overloaded: There is no room in the queue for all of them, or the service is shutting down.
        """
        if not prepared:
            return []
        queue = self._queries if is_query else self._others
        if self._is_closed or len(queue) + len(prepared) > self._max_waiting:
            raise Overloaded(retry_after_s=self._retry_after_s)
        caller = _Caller(asyncio.get_running_loop().create_future(), len(prepared))
        now = asyncio.get_running_loop().time()
        queue.extend(_Waiting(one, caller, now) for one in prepared)
        self._report_waiting()
        if self._drain is None or self._drain.done():
            self._drain = asyncio.create_task(self._encode_waiting())
        try:
            return await caller.outcome
        except BaseException:
            # The caller was cancelled or a batch failed: do not encode the rest of its pictures.
            kept = [entry for entry in queue if entry.caller is not caller]
            queue.clear()
            queue.extend(kept)
            self._report_waiting()
            raise

    async def aclose(self) -> None:
        """Refuse new pictures, finish the waiting ones, and end the thread."""
        self._is_closed = True
        if self._drain is not None:
            await self._drain
        self._thread.shutdown()

    async def _encode_waiting(self) -> None:
        loop = asyncio.get_running_loop()
        while batch := self._next_batch():
            self._report_waiting()
            ENCODER_BATCH.observe(len(batch))
            run = loop.run_in_executor(self._thread, self._encode, batch)
            await asyncio.wait([run])  # errors go to the callers; this loop continues
            _settle(batch, run)

    def _next_batch(self) -> list[_Waiting]:
        share = min(len(self._others), self._share_of_others()) if self._queries else 0
        self._is_turn_of_queries = share == self._max_batch
        batch = [self._queries.popleft() for _ in range(min(self._max_batch - share, len(self._queries)))]
        room = share or (0 if batch else min(len(self._others), max(1, self._max_batch // 2)))
        return batch + [self._others.popleft() for _ in range(room)]

    def _share_of_others(self) -> int:
        """Return how many places of a batch pictures to index may have beside queries."""
        if not self._others:
            return 0
        quarter, half = self._max_batch // 4, self._max_batch // 2
        if not half:
            # A batch of one cannot be shared, so they take turns.
            return 0 if self._is_turn_of_queries else 1
        if asyncio.get_running_loop().time() - self._others[0].since < PATIENCE_S:
            return quarter
        # Under a steady load of both, additions would otherwise wait several times as long as searches.
        fair = math.ceil(self._max_batch * len(self._others) / self.waiting)
        return max(quarter, min(fair, half))

    def _encode(self, batch: Sequence[_Waiting]) -> EncoderOutput:
        with ENCODER_SECONDS.time():
            return self._encoder.encode(np.stack([entry.prepared for entry in batch]))

    def _report_waiting(self) -> None:
        """Report the queues as differences, because every encoder of the process counts in the same gauge."""
        for purpose, queue in (("query", self._queries), ("addition", self._others)):
            ENCODER_WAITING.labels(purpose).inc(len(queue) - self._reported[purpose])
            self._reported[purpose] = len(queue)


def _settle(batch: list[_Waiting], run: asyncio.Future[EncoderOutput]) -> None:
    error = run.exception()
    for i, entry in enumerate(batch):
        caller = entry.caller
        if caller.outcome.done():  # cancelled while its batch ran, or failed in an earlier batch
            continue
        if error is not None:
            caller.outcome.set_exception(error)
            continue
        encoded = run.result()
        descriptor = None if encoded.descriptor is None else encoded.descriptor[i]
        caller.encoded.append(EncodedPicture(encoded.y[i], descriptor))
        if len(caller.encoded) == caller.count:
            caller.outcome.set_result(caller.encoded)
