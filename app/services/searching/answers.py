"""Build the search result from a page of a ranking."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from app.domain.calibration import Likeness
from app.domain.ranks import Rank, Where
from app.domain.results import FoundImage, Hit, SearchCursor, SearchedIndex, SearchLimits, SearchResult
from app.domain.variants import QueryVariant
from app.index.port import View
from app.services.index_sync.live_collection import LiveCollection
from app.services.pictures.coding import StageTimes
from app.services.searching.paging import Page, PageRequest, cutoff_of
from app.services.searching.queries import (
    Examples,
    NearestOf,
    Query,
    WeightedBits,
    encoded_colours,
    encoded_descriptors,
    encoded_hashes,
    encoded_weights,
    texts_of,
)


@dataclass(frozen=True, slots=True)
class PreparedSearch:
    """A search that is ready to run on one view of the index."""

    live: LiveCollection
    view: View
    query: Query
    limits: SearchLimits
    request: PageRequest
    where: Where = Where.LOOKS


def radius_of(query: Query, limits: SearchLimits, bits: int) -> int | None:
    """Return the largest distance within both bounds of a request; None without bounds."""
    bounds = []
    if limits.max_distance is not None:
        bounds.append(limits.max_distance)
    if limits.min_score is not None:
        bounds.append(query.ranking.scale(bits).radius_for(limits.min_score))
    return min(bounds) if bounds else None


def result_of(
    prepared: PreparedSearch,
    page: Page,
    records: dict[int, FoundImage],
    exact_matches: tuple[str, ...],
    times: StageTimes,
    index: SearchedIndex,
    likenesses: Mapping[int, Likeness] = MappingProxyType({}),
) -> SearchResult:
    """Build the result of a page.

    Args:
        prepared: The prepared search.
        page: The page.
        records: Its pictures by insertion number; pictures deleted meanwhile are missing and are left out.
        exact_matches: Ids of the pictures whose file equals the query's.
        times: Stage times; the total is added here.
        index: The searched index.
        likenesses: The likeness of each picture by insertion number, if the query is a picture.
    """
    times.ms["total"] = sum(times.ms.values())
    return SearchResult(
        query=prepared.query.info,
        ranked_by=prepared.query.ranked_by,
        hits=_hits(prepared, page, records, likenesses),
        exact_matches=exact_matches,
        next_cursor=_cursor(prepared, page),
        cutoff=cutoff_of(page),
        index=index,
        took_ms=times.ms,
    )


def index_of(prepared: PreparedSearch) -> SearchedIndex:
    """Describe the index of a prepared search; this waits for a remote index."""
    return searched_index(prepared.live, prepared.view, prepared.request.filter_key)


def searched_index(live: LiveCollection, view: View, filter_key: str | None) -> SearchedIndex:
    """Describe the searched index."""
    return SearchedIndex(
        collection=live.record.name,
        model=live.record.model,
        index_version=view.version,
        searched=view.count if filter_key is None else view.filtered_count(filter_key),
        indexed=view.count,
        pending=live.missing.pending,
        failed=live.missing.failed,
    )


def _hits(
    prepared: PreparedSearch,
    page: Page,
    records: dict[int, FoundImage],
    likenesses: Mapping[int, Likeness],
) -> tuple[Hit, ...]:
    query = prepared.query
    scale = query.ranking.scale(prepared.view.bits)
    variants = _variants(prepared, page)
    orientations = {variant.orientation for variant in _tried(prepared)}
    regions = {variant.region for variant in _tried(prepared)}
    ranked = [] if page.rank_distances is None else page.rank_distances.tolist()
    colours = [] if page.colour_distances is None else page.colour_distances.tolist()
    given = 0 if prepared.request.after is None else prepared.request.after.given
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
                rank_distance=ranked[i] if i < len(ranked) else None,
                colour_distance=None if i >= len(colours) or math.isnan(colours[i]) else colours[i],
                orientation=variants[number].orientation if len(orientations) > 1 else None,
                region=variants[number].region if len(regions) > 1 else None,
                in_metadata=None if page.matched is None else i < page.matched,
                likeness=likenesses.get(number),
            )
        )
    return tuple(hits)


def _tried(prepared: PreparedSearch) -> tuple[QueryVariant, ...]:
    ranking = prepared.query.ranking
    return ranking.variants if isinstance(ranking, NearestOf) else ()


def _variants(prepared: PreparedSearch, page: Page) -> dict[int, QueryVariant]:
    """Return the matching variant of the query for each picture, if several were tried."""
    ranking, tried = prepared.query.ranking, _tried(prepared)
    if not isinstance(ranking, NearestOf) or not tried:
        return {}
    numbers, codes = prepared.view.codes_of(np.sort(page.numbers))
    nearest = dict(zip(numbers.tolist(), ranking.nearest_query(codes).tolist(), strict=True))
    if page.variants is not None:
        nearest |= zip(page.numbers.tolist(), page.variants.tolist(), strict=False)
    return {number: tried[query] for number, query in nearest.items()}


def _cursor(prepared: PreparedSearch, page: Page) -> SearchCursor | None:
    """Return the cursor of the next page; None after the last."""
    if not page.more:
        return None
    query, limits, after, bits = (
        prepared.query,
        prepared.limits,
        prepared.request.after,
        prepared.view.bits,
    )
    near, far = query.ranking.near_and_far()
    boundary = page.boundary or prepared.request.boundary
    ranked = 0 if page.rank_distances is None else len(page.rank_distances)
    # Which candidates follow does not depend on their values alone: these change with the other candidates.
    is_relative = bool(limits.diversify) or query.ranked_by is Rank.EXPANDED
    returned = [*query.returned, *page.numbers[:ranked].tolist()] if is_relative else []
    weighted = query.ranking if isinstance(query.ranking, WeightedBits) else None
    return SearchCursor(
        collection=prepared.live.record.name,
        model_digest=prepared.live.model_digest,
        codes=texts_of(near, bits),
        unwanted=texts_of(far, bits),
        are_examples=isinstance(query.ranking, Examples),
        filter_document=limits.filter_document,
        limit=limits.limit,
        radius=prepared.request.radius,
        distance=int(page.distances[-1]),
        number=int(page.numbers[-1]),
        given=len(page.numbers) + (0 if after is None else after.given),
        given_at_distance=page.returned_ties,
        exclude=query.exclude.tolist(),
        sha256=query.info.sha256,
        rank=limits.rank,
        ranked_by=query.ranked_by,
        weights=encoded_weights(query),
        variants=[_numbers_of(variant) for variant in _tried(prepared)],
        boundary=None if boundary is None else [boundary.distance, boundary.number],
        matches=[list(match) for match in query.matches],
        diversify=limits.diversify,
        colour=limits.colour,
        colours=encoded_colours(query),
        copy_hashes=encoded_hashes(query),
        copy_descriptors=encoded_descriptors(query),
        is_blank=query.copy is not None and query.copy.is_blank,
        returned=returned,
        text_digest=weighted.digest if weighted is not None and weighted.is_of_text else None,
        text=query.info.text,
        where=prepared.where,
        is_rest=page.is_rest,
        rank_distance=float(page.rank_distances[-1])
        if page.rank_distances is not None and ranked == len(page.numbers)
        else None,
    )


def _numbers_of(variant: QueryVariant) -> list[float]:
    region = variant.region
    return [variant.orientation, region.x, region.y, region.width, region.height]
