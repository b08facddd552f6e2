"""List the words that were learned from the metadata of a collection's pictures."""

from app.domain.learned_words import LearnedWord
from app.services.index_sync.catalogue import CollectionCatalogue
from app.store.engine import Database


class LearnedWords:
    """Lists learned words."""

    def __init__(self, database: Database, catalogue: CollectionCatalogue) -> None:
        """Read words of the collections of ``catalogue``."""
        self._database = database
        self._catalogue = catalogue

    async def of_collection(self, collection: str) -> tuple[str, list[LearnedWord]]:
        """Return the collection's model and the words learned for it, those with most pictures first.

        Raises:
            UnknownCollection: The collection does not exist.
        """
        record = self._catalogue.collection(collection).record
        async with self._database.read() as unit:
            return record.model, await unit.learned_words.list_all(record.pk, record.model)
