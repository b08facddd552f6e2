"""Learn words again when tags have come."""

from collections.abc import Sequence
from contextlib import suppress

from app.domain.collections import CollectionRecord
from app.domain.errors import JobExists, UnknownCollection
from app.domain.jobs import FINISHED, JobKind, JobRecord
from app.services.model_life.jobs import ModelJobs
from app.store.engine import Database
from app.store.pictures.feed import FeedPruned

MIN_PICTURES = 3
MIN_PRECISION = 0.5


class Relearning:
    """Queues a job for each collection whose pictures have changed since its words were last learned."""

    def __init__(self, database: Database, model_jobs: ModelJobs, keys: Sequence[str]) -> None:
        """Read ``keys`` in collections where no job has learned words; without keys, leave these alone."""
        self._database = database
        self._model_jobs = model_jobs
        self._keys = keys

    async def start_due(self) -> None:
        """Queue the jobs that are due; each learns what the last one learned, for the active model."""
        async with self._database.read() as unit:
            records = await unit.collections.list_all()
        for record in records:
            async with self._database.read() as unit:
                jobs = await unit.jobs.page(kind=JobKind.LEARN_WORDS, collection_pks=[record.pk], limit=1)
            last = jobs[0] if jobs else None
            if await self._is_due(record, last):
                with suppress(JobExists, UnknownCollection):
                    await self._start(record, last)

    async def _is_due(self, record: CollectionRecord, last: JobRecord | None) -> bool:
        if last is None:
            return bool(self._keys)
        if last.state not in FINISHED:
            return False
        if last.arguments["model"] != record.model:
            return True
        try:
            async with self._database.read() as unit:
                return await unit.feed.has_pictures_since(record.pk, last.arguments.get("change", -1))
        except FeedPruned:
            # What has changed is not known any more.
            return True

    async def _start(self, record: CollectionRecord, last: JobRecord | None) -> None:
        arguments = {} if last is None else last.arguments
        await self._model_jobs.learn_words(
            record.name,
            arguments.get("keys", self._keys),
            None,
            min_pictures=arguments.get("min_pictures", MIN_PICTURES),
            min_precision=arguments.get("min_precision", MIN_PRECISION),
        )
