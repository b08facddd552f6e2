"""``POST /compare``."""

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
from app.api.search_answers import server_timing, took_document
from app.domain.errors import FieldError, InvalidRequest
from app.services.searching.comparison import Comparison

router = APIRouter(tags=["search"])

_SIDES: Final = ("first", "second")

_SIDE: Final[dict[str, Any]] = {
    "type": "string",
    "format": "binary",
    "description": "A picture, or as plain text the id of a stored one",
}

_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["first", "second"],
                    "properties": {
                        "first": _SIDE,
                        "second": _SIDE,
                        "collection": {
                            "type": "string",
                            "default": "default",
                            "description": "Whose model compares, and where stored pictures are",
                        },
                    },
                },
                "example": {"first": "(the file's bytes)", "second": "sku-88"},
            },
            "application/json": {
                "schema": {"$ref": "#/components/schemas/CompareRequest"},
                "examples": {"two stored pictures": {"value": {"first": "sku-88", "second": "sku-89"}}},
            },
        },
    }
}


class _CompareForm(BaseModel):
    model_config = ConfigDict(extra="forbid")

    collection: str = "default"


@router.post(
    "/compare",
    responses={
        200: {
            "model": CompareResponse,
            "description": "How far apart they are and what that means.",
            "content": {"application/json": {"example": COMPARE_EXAMPLE}},
        },
        **problems(400, 404, 413, 415, 422, 503),
    },
    openapi_extra=_BODY,
    summary="Compare two pictures",
)
async def compare(request: Request, services: ServicesDep, caller: CallerDep) -> JSONResponse:
    """Distance, score, and a word on what the distance means, by what the collection's model was measured on.

    Each picture is an upload (multipart) or stored already (its id, as form text or in JSON).
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
        asked = await read_json(request, CompareRequest)
        caller.check_collection(asked.collection)
        found = await services.compare.compare(asked.first, asked.second, asked.collection)
    else:
        raise HTTPException(415, "Send multipart/form-data, or application/json with two ids.")
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
