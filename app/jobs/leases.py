"""A part of a job in a worker's hand: kept alive by heartbeats, written to in fenced batches."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from app.domain.errors import DatabaseUnavailable, StorageFull
from app.domain.jobs import Request
from app.jobs.progress import RateMeter
from app.store.engine import Database
from app.store.records import JobItemRecord, Lease
from app.store.unit_of_work import WriteUnit

HEARTBEATS_PER_LEASE: Final = 3


class StopRequested(Exception):
    """The batch in hand is kept, and no other is to be begun: pause, cancel, or this worker shuts down."""


class BatchOverdue(Exception):
    """A batch took longer than its deadline."""


@dataclass(frozen=True, slots=True)
class _Saved:
    checkpoint: dict[str, Any]
    done: int
    items: Sequence[JobItemRecord]
    phase: str | None
    total: int | None
    result: dict[str, Any] | None
    is_progress: bool


class Batch:
    """One transaction of a part: what is written through ``unit`` and the checkpoint are kept together."""

    def __init__(self, unit: WriteUnit, lease: Lease) -> None:
        self.unit = unit
        self.saved: _Saved | None = None
        self._lease = lease

    def save(
        self,
        checkpoint: dict[str, Any],
        *,
        done: int = 0,
        items: Sequence[JobItemRecord] = (),
        phase: str | None = None,
        total: int | None = None,
        result: dict[str, Any] | None = None,
        is_progress: bool = True,
    ) -> None:
        """Say how far the part is with this batch; every batch does.

        Args:
            checkpoint: What the next attempt needs to go on from here, as JSON.
            done: Items done by this batch, failed ones included.
            items: What became of them.
            phase: What the job is doing now, where that changes.
            total: Items of the whole job, once that is known.
            result: What can be said of the job's result so far.
            is_progress: False where nothing is achieved yet and only an intention is written down.
        """
        self.saved = _Saved(checkpoint, done, items, phase, total, result, is_progress)

    async def split(self, parts: Sequence[dict[str, Any]]) -> None:
        """Give the job more parts, each with arguments of its own, for any worker to take."""
        await self.unit.leases.split(self._lease, parts)


class HeldPart:
    """A part of a job that this worker has a lease on; what a handler gets to work with."""

    def __init__(
        self,
        database: Database,
        lease: Lease,
        *,
        lease_s: float,
        batch_deadline_s: float,
        is_stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        """Hold ``lease``.

        Args:
            database: Where the job is.
            lease: The claim.
            lease_s: Seconds after which the part is another worker's, unless renewed.
            batch_deadline_s: The longest that one batch may take, in seconds.
            is_stopping: Whether this worker shuts down.
        """
        self.lease = lease
        self.checkpoint = lease.checkpoint
        """What the last committed batch left; empty at first."""
        self._strikes = lease.strikes
        self._database = database
        self._lease_s = lease_s
        self._batch_deadline_s = batch_deadline_s
        self._is_stopping = is_stopping
        self._progress_at = time.monotonic()
        self._meter = RateMeter(self._progress_at)

    @property
    def strikes(self) -> int:
        """Attempts in a row that came to nothing since the last checkpoint; see ``retries``."""
        return self._strikes

    @asynccontextmanager
    async def batch(self) -> AsyncIterator[Batch]:
        """Write one batch and its checkpoint in one transaction.

        Decode and encode before it: write units take turns, and nobody else writes meanwhile.

        Raises:
            LeaseLost: The part is another worker's by now; nothing of the batch is kept.
            StopRequested: After the commit: do not begin another batch.
            DatabaseUnavailable: Nothing is known to be kept.
            StorageFull: Nothing is kept.
        """
        async with self._database.write() as unit:
            await unit.leases.renew(self.lease, self._lease_s)
            batch = Batch(unit, self.lease)
            yield batch
            if batch.saved is None:
                raise RuntimeError("a batch ends with Batch.save")
            request = await self._keep(unit, batch.saved)
        self.checkpoint = batch.saved.checkpoint
        if batch.saved.is_progress:
            self._strikes = 0
        self._progress_at = time.monotonic()
        if request is not None or self._is_stopping():
            raise StopRequested(request or "shutdown")

    async def keep_alive(self) -> None:
        """Renew the lease until cancelled.

        Raises:
            LeaseLost: The part is another worker's by now.
            BatchOverdue: The batch in hand has taken too long.
        """
        while True:
            await asyncio.sleep(self._lease_s / HEARTBEATS_PER_LEASE)
            if time.monotonic() - self._progress_at > self._batch_deadline_s:
                raise BatchOverdue(f"a batch took more than {self._batch_deadline_s:g} s")
            try:
                async with self._database.sign_of_life() as unit:
                    await unit.leases.renew(self.lease, self._lease_s)
            except (DatabaseUnavailable, StorageFull):
                # The lease may expire meanwhile; then the next renewal or batch is refused.
                continue

    async def _keep(self, unit: WriteUnit, saved: _Saved) -> Request | None:
        return await unit.leases.checkpoint(
            self.lease,
            saved.checkpoint,
            done=saved.done,
            items=saved.items,
            phase=saved.phase,
            total=saved.total,
            result=saved.result,
            rate_per_s=self._meter.add(saved.done, time.monotonic()),
            is_progress=saved.is_progress,
        )
