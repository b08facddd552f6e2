"""Start the jobs in a model's life, after checking what can be checked at once."""

from app.domain.errors import NotReencodable, UnknownCollection
from app.domain.jobs import JobKind
from app.services.jobs import Jobs, JobView
from app.services.models import Models
from app.store.engine import Database
from app.store.records import CollectionRecord, Keeps


class ModelJobs:
    """Starts re-encoding."""

    def __init__(self, database: Database, models: Models, jobs: Jobs) -> None:
        """Queue with ``jobs``."""
        self._database = database
        self._models = models
        self._jobs = jobs

    async def reencode(self, collection: str, model: str) -> JobView:
        """Encode a collection under a model in the background.

        Raises:
            UnknownCollection: There is no such collection.
            UnknownModel: There is no such model.
            NotReencodable: The collection keeps references only.
            JobExists: The collection is being re-encoded already.
        """
        record = await self._collection(collection)
        await self._models.report(model)
        if record.keeps is Keeps.REFERENCES:
            raise NotReencodable
        return await self._jobs.start(
            JobKind.REENCODE, {"model": model}, collection=collection, exclusive=f"reencode:{record.pk}"
        )

    async def _collection(self, name: str) -> CollectionRecord:
        async with self._database.read() as unit:
            record = await unit.collections.get(name)
        if record is None:
            raise UnknownCollection(f"there is no collection named {name!r}")
        return record
