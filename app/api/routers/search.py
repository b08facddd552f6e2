"""``POST /search`` and ``GET /images/{id}/similar``."""

from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from app.api.deps import CollectionQuery, PictureAddresses, PictureAddressesDep, ServicesDep
from app.api.forms import json_field, media_type, one_file, parse_fields, read_form, read_json
from app.api.schemas.common import problems
from app.api.schemas.search import (
    MAX_LIMIT,
    SEARCH_EXAMPLE,
    Coverage,
    CropBox,
    SearchCutoff,
    SearchedIndexShape,
    SearchHit,
    SearchQuery,
    SearchRequest,
    SearchResponse,
)
from app.bootstrap import Services
from app.domain.errors import UrlNotAllowed
from app.domain.filters import parse_filter
from app.domain.results import SearchLimits, SearchResult

router = APIRouter(tags=["search"])

_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "model": SearchResponse,
        "description": "The nearest pictures, by distance and then by age.",
        "content": {"application/json": {"example": SEARCH_EXAMPLE}},
    },
    **problems(400, 404, 409, 413, 415, 422, 503),
}

_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary", "description": "The query picture"},
                        "collection": {"type": "string", "default": "default"},
                        "limit": {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": 20},
                        "max_distance": {"type": "integer", "minimum": 0},
                        "min_score": {"type": "number", "minimum": 0, "maximum": 1},
                        "filter": {
                            "type": "string",
                            "description": "A filter as JSON text",
                            "examples": ['{"must": [{"key": "brand", "match": "acme"}]}'],
                        },
                        "crop": {
                            "type": "string",
                            "description": "A part of the picture as JSON text, in fractions of its sides",
                            "examples": ['{"x": 0.25, "y": 0.25, "width": 0.5, "height": 0.5}'],
                        },
                    },
                }
            },
            "application/json": {
                "schema": {"$ref": "#/components/schemas/SearchRequest"},
                "examples": {
                    "by a stored picture": {"value": {"image_id": "sku-88", "limit": 10}},
                    "under a filter": {
                        "value": {
                            "image_id": "sku-88",
                            "filter": {"must": [{"key": "brand", "match": "acme"}]},
                            "max_distance": 60,
                        }
                    },
                    "the next page": {"value": {"cursor": "eyJ…"}},
                },
            },
        },
    }
}


class _SearchForm(BaseModel):
    """The text fields of a multipart search; numbers come as text, so they are not parsed strictly."""

    model_config = ConfigDict(extra="forbid")

    collection: str = "default"
    limit: int = Field(20, ge=1, le=MAX_LIMIT)
    max_distance: int | None = Field(None, ge=0)
    min_score: float | None = Field(None, ge=0, le=1)
    filter: str | None = None
    crop: str | None = None


@router.post("/search", responses=_ANSWERS, openapi_extra=_BODY, summary="Find look-alikes")
async def search(request: Request, services: ServicesDep, addresses: PictureAddressesDep) -> JSONResponse:
    """Upload a picture (multipart ``file``), or name a stored one, a raw code or a cursor (JSON).

    Distances are Hamming distances between binary codes; equal distances are ordered by age, so the same
    request has the same answer until the collection changes. Filters are applied before ranking.
    """
    kind = media_type(request)
    if kind == "multipart/form-data":
        result = await _search_upload(request, services)
    elif kind in {"application/json", ""}:
        result = await _search_json(await read_json(request, SearchRequest), services)
    else:
        raise HTTPException(415, "Send multipart/form-data with a file, or application/json.")
    return answer_of(result, services, addresses)


@router.get("/images/{image_id}/similar", responses=_ANSWERS, summary="Find look-alikes of a stored picture")
async def similar(
    image_id: str,
    services: ServicesDep,
    addresses: PictureAddressesDep,
    collection: CollectionQuery = "default",
    limit: int = 20,
    max_distance: int | None = None,
) -> JSONResponse:
    """The pictures most like a stored one, without that one."""
    asked = parse_fields({"limit": limit, "max_distance": max_distance}, _SearchForm)
    limits = SearchLimits(limit=asked.limit, max_distance=asked.max_distance)
    result = await services.search.by_image(image_id, collection, limits, include_self=False)
    return answer_of(result, services, addresses)


async def _search_upload(request: Request, services: Services) -> SearchResult:
    async with read_form(request, max_files=1) as form:
        file = one_file(form, "file")
        fields = parse_fields({k: v for k, v in form.items() if k != "file"}, _SearchForm)
        document = None if fields.filter is None else json_field(fields.filter, "filter")
        crop = None
        if fields.crop is not None:
            box = parse_fields(json_field(fields.crop, "crop"), CropBox)
            crop = (box.x, box.y, box.width, box.height)
        limits = SearchLimits(
            limit=fields.limit,
            max_distance=fields.max_distance,
            min_score=fields.min_score,
            filter=None if document is None else parse_filter(document),
            filter_document=document,
        )
        content = await file.read()
    return await services.search.by_upload(content, fields.collection, limits, crop=crop)


async def _search_json(asked: SearchRequest, services: Services) -> SearchResult:
    if asked.cursor is not None:
        return await services.search.onwards(services.signer.open_search_cursor(asked.cursor))
    limits = SearchLimits(
        limit=asked.limit,
        max_distance=asked.max_distance,
        min_score=asked.min_score,
        filter=None if asked.filter is None else parse_filter(asked.filter),
        filter_document=asked.filter,
    )
    if asked.image_id is not None:
        return await services.search.by_image(
            asked.image_id, asked.collection, limits, include_self=asked.include_self
        )
    if asked.code is not None and asked.model is not None:
        return await services.search.by_code(asked.code, asked.model, asked.collection, limits)
    raise UrlNotAllowed("fetching pictures by address is switched off here")


def answer_of(result: SearchResult, services: Services, addresses: PictureAddresses) -> JSONResponse:
    """The JSON answer, with the time of each stage in ``Server-Timing`` too."""
    collection = result.index.collection
    body = SearchResponse(
        query=SearchQuery(
            code=result.query.code,
            bits=result.query.bits,
            sha256=result.query.sha256,
            width=result.query.width,
            height=result.query.height,
            image_id=result.query.image_id,
        ),
        exact_matches=list(result.exact_matches),
        items=[
            SearchHit(
                rank=hit.rank,
                id=hit.image_id,
                distance=hit.distance,
                score=round(hit.score, 6),
                exact=hit.exact,
                uri=hit.uri,
                thumbnail_url=addresses.thumbnail(collection, hit.image_id) if hit.has_bytes else None,
                metadata=hit.metadata,
            )
            for hit in result.hits
        ],
        next_cursor=services.signer.seal_search_cursor(result.next_cursor) if result.next_cursor else None,
        cutoff=None
        if result.cutoff is None
        else SearchCutoff(
            distance=result.cutoff.distance, returned=result.cutoff.returned, total=result.cutoff.total
        ),
        index=SearchedIndexShape(
            collection=collection,
            model=result.index.model,
            index_version=result.index.index_version,
            searched=result.index.searched,
            coverage=Coverage(
                indexed=result.index.indexed, pending=result.index.pending, failed=result.index.failed
            ),
        ),
        took_ms={stage: round(ms, 3) for stage, ms in result.took_ms.items()},
    )
    timing = ", ".join(f"{stage};dur={ms:.3f}" for stage, ms in result.took_ms.items())
    return JSONResponse(body.model_dump(mode="json"), headers={"Server-Timing": timing})
