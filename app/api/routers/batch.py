"""``POST /search/batch``."""

from typing import Annotated

from fastapi import APIRouter, Body, Request
from fastapi.responses import JSONResponse

from app.api.deps import CallerDep, PictureAddresses, PictureAddressesDep, ServicesDep
from app.api.json_response import FastJSONResponse
from app.api.problems import problem
from app.api.public_path import public_path
from app.api.schemas.batch import BatchQuery, BatchRequest, BatchResponse
from app.api.schemas.common import problems
from app.api.search_answers import (
    Document,
    index_document,
    page_document,
    query_document,
    server_timing,
    took_document,
)
from app.bootstrap import ServingServices
from app.domain.errors import FieldError, LookalikeError
from app.domain.filters import parse_filter
from app.domain.ranks import Rank
from app.domain.results import SearchLimits, SearchResult
from app.services.searching.batch import CodeQuery, TextQuery

router = APIRouter(tags=["search"])


@router.post(
    "/search/batch",
    responses={200: {"model": BatchResponse}, **problems(400, 404, 409, 422, 503)},
    operation_id="searchBatch",
    summary="Search by many stored pictures, texts or codes",
)
async def search_batch(
    request: Request,
    services: ServicesDep,
    caller: CallerDep,
    addresses: PictureAddressesDep,
    asked: Annotated[
        BatchRequest,
        Body(
            openapi_examples={
                "related products of a page": {
                    "value": {
                        "queries": [{"image_id": "sunset-01"}, {"image_id": "sunset-02"}],
                        "limit": 5,
                        "include_self": False,
                    }
                },
                "several words": {"value": {"queries": [{"text": "dog"}, {"text": "beach"}], "limit": 5}},
            }
        ),
    ],
) -> JSONResponse:
    """Up to 64 stored pictures, texts or codes of one collection in one pass, each with its own outcome.

    An unknown picture does not prevent answers to the others; if no query could be answered, the status is 422.
    """
    caller.check_collection(asked.collection)
    limits = SearchLimits(
        limit=asked.limit,
        max_distance=asked.max_distance,
        min_score=asked.min_score,
        rank=Rank(asked.rank),
        colour=asked.colour,
        filter=None if asked.filter is None else parse_filter(asked.filter),
        filter_document=asked.filter,
    )
    queries = [_query(query) for query in asked.queries]
    found = await services.batch_search.many(queries, asked.collection, limits, include_self=asked.include_self)
    failures = [outcome for outcome in found.outcomes if isinstance(outcome, LookalikeError)]
    if len(failures) == len(found.outcomes):
        return _all_failed(request, failures)
    document = {
        "items": [_answer(outcome, services, addresses) for outcome in found.outcomes],
        "index": index_document(found.index),
        "took_ms": took_document(found.took_ms),
    }
    return FastJSONResponse(document, headers=server_timing(found.took_ms))


def _query(query: BatchQuery) -> str | CodeQuery | TextQuery:
    if query.image_id is not None:
        return query.image_id
    return CodeQuery(query.code or "", query.model or "") if query.text is None else TextQuery(query.text)


def _answer(
    outcome: SearchResult | LookalikeError, services: ServingServices, addresses: PictureAddresses
) -> Document:
    """Return a ``BatchAnswer``."""
    if isinstance(outcome, LookalikeError):
        error = {"code": outcome.code, "detail": outcome.detail}
        return {
            "query": None,
            "ranked_by": None,
            "items": [],
            "next_cursor": None,
            "cutoff": None,
            "error": error,
        }
    return {
        "query": query_document(outcome.query),
        "ranked_by": outcome.ranked_by,
        **page_document(outcome, services, addresses),
        "error": None,
    }


def _all_failed(request: Request, failures: list[LookalikeError]) -> JSONResponse:
    return problem(
        422,
        "validation_failed",
        f"None of the queries could be answered. The first: {failures[0].detail}",
        instance=public_path(request.scope),
        request_id=request.state.request_id,
        errors=[FieldError(f"/queries/{i}", failure.detail) for i, failure in enumerate(failures)],
    )
