"""``index`` jobs: import archives, folders and lists of pictures.

The first part plans: it lists the items and splits the job into parts of about a thousand, which any worker may
claim. A part processes its items in batches: while one is written, the next is decoded and encoded and the one
after that is read. After a worker's death, the pictures it was processing are processed one at a time.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from app.bootstrap import WorkerServices
from app.domain.collections import CollectionRecord
from app.domain.duplicates import OnDuplicate, OnNearDuplicate
from app.domain.errors import ModelMismatch, NearDuplicateExists, UnknownCollection
from app.domain.jobs import ItemStatus, JobItemRecord
from app.jobs.leases import Batch, HeldPart, StopRequested
from app.jobs.retries import Trial, next_trial
from app.jobs.runner import Handler
from app.services.importing.batches import BATCH_ITEMS, ImportReader, ReadBatch, Refusal, prepare_batch
from app.services.importing.copies import ImportCopies
from app.services.pictures.near_policy import Judged
from app.services.pictures.preparing import ImageOutcome, PreparedImage, write_prepared

MOST_PART_ITEMS: Final = 1_024
"""Most items of one part; large enough that the overhead of a part is negligible."""
LEAST_PART_ITEMS: Final = 2 * BATCH_ITEMS
PARTS: Final = 8
"""Least number of parts of a large enough import, so that several workers can share it."""
AHEAD: Final = 2
"""Batches prepared ahead while one is written."""


def make(services: WorkerServices) -> Handler:
    """Return the handler of imports."""

    async def handle(part: HeldPart) -> None:
        arguments = part.lease.part_arguments
        if not arguments:
            await _plan(part, services)
            return
        positions = arguments.get("positions") or range(arguments["start"], arguments["stop"])
        await _PartImport(part, services, positions).run()

    return handle


async def _plan(part: HeldPart, services: WorkerServices) -> None:
    if part.checkpoint:
        return  # its worker died after splitting the job and before finishing this part
    plan = await services.import_planner.plan(part.lease.job_id, part.lease.arguments)
    count = plan.items
    async with part.batch() as batch:
        size = min(MOST_PART_ITEMS, max(LEAST_PART_ITEMS, count // PARTS))
        await batch.split(
            [{"start": start, "stop": min(start + size, count)} for start in range(0, count, size)]
        )
        batch.save({"planned": count}, total=count, phase="encoding", result={"ignored": plan.ignored})


@dataclass(frozen=True, slots=True)
class _Prepared:
    batch: ReadBatch
    results: Sequence[PreparedImage | ImageOutcome | Refusal]


class _PartImport:
    """Imports the items of one part."""

    def __init__(self, part: HeldPart, services: WorkerServices, positions: Sequence[int]) -> None:
        self._part = part
        self._services = services
        self._positions = positions
        self._on_duplicate = OnDuplicate(part.lease.arguments["on_duplicate"])
        policy = part.lease.arguments.get("on_near_duplicate")
        self._copies: ImportCopies | None = None
        if policy is not None:
            self._copies = ImportCopies(
                services.database, services.models, services.remote_indexes, OnNearDuplicate(policy)
            )
        self._place: int = part.checkpoint.get("next", 0)
        self._suspect_until: int = part.checkpoint.get("suspect_until", 0)
        if part.lease.is_taken_over and self._place >= self._suspect_until:
            # If a picture killed the last worker, it was in the current batch or in one prepared ahead.
            self._suspect_until = self._place + (AHEAD + 2) * BATCH_ITEMS
        self._trial: Trial | None = None

    async def run(self) -> None:
        lease, services = self._part.lease, self._services
        reader = await ImportReader.open(
            services.import_planner,
            services.picture_sources,
            lease.job_id,
            lease.arguments,
            max_bytes=services.settings.limits.max_upload_bytes,
        )
        with contextlib.closing(reader):
            while self._place < len(self._positions):
                collection = await self._collection()
                try:
                    if self._place < self._suspect_until:
                        await self._step_alone(reader, collection)
                    else:
                        await self._stream(reader, collection)
                except ModelMismatch:
                    # The collection was switched to another model: prepare the unwritten batches again.
                    continue

    async def _collection(self) -> CollectionRecord:
        pk = self._part.lease.arguments["collection_pk"]
        async with self._services.database.read() as unit:
            record = await unit.collections.by_pk(pk)
        if record is None:
            raise UnknownCollection("the collection is gone")
        return record

    async def _step_alone(self, reader: ImportReader, collection: CollectionRecord) -> None:
        """Import one picture, recorded before it is read, so that it is known if it kills this worker."""
        if self._trial is None or self._trial.place != self._place:
            trial = next_trial(self._part.lease, self._place)
            if trial.is_proven_deadly:
                await self._pass_over(reader)
                return
            # Load the model first: a worker that dies doing so must not blame the picture.
            await self._services.models.serving(collection.model)
            self._trial = trial
            async with self._part.batch() as batch:
                batch.save(self._checkpoint(self._place), is_progress=False)
        read = await reader.read(self._positions, self._place, 1)
        await self._write(collection, await self._prepare(collection, read))

    async def _pass_over(self, reader: ImportReader) -> None:
        batch = await reader.read(self._positions, self._place, 1)
        refusal = ("worker_died", "every worker that took up this picture died")
        async with self._part.batch() as unit:
            items = [_item(self._positions[self._place], batch, 0, refusal)]
            unit.save(self._checkpoint(batch.end), done=1, items=items)
        self._place += 1

    async def _stream(self, reader: ImportReader, collection: CollectionRecord) -> None:
        """Write batches in order while the next ones are prepared."""
        async with self._ahead(reader, collection) as queue:
            while (task := await queue.get()) is not None:
                await self._write(collection, await task)

    @contextlib.asynccontextmanager
    async def _ahead(
        self, reader: ImportReader, collection: CollectionRecord
    ) -> AsyncIterator["asyncio.Queue[Awaitable[_Prepared] | None]"]:
        queue: asyncio.Queue[Awaitable[_Prepared] | None] = asyncio.Queue(AHEAD - 1)
        tasks: set[asyncio.Task[_Prepared]] = set()

        def forget(task: asyncio.Task[_Prepared]) -> None:
            tasks.discard(task)
            if not task.cancelled():
                task.exception()  # retrieved here, because nobody awaits the batches after a failed write

        async def produce() -> None:
            place = self._place
            while place < len(self._positions):
                batch = await reader.read(self._positions, place, BATCH_ITEMS)
                place = batch.end
                task = asyncio.create_task(self._prepare(collection, batch))
                tasks.add(task)
                task.add_done_callback(forget)
                await queue.put(task)
            await queue.put(None)

        async def produce_or_tell() -> None:
            try:
                await produce()
            except Exception as error:  # noqa: BLE001 - whatever it is, the consumer raises it
                failed: asyncio.Future[_Prepared] = asyncio.get_running_loop().create_future()
                failed.set_exception(error)
                await queue.put(failed)

        producer = asyncio.create_task(produce_or_tell())
        try:
            yield queue
        finally:
            left: set[asyncio.Task[Any]] = {producer, *tasks}
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def _prepare(self, collection: CollectionRecord, batch: ReadBatch) -> _Prepared:
        results = await prepare_batch(self._services.preparation, collection, batch, self._on_duplicate)
        return _Prepared(batch, results)

    async def _write(self, collection: CollectionRecord, prepared: _Prepared) -> None:
        judged = await self._judged(collection, prepared)
        pictures = [one.item for one in judged]
        ready = [picture for picture in pictures if isinstance(picture, PreparedImage)]
        try:
            async with self._part.batch() as unit:
                written = await write_prepared(unit.unit, collection.pk, pictures, self._on_duplicate)
                added = iter(zip(written, judged, strict=True))
                items = [
                    _item(
                        self._positions[prepared.batch.start + i],
                        prepared.batch,
                        i,
                        result if isinstance(result, tuple) else _reported(*next(added)),
                    )
                    for i, result in enumerate(prepared.results)
                ]
                self._save(unit, prepared.batch, items)
        except StopRequested:
            await self._services.preparation.store_missing_files(ready)
            raise
        self._place = prepared.batch.end
        await self._services.preparation.store_missing_files(ready)

    async def _judged(self, collection: CollectionRecord, prepared: _Prepared) -> list[Judged]:
        pictures = [result for result in prepared.results if not isinstance(result, tuple)]
        if self._copies is None:
            return [Judged(picture, None) for picture in pictures]
        return await self._copies.judge(collection, pictures)

    def _save(self, unit: Batch, batch: ReadBatch, items: Sequence[JobItemRecord]) -> None:
        # Record the next picture in the same transaction.
        is_next_alone = batch.end < self._suspect_until
        self._trial = Trial(batch.end, 0, self._part.lease.attempt) if is_next_alone else None
        unit.save(self._checkpoint(batch.end), done=len(items), items=items)

    def _checkpoint(self, place: int) -> dict[str, Any]:
        checkpoint: dict[str, Any] = {"next": place}
        if place < self._suspect_until:
            checkpoint["suspect_until"] = self._suspect_until
        if self._trial is not None:
            checkpoint["trial"] = asdict(self._trial)
        return checkpoint


def _reported(outcome: ImageOutcome, judged: Judged) -> ImageOutcome:
    """Return the outcome of an added picture, with the pictures that it is a copy of."""
    if judged.sentence is None or outcome.error is not None:
        return outcome
    return replace(outcome, error=NearDuplicateExists(judged.sentence))


def _item(position: int, batch: ReadBatch, place: int, result: ImageOutcome | Refusal) -> JobItemRecord:
    name = batch.items[place].name
    if isinstance(result, tuple):
        return JobItemRecord(position, ItemStatus.FAILED, name, None, *result)
    error = result.error
    return JobItemRecord(
        position,
        ItemStatus(result.outcome.value),
        name,
        result.image_id or None,
        None if error is None else error.code,
        None if error is None else error.explanation,
    )
