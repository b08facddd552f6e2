"""Find the copies among the pictures of an import, in an index that the worker loads or opens for it."""

from collections.abc import Sequence
from contextlib import suppress

from app.domain.collections import CollectionRecord
from app.domain.duplicates import OnNearDuplicate
from app.services.index_sync.live_collection import LiveCollection
from app.services.index_sync.loading import catch_up, load_from_rows
from app.services.index_sync.remote_indexes import RemoteIndexes
from app.services.model_registry.models import Models
from app.services.pictures.near_duplicates import NearDuplicates
from app.services.pictures.near_policy import Judged, judge
from app.services.pictures.preparing import ImageOutcome, PreparedImage
from app.store.engine import Database
from app.store.pictures.feed import FeedPruned


class ImportCopies:
    """Judges the pictures of one part of an import.

    It holds the codes and hashes of the collection in memory, or asks the server that has them, and brings them
    up to date before each batch.
    """

    def __init__(
        self, database: Database, models: Models, remote: RemoteIndexes, policy: OnNearDuplicate
    ) -> None:
        """Compare with the pictures of ``database``; do with copies what ``policy`` says."""
        self._remote = remote
        self._database = database
        self._models = models
        self._near_duplicates = NearDuplicates(database, models)
        self._policy = policy
        self._live: LiveCollection | None = None

    async def judge(
        self, collection: CollectionRecord, prepared: Sequence[PreparedImage | ImageOutcome]
    ) -> list[Judged]:
        """Find the copies among pictures to add, and leave out those that the policy keeps out.

        Pictures that other requests and other parts of the import are adding at this moment are not compared.

        Raises:
            IndexUnavailable: The server of the index does not answer, or does not hold the index yet.
        """
        live = await self._up_to_date(collection)
        return await judge(self._near_duplicates, live, prepared, self._policy)

    async def _up_to_date(self, collection: CollectionRecord) -> LiveCollection:
        # Load the model outside of the transaction.
        artifact = (await self._models.serving(collection.model)).artifact
        if self._live is not None and (indexes := self._live.remote_indexes):
            # What the server has by now need not stay in memory.
            await self._remote.follow(indexes, lambda: min(index.view().version for index in indexes))
        async with self._database.read() as unit:
            if self._live is not None and self._live.record.model == collection.model:
                with suppress(FeedPruned):
                    if await catch_up(unit, self._live, self._live.index.view().version):
                        return self._live
            if collection.is_remote:
                self._live = await self._remote.load(unit, collection, artifact)
            else:
                self._live = await load_from_rows(unit, collection, artifact)
        return self._live
