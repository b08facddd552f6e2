"""``POST /compare`` and ``POST /compare/stored``."""

from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from app.api.deps import CallerDep, ServicesDep
from app.api.forms import media_type, parse_fields, read_form, read_json, text_fields
from app.api.schemas.common import problems
from app.api.schemas.compare import COMPARE_EXAMPLE, CompareRequest, CompareResponse
from app.api.schemas.forms import form_body, json_body
from app.api.search_answers import server_timing, took_document
from app.domain.errors import FieldError, InvalidRequest
from app.services.searching.comparison import Comparison

router = APIRouter(tags=["search"])

_SIDES: Final = ("first", "second")

_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "model": CompareResponse,
        "description": "Their distance and its meaning.",
        "content": {"application/json": {"example": COMPARE_EXAMPLE}},
    },
    **problems(400, 404, 413, 415, 422, 503),
}


class _CompareForm(BaseModel):
    model_config = ConfigDict(extra="forbid")

    collection: str = "default"


@router.post(
    "/compare",
    responses=_ANSWERS,
    openapi_extra=form_body("CompareUpload", {"first": "(a picture)", "second": "(another picture)"}),
    operation_id="compareUploads",
    summary="Compare two pictures",
)
async def compare(request: Request, services: ServicesDep, caller: CallerDep) -> JSONResponse:
    """Return distance, score, and a word for the distance, as measured for the collection's model.

    Each picture is an upload, or stored already: then the form field is its id, as text. With Content-Type:
    application/json, this path takes the body of ``/compare/stored`` too.
    """
    kind = media_type(request.headers)
    if kind == "multipart/form-data":
        async with read_form(request, files=_SIDES, max_files=2) as form:
            text = await text_fields(form, files=_SIDES)
            collection = parse_fields(text, _CompareForm, files=_SIDES).collection
            caller.check_collection(collection)
            first, second = await _side(form, "first"), await _side(form, "second")
        found = await services.compare.compare(first, second, collection)
    elif kind in {"application/json", ""}:
        return await compare_stored(request, services, caller)
    else:
        raise HTTPException(415, "Send multipart/form-data, or application/json with two ids.")
    return JSONResponse(_shape(found).model_dump(mode="json"), headers=server_timing(found.took_ms))


@router.post(
    "/compare/stored",
    responses=_ANSWERS,
    openapi_extra=json_body(
        "CompareRequest", {"two stored pictures": {"value": {"first": "sunset-01", "second": "sunset-02"}}}
    ),
    operation_id="compareStored",
    summary="Compare two stored pictures",
)
async def compare_stored(request: Request, services: ServicesDep, caller: CallerDep) -> JSONResponse:
    """Return the same as ``/compare`` for two stored pictures."""
    asked = await read_json(request, CompareRequest)
    caller.check_collection(asked.collection)
    found = await services.compare.compare(asked.first, asked.second, asked.collection)
    return JSONResponse(_shape(found).model_dump(mode="json"), headers=server_timing(found.took_ms))


async def _side(form: FormData, name: str) -> bytes | str:
    values = form.getlist(name)
    if len(values) != 1 or not isinstance(values[0], UploadFile):
        raise InvalidRequest(
            errors=[FieldError(f"/{name}", "send one file, or the id of a stored picture, in this form field")]
        )
    upload = values[0]
    content = await upload.read()
    kind = (upload.content_type or "text/plain").partition(";")[0].strip().lower()
    if upload.filename or kind != "text/plain":
        return content
    # Without a file name and a type it is an id, unless it is not text: then it is a picture.
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content


def _shape(found: Comparison) -> CompareResponse:
    distance = found.descriptor_distance
    return CompareResponse(
        model=found.model,
        bits=found.bits,
        codes=list(found.codes),
        distance=found.distance,
        score=round(found.score, 6),
        exact=found.exact,
        descriptor_distance=None if distance is None else round(distance, 6),
        likeness=found.likeness,
        blank=list(found.blank),
        shares_within=found.shares_within,
        took_ms=took_document(found.took_ms),
    )
