"""Switch a collection to another model, and back: every process is made ready first, then one row changes."""

import asyncio
import time
from dataclasses import dataclass
from typing import Final

import structlog

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
from app.services.model_life.reencoding import GAP, Reencoding
from app.services.model_registry.models import Models
from app.store.engine import Database
from app.store.records import CollectionRecord, Missing
from app.store.unit_of_work import ReadUnit, WriteUnit

_log = structlog.get_logger()

SILENT_S: Final = 10.0
"""A process that was not heard of for so long is not waited for; five of its heartbeats."""
POLL_S: Final = 0.05
EVICT_EVERY: Final = 20
"""Looks at the processes between two evictions, which are writes."""
LISTED: Final = 100
"""Pictures named in a refusal; the re-encoding job lists them all."""
ROUNDS: Final = 5
FORGET_BATCH: Final = 5_000


@dataclass(frozen=True, slots=True)
class Activated:
    """A collection that is searched under the model asked for."""

    record: CollectionRecord
    missing: Missing
    """Pictures that no search finds now, since they have no code under it."""
    evicted: tuple[str, ...]
    """Processes that had fallen silent and were not waited for."""


class Activation:
    """Changes the model that a collection is searched under."""

    def __init__(
        self,
        database: Database,
        models: Models,
        follower: FeedFollower,
        reencoding: Reencoding,
        *,
        timeout_s: float,
    ) -> None:
        """Wait for other processes for up to ``timeout_s`` seconds."""
        self._database = database
        self._models = models
        self._follower = follower
        self._reencoding = reencoding
        self._timeout_s = timeout_s

    async def activate(self, collection: str, model: str, *, accept_missing: int = 0) -> Activated:
        """Search a collection under another model from now on.

        Args:
            collection: The collection.
            model: The model.
            accept_missing: Go on although up to so many pictures have no code under it; they will not be found.

        Raises:
            UnknownCollection: There is no such collection.
            UnknownModel: There is no such model.
            CodesMissing: More pictures than that have no code under it; lists why.
            ModelNotReady: A process refuses the model; says which and why. The old one goes on answering.
            ActivationPending: A process is still loading it; asking again goes on from there.
        """
        record = await self._record(collection)
        if record.model == model:
            return await self._as_it_is(record)
        await self._check_here(model)
        async with self._database.read() as unit:
            missing = await unit.coverage.missing(record.pk, model)
            if not _is_acceptable(record, model, missing, accept_missing):
                raise await _codes_missing(unit, record, model, missing)
        return await self._switch(record, model, accept_missing)

    async def rollback(self, collection: str) -> Activated:
        """Search a collection under the model before the last switch again.

        Its codes were kept, and pictures that came since were encoded under both, so nothing is waited for but
        the loading of its index. What could not be encoded under it before cannot be found now.

        Raises:
            UnknownCollection: There is no such collection.
            NoPreviousModel: It has had no other model, or that one's codes were given up.
            ModelNotReady: A process refuses the model.
            ActivationPending: A process is still loading it.
        """
        record = await self._record(collection)
        if record.previous_model is None:
            raise NoPreviousModel
        await self._check_here(record.previous_model)
        return await self._switch(record, record.previous_model, accept_missing=None)

    async def prune(self, collection: str) -> int:
        """Give up every model of a collection but the active one; returns how many codes that frees.

        Raises:
            UnknownCollection: There is no such collection.
        """
        record = await self._record(collection)
        async with self._database.write() as unit:
            await unit.collections.forget_models(record.pk)
        freed = 0
        for model in record.coded_models[1:]:
            # In steps, so that other writers get their turn.
            gone = FORGET_BATCH
            while gone == FORGET_BATCH:
                async with self._database.write() as unit:
                    present = await unit.collections.by_pk(record.pk)
                    if present is not None and model in present.coded_models:
                        break  # wanted again meanwhile
                    gone = await unit.coverage.forget_codes(record.pk, model, FORGET_BATCH)
                freed += gone
        await self._follower.catch_up(unit.last_change)
        return freed

    async def _switch(self, record: CollectionRecord, model: str, accept_missing: int | None) -> Activated:
        async with self._database.write() as unit:
            await unit.collections.warm_model(record.pk, model)
        evicted = tuple(await self._wait_for_processes(record, model))
        for _ in range(ROUNDS):
            # Pictures whose addition began before their process knew of this model.
            await self._reencoding.close_gap(record.pk, model)
            async with self._database.write() as unit:
                missing = await unit.coverage.missing(record.pk, model)
                if accept_missing is None or missing.count <= accept_missing:
                    await _refuse_unready(unit, record, model)
                    switched = await unit.collections.switch_model(record.pk, model)
                    break
                if not _is_acceptable(record, model, missing, accept_missing):
                    raise await _codes_missing(unit, record, model, missing)
        else:
            raise ActivationPending("pictures keep coming in that lack codes of the model; ask again")
        await self._follower.catch_up(unit.last_change)
        names = {"collection": record.name, "model": model, "before": record.model}
        _log.info("model_activated", **names, missing=missing.count, evicted=evicted)
        return Activated(switched, missing, evicted)

    async def _wait_for_processes(self, record: CollectionRecord, model: str) -> list[str]:
        """Return once every live process has the index loaded; tells which were given up."""
        begun = time.monotonic()
        looks, evicted = 0, []
        while True:
            if looks % EVICT_EVERY == 0:
                async with self._database.write() as writing:
                    evicted += await writing.processes.evict_silent(SILENT_S)
            looks += 1
            async with self._database.read() as unit:
                said = await unit.processes.readiness(record.pk, model)
            refusals = [one for one in said if one.is_ready is False]
            if refusals:
                async with self._database.write() as writing:
                    await writing.collections.warm_model(record.pk, None)
                raise ModelNotReady(
                    f"{model} is refused by {len(refusals)} of {len(said)} processes",
                    errors=[FieldError(f"/processes/{one.id}", one.detail or "refused") for one in refusals],
                )
            if all(one.is_ready for one in said):
                return evicted
            if time.monotonic() > begun + self._timeout_s:
                slow = ", ".join(one.id for one in said if one.is_ready is None)
                raise ActivationPending(f"still loading {model}: {slow}", retry_after_s=5)
            await asyncio.sleep(POLL_S)

    async def _check_here(self, model: str) -> None:
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

    async def _as_it_is(self, record: CollectionRecord) -> Activated:
        async with self._database.read() as unit:
            return Activated(record, await unit.coverage.missing(record.pk, record.model), ())


def _is_acceptable(record: CollectionRecord, model: str, missing: Missing, accepted: int) -> bool:
    """Whether to switch, once the few pictures are encoded that came in beside a job's last pass."""
    if missing.count <= accepted:
        return True
    is_prepared = model in {record.next_model, record.previous_model}
    return is_prepared and missing.pending <= GAP and missing.failed <= accepted


async def _codes_missing(
    unit: ReadUnit | WriteUnit, record: CollectionRecord, model: str, missing: Missing
) -> CodesMissing:
    listed = await unit.coverage.reasons(record.pk, model, limit=LISTED)
    counts = [FieldError("/accept_missing", f"{n} pictures: {why}") for why, n in missing.by_reason.items()]
    if missing.pending:
        counts.append(FieldError("/accept_missing", f"{missing.pending} pictures: not_encoded_yet"))
    return CodesMissing(
        f"{missing.count} pictures of {record.name} have no code under {model}: {missing.pending} not encoded "
        f"yet, {missing.failed} that could not be",
        errors=[*counts, *(FieldError(f"/images/{image_id}", why) for image_id, why in listed)],
    )


async def _refuse_unready(unit: WriteUnit, record: CollectionRecord, model: str) -> None:
    said = await unit.processes.readiness(record.pk, model)
    late = [one.id for one in said if not one.is_ready]
    if late:
        raise ActivationPending(f"a process came up meanwhile and is still loading {model}: {', '.join(late)}")
