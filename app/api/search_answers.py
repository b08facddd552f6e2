"""Convert search results to JSON; shared by all routers that return hits."""

from fastapi.responses import JSONResponse

from app.api.deps import PictureAddresses
from app.api.schemas.search import (
    Coverage,
    ExampleImage,
    SearchCutoff,
    SearchedIndexShape,
    SearchHit,
    SearchQuery,
    SearchResponse,
)
from app.bootstrap import ServingServices
from app.domain.results import Cutoff, Hit, QueryInfo, SearchedIndex, SearchResult


def answer_of(result: SearchResult, services: ServingServices, addresses: PictureAddresses) -> JSONResponse:
    """Return the JSON answer, with the time of each stage in ``Server-Timing``."""
    body = SearchResponse(
        query=query_shape(result.query),
        exact_matches=list(result.exact_matches),
        items=[hit_shape(hit, result.index.collection, addresses) for hit in result.hits],
        next_cursor=services.signer.seal_search_cursor(result.next_cursor) if result.next_cursor else None,
        cutoff=cutoff_shape(result.cutoff),
        index=index_shape(result.index),
        took_ms=took_shape(result.took_ms),
    )
    return JSONResponse(body.model_dump(mode="json"), headers=server_timing(result.took_ms))


def query_shape(query: QueryInfo) -> SearchQuery:
    """Describe the query."""
    examples = [
        ExampleImage(image_id=example.image_id, sign="+" if example.is_wanted else "-")
        for example in query.examples
    ]
    return SearchQuery(
        code=query.code,
        bits=query.bits,
        sha256=query.sha256,
        width=query.width,
        height=query.height,
        image_id=query.image_id,
        images=examples or None,
    )


def hit_shape(hit: Hit, collection: str, addresses: PictureAddresses) -> SearchHit:
    """Return one hit in its JSON form."""
    return SearchHit(
        rank=hit.rank,
        id=hit.image_id,
        distance=hit.distance,
        score=round(hit.score, 6),
        rank_distance=None if hit.rank_distance is None else round(hit.rank_distance, 6),
        orientation=hit.orientation,
        exact=hit.exact,
        uri=hit.uri,
        thumbnail_url=addresses.thumbnail(collection, hit.image_id) if hit.has_bytes else None,
        metadata=hit.metadata,
    )


def cutoff_shape(cutoff: Cutoff | None) -> SearchCutoff | None:
    """Describe the ties at the end of the results."""
    if cutoff is None:
        return None
    return SearchCutoff(distance=cutoff.distance, returned=cutoff.returned, total=cutoff.total)


def index_shape(index: SearchedIndex) -> SearchedIndexShape:
    """Describe the index that was searched."""
    return SearchedIndexShape(
        collection=index.collection,
        model=index.model,
        index_version=index.index_version,
        searched=index.searched,
        coverage=Coverage(indexed=index.indexed, pending=index.pending, failed=index.failed),
    )


def took_shape(took_ms: dict[str, float]) -> dict[str, float]:
    """Round the milliseconds of each stage."""
    return {stage: round(ms, 3) for stage, ms in took_ms.items()}


def server_timing(took_ms: dict[str, float]) -> dict[str, str]:
    """Return the ``Server-Timing`` header, which browsers show in their developer tools."""
    return {"Server-Timing": ", ".join(f"{stage};dur={ms:.3f}" for stage, ms in took_ms.items())}
