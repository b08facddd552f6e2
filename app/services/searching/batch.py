"""Answer many queries in one pass over the codes."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.domain.codes import code_to_hex
from app.domain.errors import LookalikeError, UnknownImage
from app.domain.ranks import Rank
from app.domain.results import FoundImage, QueryInfo, SearchedIndex, SearchLimits, SearchResult
from app.index.collection_index import IndexView, Neighbours
from app.index.weighted import search_weighted
from app.services.index_sync.catalogue import CollectionCatalogue
from app.services.index_sync.live_collection import LiveCollection
from app.services.pictures.coding import StageTimes
from app.services.searching.answers import PreparedSearch, index_of, result_of, searched_index
from app.services.searching.paging import Page, depth_of, page_of
from app.services.searching.queries import NearestOf, Query, WeightedBits
from app.services.searching.remote_views import without_blocking
from app.services.searching.restore_retry import retry_after_restore
from app.services.searching.search import Search, query_of_code, stored_codes
from app.services.searching.texts import Texts
from app.services.searching.weighted_paging import weighted_page_of
from app.store.engine import Database


@dataclass(frozen=True, slots=True)
class CodeQuery:
    """A raw code and its model."""

    code: str
    model: str


@dataclass(frozen=True, slots=True)
class TextQuery:
    """Words for what the pictures show."""

    text: str


BatchQuery = str | CodeQuery | TextQuery
"""The id of a stored picture, a code, or a text."""


@dataclass(frozen=True, slots=True)
class BatchResult:
    """An outcome for each query, in the order of the request."""

    outcomes: tuple[SearchResult | LookalikeError, ...]
    index: SearchedIndex
    took_ms: dict[str, float]


class BatchSearch:
    """Answer several queries of one collection with common limits."""

    def __init__(
        self, database: Database, catalogue: CollectionCatalogue, search: Search, texts: Texts
    ) -> None:
        """Search as ``search`` does, with words as ``texts`` understands them."""
        self._database = database
        self._catalogue = catalogue
        self.follower: Final = search.follower
        self._search = search
        self._texts = texts

    @retry_after_restore
    async def many(
        self,
        queries: Sequence[BatchQuery],
        collection: str,
        limits: SearchLimits,
        *,
        include_self: bool = True,
    ) -> BatchResult:
        """Find the pictures nearest to each of several stored pictures, codes and texts.

        Args:
            queries: Ids of stored pictures, codes, and texts, which are ranked by weighted bits.
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
        prepared = [_as_first(first, query) for query in known]
        async with times.measure("scan"):
            pages = await asyncio.to_thread(_pages, prepared)
        async with times.measure("lookup"):
            records = await self._records(first, pages)
            index = await without_blocking(first.view, index_of, first)
        pairs = zip(prepared, pages, strict=True)
        answers = iter([result_of(one, page, records, (), StageTimes(), index) for one, page in pairs])
        times.ms["total"] = sum(times.ms.values())
        return BatchResult(
            tuple(next(answers) if isinstance(query, Query) else query for query in parsed),
            index,
            times.ms,
        )

    async def _queries(
        self, live: LiveCollection, queries: Sequence[BatchQuery], *, include_self: bool
    ) -> list[Query | LookalikeError]:
        ids = [query for query in queries if isinstance(query, str)]
        records = await self._database.lookups.by_ids(live.record.pk, ids)
        codes = await stored_codes(live.index.view(), [record.number for record in records.values()])
        found: list[Query | LookalikeError] = []
        for i, query in enumerate(queries):
            if isinstance(query, str):
                found.append(_stored(live, records.get(query), codes, query, include_self=include_self))
                continue
            try:
                if isinstance(query, TextQuery):
                    found.append(await self._query_of_text(live, query.text))
                else:
                    found.append(query_of_code(live, query.code, query.model, f"/queries/{i}/code"))
            except LookalikeError as error:
                found.append(error)
        return found

    async def _query_of_text(self, live: LiveCollection, text: str) -> Query:
        ranking, info = await self._texts.understand(text, live.record.model, live.record.pk)
        return Query(NearestOf(ranking.near_and_far()[0]) if live.record.is_remote else ranking, info)

    async def _records(self, prepared: PreparedSearch, pages: Sequence[Page]) -> dict[int, FoundImage]:
        numbers = np.unique(np.concatenate([page.numbers for page in pages]))
        records, _ = await self._database.lookups.found_at(
            prepared.live.record.pk, numbers.tolist(), prepared.view.version
        )
        return records


def _as_first(first: PreparedSearch, query: Query) -> PreparedSearch:
    """Prepare a query as the first one was, on the same view."""
    is_weighted = isinstance(query.ranking, WeightedBits)
    limits = replace(first.limits, rank=Rank.ASYMMETRIC if is_weighted else Rank.HAMMING)
    return replace(first, query=query, limits=limits)


def _pages(prepared: Sequence[PreparedSearch]) -> list[Page]:
    """Return the page of each query; queries of one kind share a pass over the codes."""
    view, request = prepared[0].view, prepared[0].request
    depth = min(max(depth_of(one.query, request) for one in prepared), view.count)
    weighted = [one.query.ranking for one in prepared if isinstance(one.query.ranking, WeightedBits)]
    codes = [
        one.query.ranking.near_and_far()[0]
        for one in prepared
        if not isinstance(one.query.ranking, WeightedBits)
    ]
    radius, key = request.radius, request.filter_key
    near = view.search_many(np.concatenate(codes), depth, radius=radius, filter_key=key) if codes else []
    light: list[Neighbours] = []
    if weighted and isinstance(view, IndexView):
        light = search_weighted(view, [one.weights for one in weighted], depth, radius=radius, filter_key=key)
    by_codes, by_weights = iter(near), iter(light)
    pages = []
    for query in (one.query for one in prepared):
        if isinstance(query.ranking, WeightedBits) and isinstance(view, IndexView):
            pages.append(weighted_page_of(view, query, query.ranking, request, next(by_weights)))
        else:
            pages.append(page_of(view, query, request, next(by_codes)))
    return pages


def _stored(
    live: LiveCollection,
    record: FoundImage | None,
    codes: Mapping[int, NDArray[np.uint64]],
    image_id: str,
    *,
    include_self: bool,
) -> Query | LookalikeError:
    code = None if record is None else codes.get(record.number)
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
