"""Switch a collection to another model, or back: wait for all processes to load it, then change one row."""

import asyncio
import time
from dataclasses import dataclass
from typing import Final

import structlog

from app.domain.collections import CollectionRecord, Missing
from app.domain.errors import (
    ActivationPending,
    ArtifactRefused,
    CodesMissing,
    FieldError,
    ModelNotReady,
    NoPreviousModel,
    UnknownCollection,
)
from app.services.index_sync.feed_follower import FeedFollower
from app.services.model_life.reencoding import MAX_GAP, Reencoding
from app.services.model_registry.models import Models
from app.store.engine import Database
from app.store.unit_of_work import ReadUnit, WriteUnit

_log = structlog.get_logger()

SILENT_S: Final = 10.0
"""Seconds without a heartbeat after which a process is no longer waited for; five heartbeats."""
POLL_S: Final = 0.05
"""Seconds between two polls of the processes' readiness."""
POLLS_PER_EVICTION: Final = 20
"""Number of polls between two evictions of silent processes, which are writes."""
MAX_LISTED: Final = 100
"""Largest number of pictures listed in a refusal; the re-encoding job lists all."""
MAX_ROUNDS: Final = 5
"""Largest number of attempts to encode the last additions before a switch."""
FORGET_BATCH: Final = 5_000
"""Number of codes deleted in one transaction, so that other writers get their turn."""


@dataclass(frozen=True, slots=True)
class ActivationResult:
    """A collection under its new active model."""

    record: CollectionRecord
    missing: Missing
    """Pictures that searches cannot find because they have no code under the model."""
    evicted: tuple[str, ...]
    """Ids of silent processes that were not waited for."""


class Activation:
    """Change the active model of a collection."""

    def __init__(
        self,
        database: Database,
        models: Models,
        follower: FeedFollower,
        reencoding: Reencoding,
        *,
        timeout_s: float,
    ) -> None:
        """Wait up to ``timeout_s`` seconds for other processes."""
        self._database = database
        self._models = models
        self._follower = follower
        self._reencoding = reencoding
        self._timeout_s = timeout_s

    async def activate(self, collection: str, model: str, *, accept_missing: int = 0) -> ActivationResult:
        """Switch a collection to another model.

        Args:
            collection: Name of the collection.
            model: Name of the model.
            accept_missing: Number of pictures that may lack a code under the model; searches do not find them.

        Raises:
            UnknownCollection: The collection does not exist.
            UnknownModel: The model does not exist.
            CodesMissing: More pictures lack a code; lists the reasons.
            ModelNotReady: A process refuses the model; lists which and why. The old model stays active.
            ActivationPending: A process is still loading the model; repeat the call to continue.
        """
        record = await self._record(collection)
        if record.model == model:
            return await self._unchanged(record)
        await self._check_model(model)
        async with self._database.read() as unit:
            missing = await unit.coverage.missing(record.pk, model)
            if not _is_acceptable(record, model, missing, accept_missing):
                raise await _codes_missing(unit, record, model, missing)
        return await self._switch(record, model, accept_missing)

    async def rollback(self, collection: str) -> ActivationResult:
        """Switch a collection back to its previous model.

        Its codes were kept, and later pictures were encoded under both models, so this only waits until the
        processes have loaded the index. Pictures that could not be encoded under it cannot be found.

        Raises:
            UnknownCollection: The collection does not exist.
            NoPreviousModel: The collection has no previous model, or its codes were deleted.
            ModelNotReady: A process refuses the model.
            ActivationPending: A process is still loading the model.
        """
        record = await self._record(collection)
        if record.previous_model is None:
            raise NoPreviousModel
        await self._check_model(record.previous_model)
        return await self._switch(record, record.previous_model, accept_missing=None)

    async def prune(self, collection: str) -> int:
        """Delete a collection's codes of all models but the active one; return the number of codes.

        A call that was interrupted is completed by the next one.

        Raises:
            UnknownCollection: The collection does not exist.
        """
        record = await self._record(collection)
        async with self._database.write() as unit:
            await unit.collections.forget_models(record.pk)
            # Not those that the collection has referred to: it no longer refers to models before the previous
            # one, nor to any after a call that was interrupted here.
            models = await unit.coverage.models_with_codes(record.pk)
        total = 0
        for model in models:
            count = FORGET_BATCH
            while count == FORGET_BATCH:
                async with self._database.write() as unit:
                    current = await unit.collections.by_pk(record.pk)
                    if current is not None and model in current.coded_models:
                        break  # the model came into use again meanwhile
                    count = await unit.coverage.forget_codes(record.pk, model, FORGET_BATCH)
                total += count
        await self._follower.catch_up(unit.last_change)
        return total

    async def _switch(
        self, record: CollectionRecord, model: str, accept_missing: int | None
    ) -> ActivationResult:
        async with self._database.write() as unit:
            await unit.collections.warm_model(record.pk, model)
        evicted = tuple(await self._wait_for_processes(record, model))
        for _ in range(MAX_ROUNDS):
            # Encode pictures whose addition started before their process knew of this model.
            await self._reencoding.close_gap(record.pk, model)
            async with self._database.write() as unit:
                missing = await unit.coverage.missing(record.pk, model)
                if accept_missing is None or missing.count <= accept_missing:
                    await _check_all_ready(unit, record, model)
                    switched = await unit.collections.switch_model(record.pk, model)
                    break
                if not _is_acceptable(record, model, missing, accept_missing):
                    raise await _codes_missing(unit, record, model, missing)
        else:
            raise ActivationPending("pictures without codes of the model keep being added; repeat the request")
        await self._follower.catch_up(unit.last_change)
        names = {"collection": record.name, "model": model, "before": record.model}
        _log.info("model_activated", **names, missing=missing.count, evicted=evicted)
        return ActivationResult(switched, missing, evicted)

    async def _wait_for_processes(self, record: CollectionRecord, model: str) -> list[str]:
        """Wait until every live process has loaded the index; return the ids of evicted processes."""
        start = time.monotonic()
        polls, evicted = 0, []
        while True:
            if polls % POLLS_PER_EVICTION == 0:
                async with self._database.write() as writing:
                    evicted += await writing.processes.evict_silent(SILENT_S)
            polls += 1
            async with self._database.read() as unit:
                processes = await unit.processes.readiness(record.pk, model)
            refusals = [process for process in processes if process.is_ready is False]
            if refusals:
                async with self._database.write() as writing:
                    await writing.collections.warm_model(record.pk, None)
                raise ModelNotReady(
                    f"{len(refusals)} of {len(processes)} processes refuse {model}",
                    errors=[
                        FieldError(f"/processes/{process.id}", process.detail or "refused")
                        for process in refusals
                    ],
                )
            if all(process.is_ready for process in processes):
                return evicted
            if time.monotonic() > start + self._timeout_s:
                loading = ", ".join(process.id for process in processes if process.is_ready is None)
                raise ActivationPending(f"still loading {model}: {loading}", retry_after_s=5)
            await asyncio.sleep(POLL_S)

    async def _check_model(self, model: str) -> None:
        try:
            await self._models.serving(model)
        except ArtifactRefused as refused:
            raise ModelNotReady(refused.detail) from refused

    async def _record(self, collection: str) -> CollectionRecord:
        async with self._database.read() as unit:
            record = await unit.collections.get(collection)
        if record is None:
            raise UnknownCollection(f"there is no collection named {collection!r}")
        return record

    async def _unchanged(self, record: CollectionRecord) -> ActivationResult:
        async with self._database.read() as unit:
            return ActivationResult(record, await unit.coverage.missing(record.pk, record.model), ())


def _is_acceptable(record: CollectionRecord, model: str, missing: Missing, accepted: int) -> bool:
    """Return whether to switch after encoding the few pictures added during a job's last pass."""
    if missing.count <= accepted:
        return True
    was_encoded = model in {record.next_model, record.previous_model}
    return was_encoded and missing.pending <= MAX_GAP and missing.failed <= accepted


async def _codes_missing(
    unit: ReadUnit | WriteUnit, record: CollectionRecord, model: str, missing: Missing
) -> CodesMissing:
    listed = await unit.coverage.reasons(record.pk, model, limit=MAX_LISTED)
    counts = [FieldError("/accept_missing", f"{n} pictures: {why}") for why, n in missing.by_reason.items()]
    if missing.pending:
        counts.append(FieldError("/accept_missing", f"{missing.pending} pictures: not_encoded_yet"))
    return CodesMissing(
        f"{missing.count} pictures of {record.name} have no code under {model}: {missing.pending} are not "
        f"encoded yet, {missing.failed} could not be encoded",
        errors=[*counts, *(FieldError(f"/images/{image_id}", why) for image_id, why in listed)],
    )


async def _check_all_ready(unit: WriteUnit, record: CollectionRecord, model: str) -> None:
    processes = await unit.processes.readiness(record.pk, model)
    loading = [process.id for process in processes if not process.is_ready]
    if loading:
        raise ActivationPending(f"a new process is still loading {model}: {', '.join(loading)}")
