"""Compare the results of two models on a collection's own pictures before a switch."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.domain.collections import CollectionRecord
from app.domain.errors import CodesMissing, UnknownCollection, UnknownImage
from app.index.collection_index import CollectionIndex
from app.index.port import View
from app.services.index_sync.catalogue import CollectionCatalogue
from app.services.model_registry.models import Models
from app.store.engine import Database
from app.store.unit_of_work import ReadUnit


@dataclass(frozen=True, slots=True)
class RankChange:
    """A picture whose rank differs between the two results."""

    image_id: str
    old_rank: int | None
    """Rank under the old model, from 1; None if it is not among the first k."""
    new_rank: int | None


@dataclass(frozen=True, slots=True)
class ComparedQuery:
    """The two results of one query."""

    image_id: str
    overlap: float
    """Share of the first k that both results contain."""
    moved: tuple[RankChange, ...]
    """Pictures in only one result or with another rank, in the order of the new result, then of the old one."""


@dataclass(frozen=True, slots=True)
class ModelComparisonResult:
    """The results of two models on the same queries."""

    old: str
    new: str
    k: int
    queries: tuple[ComparedQuery, ...]
    pictures: tuple[int, int]
    """Number of pictures with a code under the old and under the new model."""
    measured: dict[str, Any] | None
    """How the new model compares with the one in use when it was trained; None if that was not measured."""

    @property
    def overlap(self) -> float:
        """Mean overlap of all queries."""
        return float(np.mean([query.overlap for query in self.queries]))


class ModelComparison:
    """Rank stored pictures under two models."""

    def __init__(self, database: Database, models: Models, catalogue: CollectionCatalogue) -> None:
        """Read codes from ``database``, or from ``catalogue`` for the active model."""
        self._database = database
        self._models = models
        self._catalogue = catalogue

    async def compare(
        self, collection: str, old: str | None, new: str, image_ids: Sequence[str], k: int
    ) -> ModelComparisonResult:
        """Search with stored pictures under both models, and compare the results without the query itself.

        Args:
            collection: Name of the collection.
            old: Name of the first model; None for the active one.
            new: Name of the second model.
            image_ids: Ids of the query pictures.
            k: Number of results to compare.

        Raises:
            UnknownCollection: The collection does not exist.
            UnknownModel: A model does not exist.
            UnknownImage: The collection does not contain a query picture.
            CodesMissing: A query picture has no code under one of the models.
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
            results = await asyncio.to_thread(_search_both, views, numbers, k)
            without_code = [i for i, pair in zip(image_ids, results, strict=True) if pair is None]
            if without_code:
                raise CodesMissing(
                    f"{len(without_code)} queries have no code, for instance {without_code[0]}; re-encode them"
                )
            found_numbers = sorted({n for pair in results if pair is not None for one in pair for n in one})
            images = await unit.images.by_numbers(record.pk, found_numbers)
            ids = {number: image.image_id for number, image in images.items()}
        queries = [
            _compared_query(image_id, pair, ids, k)
            for image_id, pair in zip(image_ids, results, strict=True)
            if pair
        ]
        counts = views[0].count, views[1].count
        document = (await self._models.report(new)).record.document
        measured = document.get("calibration", {}).get("comparison")
        return ModelComparisonResult(old or record.model, new, k, tuple(queries), counts, measured)

    async def _view(self, unit: ReadUnit, record: CollectionRecord, model: str) -> View:
        live = self._catalogue.collection(record.name)
        if live.record.model == model and live.record.pk == record.pk:
            return live.index.view()
        bits = await self._models.bits(model)
        numbers, codes = await unit.images.load_codes(record.pk, model, bits)
        index = CollectionIndex(bits)
        await asyncio.to_thread(index.load, numbers, codes, 0)
        return index.view()


ResultPair = tuple[list[int], list[int]]
"""Insertion numbers of the nearest pictures under the old and under the new model."""


def _search_both(views: Sequence[View], numbers: Sequence[int], k: int) -> list[ResultPair | None]:
    """Return each picture's nearest k under both models; None if it lacks a code under one of them."""
    return [_pair([_nearest(view, number, k) for view in views]) for number in numbers]


def _pair(results: Sequence[list[int] | None]) -> ResultPair | None:
    old, new = results
    return None if old is None or new is None else (old, new)


def _nearest(view: View, number: int, k: int) -> list[int] | None:
    code = view.code_of(number)
    if code is None:
        return None
    found = view.search(code, min(k + 1, view.count))
    return [n for n in found.numbers.tolist() if n != number][:k]


def _compared_query(image_id: str, pair: ResultPair, ids: dict[int, str], k: int) -> ComparedQuery:
    old, new = ({ids[n]: rank for rank, n in enumerate(result, 1) if n in ids} for result in pair)
    ordered = (*new, *(i for i in old if i not in new))
    changes = [RankChange(i, old.get(i), new.get(i)) for i in ordered if old.get(i) != new.get(i)]
    shared = len(old.keys() & new.keys())
    possible = min(k, max(len(old), len(new)))
    return ComparedQuery(image_id, overlap=shared / possible if possible else 1.0, moved=tuple(changes))
