"""Start imports from HTTP requests: a multipart ``archive``, a raw body, or JSON that names a source."""

from pathlib import PurePath
from typing import Any, Final

from fastapi import Request
from fastapi.responses import JSONResponse
from starlette.datastructures import FormData, UploadFile

from app.api.deps import caller_of
from app.api.forms import media_type, one_file, parse_fields, read_json, text_fields
from app.api.import_kinds import KIND_OF_MEDIA_TYPE
from app.api.job_answers import accepted
from app.api.schemas.imports import ImportFields, ImportForm, ImportRequest
from app.bootstrap import ServingServices
from app.domain.errors import FieldError, InvalidRequest
from app.services.importing.imports import ImportOptions, SourceKind
from app.services.job_control.jobs import JobView

IMPORT_FILES: Final = ("archive", "list")
"""Form fields with files to import."""

IMPORT_EXAMPLES: Final[dict[str, Any]] = {
    "a folder": {"value": {"folder": "shoes", "collection": "default"}},
    "URLs": {"value": {"urls": ["https://images.example/88.jpg"]}},
}

_LIST_SUFFIXES: Final = {".csv": SourceKind.CSV, ".ndjson": SourceKind.NDJSON, ".jsonl": SourceKind.NDJSON}


async def import_form(request: Request, services: ServingServices, form: FormData) -> JSONResponse:
    """Start an import of a form's ``archive`` or ``list``."""
    name = "list" if "list" in form else "archive"
    upload = one_file(form, name)
    text = with_query(await text_fields(form, files=(name,)), request)
    fields = parse_fields(text, ImportForm, files=IMPORT_FILES)
    kind = SourceKind.ARCHIVE if name == "archive" else _kind_of_list(upload)
    caller_of(request).check_collection(fields.collection)
    options = await _options(services, fields)
    with services.imports.temporary_upload() as path:
        await services.imports.copy(upload.file, upload.size or 0, path)
        view = await services.imports.from_upload(path, kind, options, name=upload.filename)
    return accepted(request, view)


def _kind_of_list(upload: UploadFile) -> SourceKind:
    """Return the kind of a list of references by its file name, else by its media type."""
    by_name = _LIST_SUFFIXES.get(PurePath(upload.filename or "").suffix.lower())
    by_type = KIND_OF_MEDIA_TYPE.get((upload.content_type or "").partition(";")[0].strip().lower())
    kind = by_name or by_type
    if kind is None or kind is SourceKind.ARCHIVE:
        detail = "must be a file named .csv, .ndjson or .jsonl; send an archive in the form field `archive`"
        raise InvalidRequest(errors=[FieldError("/list", detail)])
    return kind


async def import_body(request: Request, services: ServingServices) -> JSONResponse:
    """Start an import of a raw body, or of the source that a JSON body names."""
    kind = KIND_OF_MEDIA_TYPE.get(media_type(request.headers))
    if kind is None:
        return await import_json(request, services)
    fields = parse_fields(dict(request.query_params), ImportForm)
    # Checked before the body is read: a misspelt name must not cost an upload.
    caller_of(request).check_collection(fields.collection)
    options = await _options(services, fields)
    with services.imports.temporary_upload() as path:
        await services.imports.receive(request.stream(), path)
        return accepted(request, await services.imports.from_upload(path, kind, options))


async def import_json(request: Request, services: ServingServices) -> JSONResponse:
    """Start an import of the source that a JSON body names."""
    body = await read_json(request, ImportRequest)
    fields = with_query({name: getattr(body, name) for name in body.model_fields_set}, request)
    request_fields = parse_fields(fields, ImportRequest)
    caller_of(request).check_collection(request_fields.collection)
    return accepted(request, await _from_source(services, request_fields))


def with_query(fields: dict[str, Any], request: Request) -> dict[str, Any]:
    """Merge the fields of a body with those of the query.

    Raises:
        InvalidRequest: A field is given in both.
    """
    for name in request.query_params:
        if name in fields:
            detail = "given in the query and in the body; send it once"
            raise InvalidRequest(errors=[FieldError(f"/{name}", detail)])
    return {**fields, **request.query_params}


async def _from_source(services: ServingServices, fields: ImportRequest) -> JobView:
    """Start an import of the folder, the prefix or the URLs that a request names."""
    options = await _options(services, fields)
    if fields.folder is not None:
        return await services.imports.from_folder(fields.folder, options)
    if fields.prefix is not None:
        return await services.imports.from_prefix(fields.prefix, options)
    return await services.imports.from_urls(fields.urls or [], options)


async def _options(services: ServingServices, fields: ImportFields) -> ImportOptions:
    """Return the options of an import into a collection that can have it.

    Raises:
        UnknownCollection: The collection does not exist.
    """
    await services.collections.check_importable(fields.collection)
    return ImportOptions(fields.collection, fields.on_duplicate, fields.on_near_duplicate, fields.label)
