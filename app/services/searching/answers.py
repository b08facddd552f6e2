"""From a page of a ranking to the answer: hits with names and scores, cutoff, cursor, what was searched."""

from dataclasses import dataclass

import numpy as np

from app.domain.results import Hit, SearchCursor, SearchedIndex, SearchLimits, SearchResult
from app.index.collection_index import IndexView
from app.services.index_sync.live_collection import LiveCollection
from app.services.pictures.coding import StageTimes
from app.services.searching.paging import Page, Wanted, cutoff_of, returned_at_last
from app.services.searching.queries import (
    EXIF_ORIENTATIONS,
    Examples,
    NearestOf,
    Query,
    sealed_weights,
    texts_of,
)
from app.services.searching.reranking import candidates_for
from app.store.records import ImageRecord


@dataclass(frozen=True, slots=True)
class Asked:
    """One search, ready to run."""

    live: LiveCollection
    view: IndexView
    query: Query
    limits: SearchLimits
    wanted: Wanted


def radius_of(query: Query, limits: SearchLimits, bits: int) -> int | None:
    """The largest distance that both bounds of a request allow; None without any."""
    bounds = []
    if limits.max_distance is not None:
        bounds.append(limits.max_distance)
    if limits.min_score is not None:
        bounds.append(query.ranking.scale(bits).radius_for(limits.min_score))
    return min(bounds) if bounds else None


def result_of(
    asked: Asked,
    page: Page,
    records: dict[int, ImageRecord],
    exact_matches: tuple[str, ...],
    times: StageTimes,
) -> SearchResult:
    """The answer that a page makes.

    Args:
        asked: What was asked.
        page: Its page.
        records: The page's pictures by number; one that is missing was deleted meanwhile and is left out.
        exact_matches: Ids of the pictures with the query's very bytes.
        times: What it took, the total not yet among it.
    """
    live, view, key = asked.live, asked.view, asked.wanted.filter_key
    times.ms["total"] = sum(times.ms.values())
    return SearchResult(
        query=asked.query.info,
        hits=_hits(asked, page, records),
        exact_matches=exact_matches,
        next_cursor=_cursor(asked, page),
        cutoff=cutoff_of(page, asked.wanted.after),
        index=searched_index(live, view, key),
        took_ms=times.ms,
    )


def searched_index(live: LiveCollection, view: IndexView, filter_key: str | None) -> SearchedIndex:
    """What was searched."""
    return SearchedIndex(
        collection=live.record.name,
        model=live.record.model,
        index_version=view.version,
        searched=view.count if filter_key is None else view.filtered_count(filter_key),
        indexed=view.count,
        pending=live.pending,
        failed=live.failed,
    )


def _hits(asked: Asked, page: Page, records: dict[int, ImageRecord]) -> tuple[Hit, ...]:
    query = asked.query
    scale = query.ranking.scale(asked.view.bits)
    orientations = _orientations(asked, page)
    given = 0 if asked.wanted.after is None else asked.wanted.after.given
    hits: list[Hit] = []
    for i, (number, distance) in enumerate(zip(page.numbers.tolist(), page.distances.tolist(), strict=True)):
        record = records.get(number)
        if record is None:
            continue
        hits.append(
            Hit(
                rank=given + len(hits) + 1,
                number=number,
                image_id=record.image_id,
                distance=distance,
                score=scale.score_of(distance),
                exact=record.sha256 == query.info.sha256,
                uri=record.uri,
                has_bytes=record.has_bytes,
                metadata=record.metadata,
                rank_distance=None if page.rank_distances is None else float(page.rank_distances[i]),
                orientation=orientations.get(number),
            )
        )
    return tuple(hits)


def _orientations(asked: Asked, page: Page) -> dict[int, int]:
    """How the query had to be turned for each picture, where it was turned at all."""
    ranking = asked.query.ranking
    if not isinstance(ranking, NearestOf) or ranking.codes == 1:
        return {}
    numbers, codes = asked.view.codes_of(np.sort(page.numbers))
    tried = EXIF_ORIENTATIONS[ranking.codes]
    return {
        number: tried[query]
        for number, query in zip(numbers.tolist(), ranking.nearest_query(codes).tolist(), strict=True)
    }


def _cursor(asked: Asked, page: Page) -> SearchCursor | None:
    """The cursor of the next page; None behind the last."""
    if not page.more:
        return None
    query, limits, after, bits = asked.query, asked.limits, asked.wanted.after, asked.view.bits
    near, far = query.ranking.near_and_far()
    return SearchCursor(
        collection=asked.live.record.name,
        model_digest=asked.live.model_digest,
        codes=texts_of(near, bits),
        unwanted=texts_of(far, bits),
        are_examples=isinstance(query.ranking, Examples),
        filter_document=limits.filter_document,
        limit=limits.limit,
        radius=asked.wanted.radius,
        distance=int(page.distances[-1]),
        number=int(page.numbers[-1]),
        given=len(page.numbers) + (0 if after is None else after.given),
        given_at_distance=returned_at_last(page, after),
        exclude=query.exclude.tolist(),
        sha256=query.info.sha256,
        rank=limits.rank,
        weights=sealed_weights(query),
        candidates=candidates_for(asked.wanted),
        rank_distance=0.0 if page.rank_distances is None else float(page.rank_distances[-1]),
    )
