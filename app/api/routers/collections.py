"""``/collections``."""

from dataclasses import asdict
from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from app.api.deps import CallerDep, CursorQuery, LimitQuery, NamedCollectionDep, ServicesDep
from app.api.forms import json_field
from app.api.public_path import public_path
from app.api.schemas.collections import (
    CalibrationShape,
    CollectionCreate,
    CollectionList,
    CollectionPatch,
    CollectionShape,
    CollectionStatsShape,
    DistancesShape,
    DuplicateBoundsShape,
    LearnedWordList,
    LearnedWordShape,
    LikenessBound,
    MetadataKeyList,
    MetadataKeyShape,
)
from app.api.schemas.common import problems
from app.api.typed_values import DECIMAL, WHOLE
from app.domain.calibration import Calibration, Likeness
from app.domain.collections import IndexKind
from app.domain.filters import parse_filter
from app.domain.results import Scale
from app.services.pictures.collections import CollectionSummary
from app.services.searching.labels import LabelFormat

router = APIRouter(tags=["collections"])

_MEANINGS: Final = {
    Likeness.COPY: "nearer than all but 5 % of the pairs of one kind: most likely one picture, edited",
    Likeness.SIMILAR: "nearer than all but 1 % of the unrelated pairs: most likely of one kind",
    Likeness.UNCLEAR: "nearer than three quarters of the unrelated pairs: possibly by chance",
    Likeness.UNRELATED: "as far apart as unrelated pictures usually are",
}

_COLLECTION: Final[dict[str, Any]] = {"model": CollectionShape, "description": "The collection."}


@router.get(
    "/collections",
    responses={200: {"model": CollectionList}, **problems(422, 503)},
    operation_id="listCollections",
    summary="List collections",
)
async def list_collections(
    services: ServicesDep, caller: CallerDep, limit: LimitQuery = 100, cursor: CursorQuery = None
) -> JSONResponse:
    """List collections by name."""
    after = services.signer.open_list_cursor("collections", cursor)
    found, following = await services.collections.page(after=after, limit=limit, may_use=caller.may_use)
    body = CollectionList(
        items=[_shape(summary) for summary in found],
        next_cursor=services.signer.seal_list_cursor("collections", following) if following else None,
    )
    return JSONResponse(body.model_dump(mode="json"))


@router.post(
    "/collections",
    status_code=201,
    responses={201: _COLLECTION, **problems(404, 409, 422, 503)},
    operation_id="createCollection",
    summary="Create a collection",
)
async def create(
    request: Request,
    services: ServicesDep,
    caller: CallerDep,
    asked: Annotated[
        CollectionCreate,
        Body(openapi_examples={"a shop's pictures": {"value": {"name": "shop", "keeps": "copies"}}}),
    ],
) -> JSONResponse:
    """Create an empty collection under one model."""
    caller.check_collection(asked.name)
    summary = await services.collections.create(
        asked.name,
        model=asked.model,
        keeps=asked.keeps,
        description=asked.description,
        index_kind=IndexKind(asked.index),
    )
    location = public_path(request.scope, f"/collections/{asked.name}")
    return JSONResponse(_shape(summary).model_dump(mode="json"), 201, headers={"Location": location})


@router.get(
    "/collections/{name}",
    responses={200: _COLLECTION, **problems(404, 503)},
    operation_id="getCollection",
    summary="Read a collection",
)
async def read(name: NamedCollectionDep, services: ServicesDep) -> JSONResponse:
    """Return one collection."""
    return JSONResponse(_shape(await services.collections.get(name)).model_dump(mode="json"))


@router.patch(
    "/collections/{name}",
    responses={200: _COLLECTION, **problems(404, 422, 503)},
    operation_id="patchCollection",
    summary="Change a collection's description",
)
async def describe(name: NamedCollectionDep, services: ServicesDep, asked: CollectionPatch) -> JSONResponse:
    """Change the description."""
    summary = await services.collections.describe(name, asked.description)
    return JSONResponse(_shape(summary).model_dump(mode="json"))


@router.delete(
    "/collections/{name}",
    status_code=204,
    responses=problems(404, 409, 503),
    operation_id="deleteCollection",
    summary="Delete a collection and its pictures",
)
async def delete(name: NamedCollectionDep, services: ServicesDep) -> Response:
    """Delete a collection and every picture in it."""
    await services.collections.delete(name)
    return Response(status_code=204)


@router.get(
    "/collections/{name}/stats",
    responses={200: {"model": CollectionStatsShape}, **problems(404, 503)},
    operation_id="getCollectionStats",
    summary="Collection statistics",
)
async def stats(name: NamedCollectionDep, services: ServicesDep) -> JSONResponse:
    """Return numbers of pictures and bytes."""
    found = await services.collections.stats(name)
    body = CollectionStatsShape(
        name=name,
        images=found.summary.images,
        bits=found.summary.bits,
        index_bytes=found.summary.index_bytes,
        stored_bytes=found.stored_bytes,
        index_version=services.index_sync.catalogue.version,
    )
    return JSONResponse(body.model_dump(mode="json"))


@router.get(
    "/collections/{name}/calibration",
    responses={200: {"model": CalibrationShape}, **problems(404, 503)},
    operation_id="getCalibration",
    summary="Distance calibration",
)
async def calibration(name: NamedCollectionDep, services: ServicesDep) -> JSONResponse:
    """Distances of the pairs of pictures with a known relation on which the collection's model was measured.

    ``POST /compare`` uses the same words. Nothing here was measured on your own pictures.
    """
    found = await services.collections.calibration(name)
    live, measured = services.index_sync.catalogue.collection(name), found
    body = CalibrationShape(
        collection=name,
        model=live.record.model,
        bits=live.index.bits,
        measured_on=None if measured is None else measured.measured_on,
        likeness=[] if measured is None else _bounds(measured, live.index.bits),
        duplicates=None if measured is None else DuplicateBoundsShape(**asdict(measured.duplicates)),
        quantiles={} if measured is None else {k: dict(v) for k, v in measured.quantiles.items()},
        copies_by_edit={} if measured is None else {k: dict(v) for k, v in measured.copies_by_edit.items()},
    )
    return JSONResponse(body.model_dump(mode="json"))


@router.get(
    "/collections/{name}/metadata",
    responses={200: {"model": MetadataKeyList}, **problems(404, 503)},
    operation_id="listMetadataKeys",
    summary="Metadata keys and values",
)
async def metadata(name: NamedCollectionDep, services: ServicesDep) -> JSONResponse:
    """List the keys that pictures of the collection have, with values to filter by."""
    body = MetadataKeyList(
        collection=name,
        items=[
            MetadataKeyShape(
                key=found.key,
                values=list(found.values),
                has_more=found.has_more,
                min=found.least,
                max=found.greatest,
            )
            for found in await services.metadata_keys.list(name)
        ],
    )
    return JSONResponse(body.model_dump(mode="json"))


@router.get(
    "/collections/{name}/words",
    responses={200: {"model": LearnedWordList}, **problems(404, 503)},
    operation_id="listLearnedWords",
    summary="Words learned from metadata",
)
async def words(name: NamedCollectionDep, services: ServicesDep) -> JSONResponse:
    """List the words that `POST /admin/jobs/learn-words` learned for the collection's active model."""
    model, found = await services.learned_words.of_collection(name)
    body = LearnedWordList(
        collection=name,
        model=model,
        items=[
            LearnedWordShape(
                word=one.word,
                pictures=one.pictures,
                precision_at_10=round(one.precision_at_10, 4),
                average_precision=round(one.average_precision, 4),
                uses_names=one.uses_names,
                is_offered=one.is_offered,
            )
            for one in found
        ],
    )
    return JSONResponse(body.model_dump(mode="json"))


@router.get(
    "/collections/{name}/labels",
    responses={
        200: {
            "content": {
                "application/x-ndjson": {
                    "schema": {"type": "string", "format": "binary"},
                    "example": '{"id": "sku-88", "uri": null, "model": "lite2-256", "labels": '
                    '[{"word": "boot", "source": "names", "share": 0.61, "general": ["footwear"]}]}\n',
                },
                "text/csv": {
                    "schema": {"type": "string", "format": "binary"},
                    "example": "id,uri,rank,word,source,share\r\nsku-88,,1,boot,names,0.6100\r\n",
                },
            },
            "description": "A line of JSON for each picture or a row of CSV for each word, oldest first.",
        },
        **problems(404, 422, 503),
    },
    response_class=StreamingResponse,
    operation_id="exportLabels",
    summary="Export words for all pictures",
)
async def labels(
    name: NamedCollectionDep,
    services: ServicesDep,
    format: Annotated[LabelFormat, Query(description="Format of the answer")] = LabelFormat.NDJSON,  # noqa: A002
    limit: Annotated[int, Query(ge=1, le=50, description="Maximum number of words for a picture"), WHOLE] = 3,
    min_share: Annotated[float, Query(ge=0, le=1, description="Minimum share of a word"), DECIMAL] = 0.0,
) -> StreamingResponse:
    """Label every picture with the words that `GET /images/{id}/suggestions` suggests; nothing is stored."""
    lines = await services.labels.export(name, format, limit, min_share)
    kind = "text/csv; charset=utf-8" if format is LabelFormat.CSV else "application/x-ndjson"
    return StreamingResponse(lines, media_type=kind)


@router.get(
    "/collections/{name}/distances",
    responses={200: {"model": DistancesShape}, **problems(404, 409, 422, 503)},
    operation_id="getDistances",
    summary="Histogram of distances from a code",
)
async def distances(
    name: NamedCollectionDep,
    services: ServicesDep,
    code: Annotated[str, Query(description="The query's code in hex, as a search returns it", max_length=128)],
    model: Annotated[str, Query(description="The model that made the code")],
    filter: Annotated[str | None, Query(description="A filter as JSON text")] = None,  # noqa: A002
) -> JSONResponse:
    """Count the pictures at each distance, as a guide for choosing ``max_distance``."""
    parsed = None if filter is None else parse_filter(json_field(filter, "filter"))
    found = await services.distances.histogram(name, code, model, parsed)
    body = DistancesShape(
        collection=name, counts=found.counts.tolist(), measured=found.measured, total=found.total
    )
    return JSONResponse(body.model_dump(mode="json"))


def _bounds(measured: Calibration, bits: int) -> list[LikenessBound]:
    bounds = [*measured.bounds.items(), (Likeness.UNRELATED, bits)]
    least = 0
    shown = []
    for likeness, bound in bounds:
        if bound >= least:
            shown.append(
                LikenessBound(
                    likeness=likeness,
                    max_distance=bound,
                    max_score=round(Scale(0, bits).score_of(least), 6),
                    meaning=_MEANINGS[likeness],
                )
            )
            least = bound + 1
    return shown


def _shape(summary: CollectionSummary) -> CollectionShape:
    record = summary.record
    return CollectionShape(
        name=record.name,
        model=record.model,
        bits=summary.bits,
        images=summary.images,
        keeps=record.keeps,
        index=record.index_kind,
        can_be_reencoded=summary.can_be_reencoded,
        previous_model=record.previous_model,
        next_model=record.next_model,
        description=record.description,
        created_at=record.created_at,
        updated_at=record.updated_at,
    )
