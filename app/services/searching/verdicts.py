"""Remember that pictures are no duplicates of each other, although they look like copies."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.domain.errors import UnknownImage
from app.domain.ids import parse_image_id
from app.services.index_sync.catalogue import CollectionCatalogue
from app.store.engine import Database
from app.store.unit_of_work import WriteUnit


@dataclass(frozen=True, slots=True)
class DifferentPairs:
    """A page of pairs that were called different, by the ids of their pictures."""

    pairs: tuple[tuple[str, str], ...]
    next_offset: int | None
    """Offset of the next page; None at the end."""


class Verdicts:
    """Add, list and withdraw verdicts. They belong to pictures, not to a model, and are deleted with them."""

    def __init__(self, database: Database, catalogue: CollectionCatalogue) -> None:
        """Keep verdicts on the pictures of ``catalogue`` in ``database``."""
        self._database = database
        self._catalogue = catalogue

    async def call_different(self, collection: str, image_ids: Sequence[str]) -> int:
        """Remember that no two of these pictures are duplicates; return the number of new pairs.

        Raises:
            UnknownCollection: The collection does not exist.
            UnknownImage: The collection does not contain one of the pictures.
            InvalidId: An id is one that no picture can have.
        """
        pk = self._catalogue.collection(collection).record.pk
        async with self._database.write() as unit:
            return await unit.verdicts.add(pk, await _numbers(unit, pk, collection, image_ids))

    async def take_back(self, collection: str, image_ids: Sequence[str]) -> int:
        """Forget what was said about pairs of these pictures; return the number of pairs.

        Raises:
            UnknownCollection: The collection does not exist.
            UnknownImage: The collection does not contain one of the pictures.
            InvalidId: An id is one that no picture can have.
        """
        pk = self._catalogue.collection(collection).record.pk
        async with self._database.write() as unit:
            return await unit.verdicts.delete(pk, await _numbers(unit, pk, collection, image_ids))

    async def page(self, collection: str, *, offset: int, limit: int) -> DifferentPairs:
        """Return the next pairs, ordered by age.

        Raises:
            UnknownCollection: The collection does not exist.
        """
        pk = self._catalogue.collection(collection).record.pk
        async with self._database.read() as unit:
            pairs = await unit.verdicts.page(pk, offset, limit + 1)
        return DifferentPairs(tuple(pairs[:limit]), offset + limit if len(pairs) > limit else None)


async def _numbers(unit: WriteUnit, pk: int, collection: str, image_ids: Sequence[str]) -> list[int]:
    found = await unit.images.get_many(pk, [parse_image_id(image_id) for image_id in image_ids])
    for image_id in image_ids:
        if image_id not in found:
            raise UnknownImage(f"there is no picture {image_id!r} in collection {collection!r}")
    return [record.number for record in found.values()]
