"""``POST /index``: add a few pictures now, or many by a job."""

from collections import Counter
from typing import Annotated, Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from app.api.deps import CallerDep, ServicesDep
from app.api.forms import json_field, media_type, parse_fields, read_form, spooled, text_fields
from app.api.import_kinds import KIND_OF_MEDIA_TYPE
from app.api.problems import STATUS_OF_CODE, problem
from app.api.public_path import public_path
from app.api.schemas.common import problems
from app.api.schemas.forms import form_body, json_body
from app.api.schemas.images import (
    ADD_EXAMPLE,
    ADD_ONE_EXAMPLE,
    AddedItem,
    AddResponse,
    ItemError,
    NearDuplicateShape,
)
from app.api.schemas.jobs import Job
from app.api.schemas.search import SuggestionShape
from app.api.search_answers import suggestion_document
from app.api.typed_values import BOOLEAN
from app.api.uploads import (
    IMPORT_EXAMPLES,
    IMPORT_FILES,
    import_body,
    import_form,
    import_json,
    with_query,
)
from app.bootstrap import ServingServices
from app.domain.duplicates import OnDuplicate, OnNearDuplicate
from app.domain.errors import FieldError, ImageTooLarge, InvalidRequest, TextNotSupported, UnknownCollection
from app.domain.results import Suggestion
from app.services.pictures.adding import AddResult, Outcome, PictureToAdd
from app.settings import Settings

router = APIRouter(tags=["pictures"])

_FILES: Final = ("files", *IMPORT_FILES)

SUGGESTED: Final = 5
"""Maximum number of words suggested for an added picture."""
_STORED: Final = frozenset((Outcome.CREATED, Outcome.REPLACED, Outcome.UNCHANGED))

_JOB: Final[dict[int | str, dict[str, Any]]] = {
    202: {"model": Job, "description": "A job imports the pictures; see Location."},
    **problems(400, 404, 413, 415, 422, 503, 507),
}


class _AddForm(BaseModel):
    """The text fields of a multipart addition."""

    model_config = ConfigDict(extra="forbid")

    collection: str = "default"
    on_duplicate: OnDuplicate = OnDuplicate.SKIP
    on_near_duplicate: OnNearDuplicate | None = None
    ids: str | None = None
    uris: str | None = None
    metadata: str | None = None
    suggest: Annotated[bool, BOOLEAN] = False


@router.post(
    "/index",
    operation_id="addPictures",
    summary="Add pictures",
    openapi_extra=form_body("AddUpload", {"files": ["(a picture)"]}),
    responses={
        200: {
            "model": AddResponse,
            "description": "The outcome of each picture; with a single new picture, the status is 201.",
            "content": {"application/json": {"example": ADD_EXAMPLE}},
        },
        201: {
            "model": AddResponse,
            "description": "The single picture was added.",
            "content": {"application/json": {"example": ADD_ONE_EXAMPLE}},
        },
        202: {"model": Job, "description": "Only for an archive or references: a job imports them."},
        **problems(400, 404, 409, 413, 415, 422, 503, 507),
    },
)
async def add(request: Request, services: ServicesDep, caller: CallerDep) -> JSONResponse:
    """Add 1 to 32 pictures; once answered, they are durable and the next search finds them.

    Each has its own outcome; a refused picture does not affect the others. A request about one picture
    answers with its status; if every one of several was refused, the answer is 422.

    This path also takes what ``/index/upload`` and ``/index/import`` take, and an archive or a list of
    references as the whole body (application/zip, application/x-tar, application/gzip, application/x-ndjson,
    text/csv), with ``collection``, ``on_duplicate`` and ``label`` in the query. Then it answers 202 with a job.
    """
    kind = media_type(request.headers)
    if kind in KIND_OF_MEDIA_TYPE or kind == "application/json":
        return await import_body(request, services)
    if kind != "multipart/form-data":
        raise HTTPException(
            415, "Send multipart/form-data with files or an archive, or send a list of references."
        )
    async with read_form(
        request,
        files=_FILES,
        max_files=services.settings.limits.max_files_per_request,
        limit_setting="max_files_per_request",
    ) as form:
        if any(name in form for name in IMPORT_FILES):
            return await import_form(request, services, form)
        text = with_query(await text_fields(form, files=("files",)), request)
        fields = parse_fields(text, _AddForm, files=_FILES)
        caller.check_collection(fields.collection)
        pictures = _pictures(form, fields, services.settings)
        added = await services.add_images.add(
            pictures, fields.collection, fields.on_duplicate, fields.on_near_duplicate
        )
    suggested = await _suggested(services, added, fields.collection) if fields.suggest else None
    return _answer(request, added, suggested)


@router.post(
    "/index/upload",
    status_code=202,
    operation_id="importUpload",
    summary="Import an archive or a list of references",
    openapi_extra=form_body("ImportUpload", {"archive": "(a zip)"}),
    responses=_JOB,
)
async def import_upload(request: Request, services: ServicesDep) -> JSONResponse:
    """Import a zip, tar or tar.gz, or the pictures that a CSV or NDJSON file refers to, by a job."""
    async with read_form(request, files=IMPORT_FILES, max_files=1) as form:
        return await import_form(request, services, form)


@router.post(
    "/index/import",
    status_code=202,
    operation_id="importPictures",
    summary="Import a folder, an object-store prefix or URLs",
    openapi_extra=json_body("ImportRequest", IMPORT_EXAMPLES),
    responses=_JOB,
)
async def import_place(request: Request, services: ServicesDep) -> JSONResponse:
    """Import pictures that the service reads itself, by a job."""
    return await import_json(request, services)


def _pictures(form: FormData, fields: _AddForm, settings: Settings) -> list[PictureToAdd]:
    files = [value for value in form.getlist("files") if isinstance(value, UploadFile)]
    if not files:
        raise InvalidRequest(errors=[FieldError("/files", "send one or more files in this form field")])
    # The body may be as large as an archive, but these files are added while the caller waits.
    if (
        sum(file.size or 0 for file in files)
        > settings.limits.max_upload_bytes * settings.limits.max_files_per_request
    ):
        raise ImageTooLarge("the files are too large together; send an archive")
    ids = _per_file(fields.ids, "ids", len(files), str)
    uris = _per_file(fields.uris, "uris", len(files), str)
    metadata = _per_file(fields.metadata, "metadata", len(files), dict)
    return [
        PictureToAdd(spooled(file), image_id=ids[i], uri=uris[i], metadata=metadata[i])
        for i, file in enumerate(files)
    ]


def _per_file(text: str | None, name: str, count: int, kind: type) -> list[Any]:
    if text is None:
        return [None] * count
    values = json_field(text, name)
    if not isinstance(values, list) or len(values) != count:
        raise InvalidRequest(
            errors=[FieldError(f"/{name}", f"must be a JSON array with one entry for each file, {count} here")]
        )
    for i, value in enumerate(values):
        if value is not None and not isinstance(value, kind):
            wanted = "text" if kind is str else "a JSON object"
            raise InvalidRequest(errors=[FieldError(f"/{name}/{i}", f"must be {wanted} or null")])
        if isinstance(value, str) and not is_storable_text(value):
            raise InvalidRequest(
                errors=[FieldError(f"/{name}/{i}", "must have at most 2,048 characters and no NUL")]
            )
    return values


def is_storable_text(text: str) -> bool:
    """Return whether both databases can store the text."""
    return len(text) <= 2048 and "\x00" not in text and not any("\ud800" <= c <= "\udfff" for c in text)


def _shapes(suggestions: list[Suggestion] | None) -> list[SuggestionShape] | None:
    if suggestions is None:
        return None
    return [SuggestionShape.model_validate(suggestion_document(one)) for one in suggestions]


async def _suggested(
    services: ServingServices, added: AddResult, collection: str
) -> dict[str, list[Suggestion]] | None:
    """Return words for the pictures that are stored now; None if no words are known for the model."""
    ids = [image.image_id for image in added.images if image.outcome in _STORED]
    try:
        return await services.suggestions.of_images(ids, collection, SUGGESTED)
    except (TextNotSupported, UnknownCollection):
        # The pictures were added all the same, even if the collection was deleted since.
        return None


def _answer(
    request: Request, added: AddResult, suggested: dict[str, list[Suggestion]] | None = None
) -> JSONResponse:
    items = [
        AddedItem(
            id=image.image_id,
            status=image.outcome.value,
            error=None
            if image.error is None
            else ItemError(code=image.error.code, detail=image.error.explanation),
            suggestions=_shapes((suggested or {}).get(image.image_id) if image.outcome in _STORED else None),
            near_duplicates=None
            if image.near is None
            else [
                NearDuplicateShape(
                    id=near.image_id,
                    exact=near.is_exact,
                    hash_distance=near.hash_distance,
                    descriptor_distance=near.descriptor_distance,
                )
                for near in image.near
            ],
        )
        for image in added.images
    ]
    if all(image.outcome is Outcome.FAILED for image in added.images):
        return _all_failed(request, added, items)
    body = AddResponse(
        items=items, counts=dict(Counter(item.status for item in items)), index_version=added.index_version
    )
    created = len(items) == 1 and added.images[0].outcome is Outcome.CREATED
    return JSONResponse(body.model_dump(mode="json"), 201 if created else 200)


def _all_failed(request: Request, added: AddResult, items: list[AddedItem]) -> JSONResponse:
    first = added.images[0].error
    if len(items) == 1 and first is not None:
        raise first
    return problem(
        STATUS_OF_CODE["validation_failed"],
        "validation_failed",
        f"None of the pictures could be added. The first: {items[0].error.detail if items[0].error else ''}",
        instance=public_path(request.scope),
        request_id=request.state.request_id,
        errors=[
            FieldError(f"/files/{i}", f"{item.error.code}: {item.error.detail}")
            for i, item in enumerate(items)
            if item.error is not None
        ],
    )
