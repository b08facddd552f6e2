"""Answer many queries in one pass over the codes."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from app.domain.codes import code_to_hex
from app.domain.errors import LookalikeError, UnknownImage
from app.domain.results import FoundImage, QueryInfo, SearchedIndex, SearchLimits, SearchResult
from app.services.index_sync.catalogue import CollectionCatalogue
from app.services.index_sync.live_collection import LiveCollection
from app.services.pictures.coding import StageTimes
from app.services.searching.answers import PreparedSearch, index_of, result_of, searched_index
from app.services.searching.paging import Page, depth_of, page_of
from app.services.searching.queries import NearestOf, Query
from app.services.searching.restore_retry import retry_after_restore
from app.services.searching.search import Search, query_of_code
from app.store.engine import Database


@dataclass(frozen=True, slots=True)
class CodeQuery:
    """A raw code and its model."""

    code: str
    model: str


@dataclass(frozen=True, slots=True)
class BatchResult:
    """An outcome for each query, in the order of the request."""

    outcomes: tuple[SearchResult | LookalikeError, ...]
    index: SearchedIndex
    took_ms: dict[str, float]


class BatchSearch:
    """Answer several queries of one collection with common limits."""

    def __init__(self, database: Database, catalogue: CollectionCatalogue, search: Search) -> None:
        """Search as ``search`` does."""
        self._database = database
        self._catalogue = catalogue
        self.follower: Final = search.follower
        self._search = search

    @retry_after_restore
    async def many(
        self,
        queries: Sequence[str | CodeQuery],
        collection: str,
        limits: SearchLimits,
        *,
        include_self: bool = True,
    ) -> BatchResult:
        """Find the pictures nearest to each of several stored pictures and codes.

        Args:
            queries: Ids of stored pictures, and codes.
            collection: Name of the collection.
            limits: Bounds and filter of each result list.
            include_self: Whether a stored picture is in its own results.

        Raises:
            UnknownCollection: The collection does not exist.
            IndexNotReady: The index is still loading.
        """
        live = self._catalogue.collection(collection)
        times = StageTimes()
        async with times.measure("lookup"):
            parsed = await self._queries(live, queries, include_self=include_self)
        known = [query for query in parsed if isinstance(query, Query)]
        if not known:
            return BatchResult(
                tuple(q for q in parsed if isinstance(q, LookalikeError)),
                searched_index(live, live.index.view(), None),
                times.ms | {"total": sum(times.ms.values())},
            )
        # All queries use one view of the index.
        first = await self._search.prepare(live, known[0], limits, times)
        prepared = [replace(first, query=query) for query in known]
        async with times.measure("scan"):
            pages = await asyncio.to_thread(_pages, prepared)
        async with times.measure("lookup"):
            records = await self._records(first, pages)
        pairs = zip(prepared, pages, strict=True)
        index = index_of(first)
        answers = iter([result_of(one, page, records, (), StageTimes(), index) for one, page in pairs])
        times.ms["total"] = sum(times.ms.values())
        return BatchResult(
            tuple(next(answers) if isinstance(query, Query) else query for query in parsed),
            index,
            times.ms,
        )

    async def _queries(
        self, live: LiveCollection, queries: Sequence[str | CodeQuery], *, include_self: bool
    ) -> list[Query | LookalikeError]:
        ids = [query for query in queries if isinstance(query, str)]
        records = await self._database.lookups.by_ids(live.record.pk, ids)
        found: list[Query | LookalikeError] = []
        for i, query in enumerate(queries):
            if isinstance(query, str):
                found.append(_stored(live, records.get(query), query, include_self=include_self))
                continue
            try:
                found.append(query_of_code(live, query.code, query.model, f"/queries/{i}/code"))
            except LookalikeError as error:
                found.append(error)
        return found

    async def _records(self, prepared: PreparedSearch, pages: Sequence[Page]) -> dict[int, FoundImage]:
        numbers = np.unique(np.concatenate([page.numbers for page in pages]))
        records, _ = await self._database.lookups.found_at(
            prepared.live.record.pk, numbers.tolist(), prepared.view.version
        )
        return records


def _pages(prepared: Sequence[PreparedSearch]) -> list[Page]:
    view, request = prepared[0].view, prepared[0].request
    depth = max(depth_of(one.query, request) for one in prepared)
    codes = np.concatenate([one.query.ranking.near_and_far()[0] for one in prepared])
    found = view.search_many(
        codes, min(depth, view.count), radius=request.radius, filter_key=request.filter_key
    )
    return [page_of(view, one.query, request, nearest) for one, nearest in zip(prepared, found, strict=True)]


def _stored(
    live: LiveCollection, record: FoundImage | None, image_id: str, *, include_self: bool
) -> Query | LookalikeError:
    code = None if record is None else live.index.view().code_of(record.number)
    if record is None or code is None:
        return UnknownImage(f"there is no picture {image_id!r} in collection {live.record.name!r}")
    info = QueryInfo(
        bits=live.index.bits,
        code=code_to_hex(code, live.index.bits),
        sha256=record.sha256,
        width=record.width,
        height=record.height,
        image_id=image_id,
    )
    exclude = np.array([] if include_self else [record.number], np.int64)
    return Query(NearestOf(code[np.newaxis]), info, exclude)
