"""List the metadata keys and values of a collection, from which users choose filters."""

from collections.abc import Sequence
from typing import Final

from app.services.index_sync.catalogue import CollectionCatalogue
from app.store.engine import Database
from app.store.pictures.metadata_keys import MetadataKey

MAX_KEYS: Final = 100
MAX_VALUES: Final = 100


class MetadataKeys:
    """List the metadata keys of collections in ``catalogue``."""

    def __init__(self, database: Database, catalogue: CollectionCatalogue) -> None:
        """Read ``database``."""
        self._database = database
        self._catalogue = catalogue

    async def list(self, collection: str) -> Sequence[MetadataKey]:
        """Return the first ``MAX_KEYS`` keys, each with its first ``MAX_VALUES`` values.

        Raises:
            UnknownCollection: The collection does not exist.
        """
        pk = self._catalogue.collection(collection).record.pk
        async with self._database.read() as unit:
            return await unit.metadata.keys(pk, max_keys=MAX_KEYS, max_values=MAX_VALUES)
