"""Run jobs: claim a part, pass it to its handler, and record the outcome."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import structlog

from app.domain.errors import LookalikeError, StorageFull, Unavailable
from app.domain.jobs import JobKind, Lease
from app.jobs.leases import BatchOverdue, HeldPart, StopRequested
from app.jobs.retries import backoff_s
from app.store.engine import Database
from app.store.jobs.leases import LeaseLost
from app.store.unit_of_work import WriteUnit
from app.telemetry.metrics import PART_SECONDS, PARTS_ENDED

_log = structlog.get_logger()

Handler = Callable[[HeldPart], Awaitable[dict[str, Any] | None]]
"""Processes one part of a job in batches, starting from its checkpoint; may return the job's result."""

Kinds = Callable[[WriteUnit], Awaitable[Sequence[JobKind]]]
"""Returns the kinds of jobs to claim now; called in the claiming transaction."""

AfterPart = Callable[[Lease], Awaitable[None]]

MAX_STRIKES: Final = 10
"""Far more than needed to identify an item that kills workers: each step of that counts as progress."""


class Runner:
    """Processes jobs, one part at a time; several runners may work in one or several processes."""

    def __init__(
        self,
        database: Database,
        handlers: Mapping[JobKind, Handler],
        *,
        owner: str,
        kinds: Kinds | None = None,
        lease_s: float = 10.0,
        poll_s: float = 0.5,
        batch_deadline_s: float = 300.0,
        max_strikes: int = MAX_STRIKES,
        after_part: AfterPart | None = None,
    ) -> None:
        """Process the kinds of jobs that ``handlers`` supports.

        Args:
            database: Database of the jobs.
            handlers: Handler of each kind of job.
            owner: Name of this worker, for display.
            kinds: Returns the kinds to claim at the moment; all by default.
            lease_s: Lease length in seconds; afterwards another worker may take over.
            poll_s: Seconds between two polls for work.
            batch_deadline_s: Time limit of one batch in seconds.
            max_strikes: Consecutive attempts without a checkpoint after which a job fails.
            after_part: Called when this worker no longer holds a part.
        """
        self._database = database
        self._handlers = handlers
        self._owner = owner
        self._kinds = kinds
        self._lease_s = lease_s
        self._poll_s = poll_s
        self._batch_deadline_s = batch_deadline_s
        self._max_strikes = max_strikes
        self._after_part = after_part
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Stop ``run`` after the current batch, and release its part."""
        self._stopping.set()

    async def run(self) -> None:
        """Process jobs until ``stop`` is called."""
        while not self._stopping.is_set():
            try:
                has_worked = await self.run_one()
            except (Unavailable, StorageFull) as error:
                _log.warning("no_work_claimed", detail=error.detail)
                has_worked = False
            if not has_worked:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), self._poll_s)

    async def run_one(self) -> bool:
        """Process the oldest available part; return False if there is none.

        Raises:
            DatabaseUnavailable: The database does not respond.
            StorageFull: The disk under the database is full.
        """
        async with self._database.write() as unit:
            kinds = list(self._handlers) if self._kinds is None else await self._kinds(unit)
            lease = await unit.leases.claim(
                self._owner,
                lease_s=self._lease_s,
                kinds=kinds,
                max_strikes=self._max_strikes,
            )
        if lease is None:
            return False
        log = _log.bind(job=lease.job_id, part=lease.part, attempt=lease.attempt)
        log.info("part_claimed", kind=lease.kind, strikes=lease.strikes)
        outcome, start = "abandoned", time.perf_counter()
        try:
            outcome = await self._work(lease)
        except LeaseLost:
            outcome = "lease_lost"
            log.warning("lease_lost")
        except (Unavailable, StorageFull) as error:
            # The outcome could not be recorded, for instance because the database's disk is full. The lease
            # expires, and the part is claimed again.
            log.warning("part_abandoned", detail=error.detail)
        finally:
            PART_SECONDS.labels(lease.kind).observe(time.perf_counter() - start)
            PARTS_ENDED.labels(lease.kind, outcome).inc()
        if self._after_part is not None:
            await self._after_part(lease)
        return True

    async def _work(self, lease: Lease) -> str:
        """Process a part and record its outcome, which is returned for the metrics."""
        part = HeldPart(
            self._database,
            lease,
            lease_s=self._lease_s,
            batch_deadline_s=self._batch_deadline_s,
            is_stopping=self._stopping.is_set,
        )
        try:
            result = await _supervise(part, self._handlers[lease.kind])
        except StopRequested:
            async with self._database.write() as unit:
                await unit.leases.release(lease)
            return "released"
        except (Unavailable, StorageFull) as error:
            await self._put_off(part, error.code, error.detail)
            return "put_off"
        except BatchOverdue as error:
            await self._abandon(part, "batch_overdue", str(error))
            return "put_off"
        except LeaseLost:
            raise
        except LookalikeError as error:
            await self._fail(lease, error.code, error.detail)
            return "failed"
        except Exception:  # noqa: BLE001 - a bug in a handler must fail only its own job
            _log.exception("job_crashed", job=lease.job_id)
            await self._fail(lease, "job_crashed", "The job failed with an unexpected error; see the log.")
            return "failed"
        async with self._database.write() as unit:
            await unit.leases.finish(lease, result)
        return "done"

    async def _put_off(self, part: HeldPart, code: str, detail: str) -> None:
        wait_s = backoff_s(part.strikes + 1)
        _log.warning("part_put_off", job=part.lease.job_id, code=code, detail=detail, wait_s=wait_s)
        async with self._database.write() as unit:
            await unit.leases.put_off(part.lease, wait_s=wait_s, code=code, detail=detail)

    async def _abandon(self, part: HeldPart, code: str, detail: str) -> None:
        wait_s = backoff_s(part.strikes + 1)
        _log.warning("part_put_off", job=part.lease.job_id, code=code, detail=detail, wait_s=wait_s)
        async with self._database.write() as unit:
            await unit.leases.abandon(part.lease, wait_s=wait_s, code=code, detail=detail)

    async def _fail(self, lease: Lease, code: str, detail: str) -> None:
        _log.warning("job_failed", job=lease.job_id, code=code, detail=detail)
        async with self._database.write() as unit:
            await unit.leases.fail(lease, code=code, detail=detail)


async def _supervise(part: HeldPart, handler: Handler) -> dict[str, Any] | None:
    """Run a handler and its heartbeat concurrently; if one fails, cancel the other."""
    handling = asyncio.ensure_future(handler(part))
    heartbeat = asyncio.create_task(part.keep_alive())
    try:
        await asyncio.wait({handling, heartbeat}, return_when=asyncio.FIRST_COMPLETED)
        if not handling.done():
            await heartbeat  # ends only by raising
        return await handling
    finally:
        handling.cancel()
        heartbeat.cancel()
        await asyncio.gather(handling, heartbeat, return_exceptions=True)
