"""Compare two models on a collection's own pictures before switching: how alike are their answers?"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.domain.errors import CodesMissing, UnknownCollection, UnknownImage
from app.index.collection_index import CollectionIndex, IndexView
from app.services.index_sync.catalogue import CollectionCatalogue
from app.services.model_registry.models import Models
from app.store.engine import Database
from app.store.records import CollectionRecord
from app.store.unit_of_work import ReadUnit


@dataclass(frozen=True, slots=True)
class Moved:
    """A picture whose place differs between the two answers."""

    image_id: str
    old_rank: int | None
    """Its place under the old model, from 1; None where it is not among the first k."""
    new_rank: int | None


@dataclass(frozen=True, slots=True)
class ComparedQuery:
    """The two answers to one query."""

    image_id: str
    overlap: float
    """Share of the first k that both have."""
    moved: tuple[Moved, ...]
    """Those that came, went or changed places, in the order of the new answer; what went comes last."""


@dataclass(frozen=True, slots=True)
class Compared:
    """Two models on the same queries."""

    old: str
    new: str
    k: int
    queries: tuple[ComparedQuery, ...]
    pictures: tuple[int, int]
    """How many pictures have a code under the old model, and under the new."""

    @property
    def overlap(self) -> float:
        """Mean share of the first k that both answers have."""
        return float(np.mean([query.overlap for query in self.queries]))


class ModelComparison:
    """Ranks stored pictures under two models."""

    def __init__(self, database: Database, models: Models, catalogue: CollectionCatalogue) -> None:
        """Read codes from ``database``; the active model's are in the index already."""
        self._database = database
        self._models = models
        self._catalogue = catalogue

    async def compare(
        self, collection: str, old: str | None, new: str, image_ids: Sequence[str], k: int
    ) -> Compared:
        """Rank the collection for some stored pictures under both models; each is left out of its own answers.

        Args:
            collection: The collection.
            old: A model, the active one by default.
            new: Another.
            image_ids: The queries.
            k: How many results to compare.

        Raises:
            UnknownCollection: There is no such collection.
            UnknownModel: There is no such model.
            UnknownImage: A query is not in the collection.
            CodesMissing: A query has no code under one of the models: re-encode first.
        """
        async with self._database.read() as unit:
            record = await unit.collections.get(collection)
            if record is None:
                raise UnknownCollection(f"there is no collection named {collection!r}")
            found = await unit.images.get_many(record.pk, image_ids)
            unknown = [image_id for image_id in image_ids if image_id not in found]
            if unknown:
                raise UnknownImage(f"there is no picture {unknown[0]!r} in collection {collection!r}")
            views = [await self._view(unit, record, model) for model in (old or record.model, new)]
            numbers = [found[image_id].number for image_id in image_ids]
            ranked = await asyncio.to_thread(_rank_both, views, numbers, k)
            lacking = [i for i, pair in zip(image_ids, ranked, strict=True) if pair is None]
            if lacking:
                raise CodesMissing(f"{len(lacking)} queries lack a code, {lacking[0]} first: re-encode them")
            seen = sorted({n for pair in ranked if pair is not None for one in pair for n in one})
            names = {n: image.image_id for n, image in (await unit.images.by_numbers(record.pk, seen)).items()}
        queries = [
            _compared(image_id, pair, names, k)
            for image_id, pair in zip(image_ids, ranked, strict=True)
            if pair
        ]
        return Compared(old or record.model, new, k, tuple(queries), (views[0].count, views[1].count))

    async def _view(self, unit: ReadUnit, record: CollectionRecord, model: str) -> IndexView:
        live = self._catalogue.collection(record.name)
        if live.record.model == model and live.record.pk == record.pk:
            return live.index.view()
        bits = await self._models.bits(model)
        numbers, codes = await unit.images.load_codes(record.pk, model, bits)
        index = CollectionIndex(bits)
        await asyncio.to_thread(index.load, numbers, codes, 0)
        return index.view()


Ranked = tuple[list[int], list[int]]


def _rank_both(views: Sequence[IndexView], numbers: Sequence[int], k: int) -> list[Ranked | None]:
    """For each picture its nearest k under both models, as insertion numbers; None where it lacks a code."""
    return [_pair([_nearest(view, number, k) for view in views]) for number in numbers]


def _pair(ranked: Sequence[list[int] | None]) -> Ranked | None:
    old, new = ranked
    return None if old is None or new is None else (old, new)


def _nearest(view: IndexView, number: int, k: int) -> list[int] | None:
    code = view.code_of(number)
    if code is None:
        return None
    found = view.search(code, min(k + 1, view.count))
    return [n for n in found.numbers.tolist() if n != number][:k]


def _compared(image_id: str, pair: Ranked, names: dict[int, str], k: int) -> ComparedQuery:
    old, new = ({names[n]: rank for rank, n in enumerate(one, 1) if n in names} for one in pair)
    moved = [Moved(i, old.get(i), new.get(i)) for i in (*new, *(gone for gone in old if gone not in new))]
    shared = len(old.keys() & new.keys())
    possible = min(k, max(len(old), len(new)))
    return ComparedQuery(
        image_id,
        overlap=shared / possible if possible else 1.0,
        moved=tuple(one for one in moved if one.old_rank != one.new_rank),
    )
