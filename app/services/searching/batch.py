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
from app.services.searching.code_queries import query_of_code, query_of_stored, stored_codes
from app.services.searching.fine_ranking import candidates_with_matches, fine_page, is_reranked
from app.services.searching.paging import Page, depth_of, page_of
from app.services.searching.perceptual_matches import without_matches
from app.services.searching.queries import NearestOf, Query, WeightedBits
from app.services.searching.rank_rules import check_rank_of_code, refuse_colour
from app.services.searching.remote_views import without_blocking
from app.services.searching.reranking import CandidateRows, StoredRows, candidates_depth
from app.services.searching.restore_retry import retry_after_restore
from app.services.searching.search import Search, matched
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
            parsed = await self._queries(live, queries, limits, include_self=include_self)
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
            prepared = await asyncio.to_thread(lambda: [matched(one) for one in prepared])
            found = await asyncio.to_thread(_nearest, prepared)
        async with times.measure("rerank"):
            stored = await self._candidate_rows(prepared, found)
            pages = await asyncio.to_thread(_pages, prepared, found, stored)
        async with times.measure("lookup"):
            records = await self._records(first, pages)
            likenesses = [
                await self._search.likeness.of_page(one, page, records)
                for one, page in zip(prepared, pages, strict=True)
            ]
            index = await without_blocking(first.view, index_of, first)
        parts = zip(prepared, pages, likenesses, strict=True)
        answers = iter(
            [result_of(one, page, records, (), StageTimes(), index, words) for one, page, words in parts]
        )
        times.ms["total"] = sum(times.ms.values())
        return BatchResult(
            tuple(next(answers) if isinstance(query, Query) else query for query in parsed),
            index,
            times.ms,
        )

    async def _queries(
        self,
        live: LiveCollection,
        queries: Sequence[BatchQuery],
        limits: SearchLimits,
        *,
        include_self: bool,
    ) -> list[Query | LookalikeError]:
        ids = [query for query in queries if isinstance(query, str)]
        records, stored = await self._search.stored_pictures(live, ids, limits)
        codes = await stored_codes(live.index.view(), [record.number for record in records.values()])
        found: list[Query | LookalikeError] = []
        for i, query in enumerate(queries):
            try:
                if isinstance(query, str):
                    record = records.get(query)
                    found.append(_stored(live, record, codes, query, limits, stored, include_self=include_self))
                elif isinstance(query, TextQuery):
                    refuse_colour(limits, "a text")
                    found.append(await self._query_of_text(live, query.text))
                else:
                    check_rank_of_code(limits)
                    found.append(query_of_code(live, query.code, query.model, f"/queries/{i}/code"))
            except LookalikeError as error:
                found.append(error)
        return found

    async def _query_of_text(self, live: LiveCollection, text: str) -> Query:
        ranking, info = await self._texts.understand(text, live.record.model, live.record.pk)
        if live.record.is_remote:
            return Query(NearestOf(ranking.near_and_far()[0]), info)
        return Query(ranking, info, ranked_by=Rank.ASYMMETRIC)

    async def _candidate_rows(
        self, prepared: Sequence[PreparedSearch], found: Sequence[Neighbours]
    ) -> CandidateRows:
        """Read what the queries order their candidates by."""
        reranked = [
            (one, candidates_with_matches(one.view, one.query, one.request, nearest).found.numbers)
            for one, nearest in zip(prepared, found, strict=True)
            if is_reranked(one)
        ]
        if not reranked:
            return CandidateRows()
        numbers = np.unique(np.concatenate([some for _, some in reranked]))
        # One that is ranked by its code needs less than others; all queries weigh colours, or none.
        most = next((one for one, _ in reranked if one.query.descriptors is not None), reranked[0][0])
        return await self._search.candidate_rows(most, numbers)

    async def _records(self, prepared: PreparedSearch, pages: Sequence[Page]) -> dict[int, FoundImage]:
        numbers = np.unique(np.concatenate([page.numbers for page in pages]))
        records, _ = await self._database.lookups.found_at(
            prepared.live.record.pk, numbers.tolist(), prepared.view.version
        )
        return records


def _as_first(first: PreparedSearch, query: Query) -> PreparedSearch:
    """Prepare a query as the first one was, on the same view."""
    is_weighted = isinstance(query.ranking, WeightedBits)
    limits = replace(first.limits, rank=Rank.ASYMMETRIC) if is_weighted else first.limits
    return replace(first, query=query, limits=limits)


def _nearest(prepared: Sequence[PreparedSearch]) -> list[Neighbours]:
    """Return the nearest pictures of each query; queries of one kind share a pass over the codes."""
    view, request = prepared[0].view, prepared[0].request
    depth = min(max(_depth(one) for one in prepared), view.count)
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
    return [next(by_weights if isinstance(one.query.ranking, WeightedBits) else by_codes) for one in prepared]


def _depth(prepared: PreparedSearch) -> int:
    """Return the initial search depth of a search."""
    depth = candidates_depth if is_reranked(prepared) else depth_of
    return depth(without_matches(prepared.query), prepared.request)


def _pages(
    prepared: Sequence[PreparedSearch], found: Sequence[Neighbours], stored: CandidateRows
) -> list[Page]:
    return [_page(one, nearest, stored) for one, nearest in zip(prepared, found, strict=True)]


def _page(prepared: PreparedSearch, found: Neighbours, stored: CandidateRows) -> Page:
    view, query, request = prepared.view, prepared.query, prepared.request
    if isinstance(query.ranking, WeightedBits) and isinstance(view, IndexView):
        return weighted_page_of(view, query, query.ranking, request, found)
    if is_reranked(prepared):
        return fine_page(prepared, candidates_with_matches(view, query, request, found), stored)
    return page_of(view, query, request, found)


def _stored(
    live: LiveCollection,
    record: FoundImage | None,
    codes: Mapping[int, NDArray[np.uint64]],
    image_id: str,
    limits: SearchLimits,
    stored: StoredRows,
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
    ranking = NearestOf(code[np.newaxis])
    return query_of_stored(live, record, ranking, info, exclude, limits, stored)
