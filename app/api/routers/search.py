"""``POST /search``, ``POST /search/query`` and ``GET /images/{id}/similar``."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, field_validator
from starlette.exceptions import HTTPException

from app.api.deps import (
    AbsoluteUrlsQuery,
    CollectionDep,
    PictureAddresses,
    PictureAddressesDep,
    ServicesDep,
    caller_of,
    services_of,
)
from app.api.forms import json_field, media_type, one_file, parse_fields, read_form, read_json, text_fields
from app.api.schemas.common import problems
from app.api.schemas.forms import form_body, json_body
from app.api.schemas.search import (
    COLOUR_DESCRIPTION,
    DIVERSIFY_DESCRIPTION,
    MAX_LIMIT,
    RANK_DESCRIPTION,
    SEARCH_EXAMPLE,
    CropBox,
    SearchRequest,
    SearchResponse,
    SuggestionList,
)
from app.api.search_answers import answer_of, suggestion_document
from app.api.typed_values import DECIMAL, WHOLE
from app.bootstrap import ServingServices
from app.domain.access import Caller
from app.domain.filters import parse_filter
from app.domain.ranks import Rank
from app.domain.results import Example, SearchLimits, SearchResult
from app.domain.variants import Regions

router = APIRouter(tags=["search"])

_FILES: Final = ("file",)

_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "model": SearchResponse,
        "description": "The nearest pictures, best first; equal ones by age.",
        "content": {"application/json": {"example": SEARCH_EXAMPLE}},
    },
    **problems(400, 404, 409, 413, 415, 422, 503),
}

_FORM_EXAMPLE: Final = {"file": "(the picture)", "limit": 10}
_QUERY_EXAMPLES: Final[dict[str, Any]] = {
    "by a stored picture": {"value": {"image_id": "sunset-01", "limit": 10}},
    "like these, unlike that": {
        "value": {
            "images": [
                {"image_id": "sunset-01"},
                {"image_id": "sunset-02"},
                {"image_id": "forest-01", "sign": "-"},
            ],
            "include_self": False,
        }
    },
    "by words": {"value": {"text": "dog, beach -cat", "limit": 10}},
    "like this one, but a sunflower": {"value": {"images": [{"image_id": "rose-01"}], "text": "sunflower"}},
    "in the order of the codes": {"value": {"image_id": "sunset-01", "rank": "hamming"}},
    "one of each burst": {"value": {"image_id": "sunset-01", "diversify": 0.5}},
    "of the same colours": {"value": {"image_id": "sunset-01", "colour": 0.5}},
    "a picture elsewhere": {"value": {"url": "https://pictures.example/shoe.jpg", "limit": 10}},
    "under a filter": {
        "value": {
            "image_id": "sunset-01",
            "filter": {"must": [{"key": "kind", "match": "scene"}]},
            "max_distance": 120,
        }
    },
    "the next page": {"value": {"cursor": "eyJ…"}},
}


class _SearchForm(BaseModel):
    """The text fields of a multipart search; numbers come as text."""

    model_config = ConfigDict(extra="forbid")

    collection: str = "default"
    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT), WHOLE] = 20
    max_distance: Annotated[int | None, Field(ge=0), WHOLE] = None
    min_score: Annotated[float | None, Field(ge=0, le=1), DECIMAL] = None
    filter: str | None = None
    crop: str | None = None
    orientations: Annotated[int, WHOLE] = 1
    regions: Regions | None = None
    rank: Rank = Rank.AUTO
    diversify: Annotated[float, Field(ge=0, le=1), DECIMAL] = 0.0
    colour: Annotated[float, Field(ge=0, le=1), DECIMAL] = 0.0

    @field_validator("orientations")
    @classmethod
    def _known_number(cls, value: int) -> int:
        if value not in {1, 2, 4, 8}:
            raise ValueError("must be 1, 2, 4 or 8")
        return value


@router.post(
    "/search",
    responses=_ANSWERS,
    openapi_extra=form_body("SearchUpload", _FORM_EXAMPLE),
    operation_id="searchByUpload",
    summary="Search by a picture",
)
async def search(request: Request, *, absolute_urls: AbsoluteUrlsQuery = False) -> JSONResponse:
    """Upload a picture as the form field ``file``.

    Distances are Hamming distances between binary codes; equal ones are ordered by age, so the same request has
    the same answer until the collection changes. Filters are applied before ranking. With
    Content-Type: application/json, this path takes the queries of ``/search/query`` too.
    """
    # FastAPI takes longer to resolve these as dependencies than to parse the query.
    services, caller = services_of(request), caller_of(request)
    addresses = PictureAddresses(request, absolute=absolute_urls)
    kind = media_type(request.headers)
    if kind == "multipart/form-data":
        result = await _search_upload(request, services, caller)
    elif kind in {"application/json", ""}:
        result = await _search_json(await read_json(request, SearchRequest), services, caller)
    else:
        raise HTTPException(415, "Send multipart/form-data with a file, or application/json.")
    return answer_of(result, services, addresses)


@router.post(
    "/search/query",
    responses=_ANSWERS,
    openapi_extra=json_body("SearchRequest", _QUERY_EXAMPLES),
    operation_id="searchByQuery",
    summary="Search by a stored picture, words, a code, a URL or a cursor",
)
async def search_by_query(request: Request, *, absolute_urls: AbsoluteUrlsQuery = False) -> JSONResponse:
    """Name a stored picture, several of them, words, a raw code, a URL or the cursor of the next page."""
    services, caller = services_of(request), caller_of(request)
    addresses = PictureAddresses(request, absolute=absolute_urls)
    result = await _search_json(await read_json(request, SearchRequest), services, caller)
    return answer_of(result, services, addresses)


@router.get(
    "/images/{image_id}/similar",
    responses=_ANSWERS,
    operation_id="searchByStoredPicture",
    summary="Search by a stored picture",
)
async def similar(
    image_id: str,
    services: ServicesDep,
    addresses: PictureAddressesDep,
    collection: CollectionDep,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Maximum number of results"), WHOLE] = 20,
    max_distance: Annotated[
        int | None, Query(ge=0, description="Largest Hamming distance, inclusive"), WHOLE
    ] = None,
    rank: Annotated[Rank, Query(description=RANK_DESCRIPTION)] = Rank.AUTO,
    diversify: Annotated[float, Query(ge=0, le=1, description=DIVERSIFY_DESCRIPTION), DECIMAL] = 0.0,
    colour: Annotated[float, Query(ge=0, le=1, description=COLOUR_DESCRIPTION), DECIMAL] = 0.0,
) -> JSONResponse:
    """Return the pictures nearest to a stored one, excluding that one."""
    limits = SearchLimits(limit=limit, max_distance=max_distance, rank=rank, diversify=diversify, colour=colour)
    result = await services.search.by_image(image_id, collection, limits, include_self=False)
    return answer_of(result, services, addresses)


@router.get(
    "/images/{image_id}/suggestions",
    responses={
        200: {"model": SuggestionList, "description": "The words, best first."},
        **problems(404, 409, 422, 503),
    },
    operation_id="suggestWords",
    summary="Suggest words for a stored picture",
)
async def suggestions(
    image_id: str,
    services: ServicesDep,
    collection: CollectionDep,
    limit: Annotated[int, Query(ge=1, le=50, description="Maximum number of words"), WHOLE] = 5,
) -> JSONResponse:
    """List learned words that fit the picture's code, then the classes that fit it most; nothing is stored."""
    found = await services.suggestions.of_image(image_id, collection, limit)
    return JSONResponse({"items": [suggestion_document(one) for one in found]})


async def _search_upload(request: Request, services: ServingServices, caller: Caller) -> SearchResult:
    async with read_form(request, files=_FILES, max_files=1) as form:
        file = one_file(form, "file")
        fields = parse_fields(await text_fields(form, files=_FILES), _SearchForm, files=_FILES)
        caller.check_collection(fields.collection)
        document = None if fields.filter is None else json_field(fields.filter, "filter")
        crop = None
        if fields.crop is not None:
            box = parse_fields(json_field(fields.crop, "crop"), CropBox, name="crop")
            crop = (box.x, box.y, box.width, box.height)
        limits = SearchLimits(
            limit=fields.limit,
            max_distance=fields.max_distance,
            min_score=fields.min_score,
            rank=fields.rank,
            diversify=fields.diversify,
            colour=fields.colour,
            filter=None if document is None else parse_filter(document),
            filter_document=document,
        )
        content = await file.read()
    return await services.search.by_upload(
        content,
        fields.collection,
        limits,
        crop=crop,
        orientations=fields.orientations,
        regions=fields.regions,
    )


async def _search_json(asked: SearchRequest, services: ServingServices, caller: Caller) -> SearchResult:
    if asked.cursor is not None:
        cursor = services.signer.open_search_cursor(asked.cursor)
        caller.check_collection(cursor.collection)
        return await services.search.next_page(cursor)
    caller.check_collection(asked.collection)
    limits = SearchLimits(
        limit=asked.limit,
        max_distance=asked.max_distance,
        min_score=asked.min_score,
        rank=asked.rank,
        diversify=asked.diversify,
        colour=asked.colour,
        filter=None if asked.filter is None else parse_filter(asked.filter),
        filter_document=asked.filter,
    )
    if asked.image_id is not None:
        return await services.search.by_image(
            asked.image_id, asked.collection, limits, include_self=asked.include_self
        )
    examples = [Example(image.image_id, image.sign == "+") for image in asked.images or ()]
    if asked.text is not None:
        return await services.search.by_text(
            asked.text,
            asked.collection,
            limits,
            examples=examples,
            include_self=asked.include_self,
            where=asked.where,
        )
    if asked.images is not None:
        return await services.search.by_examples(
            examples, asked.collection, limits, include_self=asked.include_self
        )
    if asked.code is not None and asked.model is not None:
        return await services.search.by_code(asked.code, asked.model, asked.collection, limits)
    box = asked.crop
    return await services.search.by_url(
        asked.url or "",
        asked.collection,
        limits,
        crop=None if box is None else (box.x, box.y, box.width, box.height),
        orientations=asked.orientations,
        regions=asked.regions,
    )
