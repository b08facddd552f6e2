"""A leased part of a job: heartbeats keep it alive, and fenced batches write its results."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from app.domain.errors import DatabaseUnavailable, StorageFull
from app.domain.jobs import JobItemRecord, Lease, Request
from app.jobs.progress import RateMeter
from app.store.engine import Database
from app.store.unit_of_work import WriteUnit

HEARTBEATS_PER_LEASE: Final = 3


class StopRequested(Exception):
    """Stops a handler after a committed batch: the job is paused or cancelled, or the worker shuts down."""


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
    """One transaction of a part, which commits the writes through ``unit`` together with the checkpoint."""

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
        """Set the progress of the part; every batch must call this.

        Args:
            checkpoint: JSON state from which the next attempt continues.
            done: Items processed by this batch, including failed ones.
            items: Their outcomes.
            phase: New phase of the job, if it changes.
            total: Number of items in the whole job, once known.
            result: The job's result so far.
            is_progress: False if the batch only records an intention.
        """
        self.saved = _Saved(checkpoint, done, items, phase, total, result, is_progress)

    async def split(self, parts: Sequence[dict[str, Any]]) -> None:
        """Add parts to the job, one per element of ``parts``, which are the parts' arguments."""
        await self.unit.leases.split(self._lease, parts)


class HeldPart:
    """A part of a job that this worker has leased; the interface between runner and handler."""

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
            database: Database of the job.
            lease: The claimed lease.
            lease_s: Lease length in seconds; afterwards another worker may take over.
            batch_deadline_s: Time limit of one batch in seconds.
            is_stopping: Returns whether this worker is shutting down.
        """
        self.lease = lease
        self.checkpoint = lease.checkpoint
        """State after the last committed batch; empty at first."""
        self._strikes = lease.strikes
        self._database = database
        self._lease_s = lease_s
        self._batch_deadline_s = batch_deadline_s
        self._is_stopping = is_stopping
        self._progress_at = time.monotonic()
        self._meter = RateMeter(self._progress_at)

    @property
    def strikes(self) -> int:
        """Consecutive attempts since the last checkpoint; see ``retries``."""
        return self._strikes

    @asynccontextmanager
    async def batch(self) -> AsyncIterator[Batch]:
        """Write one batch and its checkpoint in one transaction.

        Decode and encode before entering: write units are serialized, so a slow one blocks all other writers.

        Raises:
            LeaseLost: This worker no longer holds the part; the batch is rolled back.
            StopRequested: The batch is committed, but the handler must not start another one.
            DatabaseUnavailable: The database failed; whether the batch was committed is unknown.
            StorageFull: The disk is full; the batch is rolled back.
        """
        async with self._database.write() as unit:
            await unit.leases.renew(self.lease, self._lease_s)
            batch = Batch(unit, self.lease)
            yield batch
            if batch.saved is None:
                raise RuntimeError("a batch must call Batch.save")
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
            LeaseLost: This worker no longer holds the part.
            BatchOverdue: The current batch has taken too long.
        """
        while True:
            await asyncio.sleep(self._lease_s / HEARTBEATS_PER_LEASE)
            if time.monotonic() - self._progress_at > self._batch_deadline_s:
                raise BatchOverdue(f"a batch took more than {self._batch_deadline_s:g} s")
            try:
                async with self._database.sign_of_life() as unit:
                    await unit.leases.renew(self.lease, self._lease_s)
            except (DatabaseUnavailable, StorageFull):
                # If the lease expires in the meantime, the next renewal or batch is refused.
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
