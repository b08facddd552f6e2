"""Start imports from HTTP requests: a multipart ``archive``, a raw body, or JSON that names a source."""

from typing import Any, Final

from fastapi import Request
from fastapi.responses import JSONResponse
from starlette.datastructures import FormData

from app.api.deps import caller_of
from app.api.forms import media_type, one_file, parse_fields, read_json, text_fields
from app.api.import_kinds import KIND_OF_MEDIA_TYPE
from app.api.job_answers import accepted
from app.api.schemas.imports import ImportFields, ImportRequest
from app.bootstrap import ServingServices
from app.domain.errors import FieldError, InvalidRequest
from app.services.importing.imports import ImportOptions, SourceKind
from app.services.job_control.jobs import JobView

IMPORT_BODIES: Final[dict[str, Any]] = {
    "application/zip": {
        "schema": {
            "type": "string",
            "format": "binary",
            "description": "A zip; application/x-tar and application/gzip (tar.gz) likewise",
            "examples": ["(the archive's bytes)"],
        }
    },
    "application/x-ndjson": {
        "schema": {
            "type": "string",
            "description": "A reference a line: uri, and id and metadata where wanted",
        },
        "example": '{"uri": "s3://shop/88.jpg", "id": "sku-88", "metadata": {"brand": "acme"}}\n',
    },
    "text/csv": {
        "schema": {"type": "string", "description": "The same under a head; more columns are metadata"},
        "example": "uri,id,brand\ns3://shop/88.jpg,sku-88,acme\n",
    },
    "application/json": {
        "schema": {"$ref": "#/components/schemas/ImportRequest"},
        "example": {"folder": "shoes", "collection": "default"},
    },
}

ARCHIVE_FORM: Final[dict[str, Any]] = {
    "multipart/form-data": {
        "schema": {
            "type": "object",
            "required": ["archive"],
            "properties": {
                "archive": {"type": "string", "format": "binary", "description": "A zip, tar or tar.gz"},
                "collection": {"type": "string", "default": "default"},
                "on_duplicate": {"enum": ["skip", "replace", "error"], "default": "skip"},
                "label": {"type": "boolean", "default": True},
            },
        }
    }
}

IMPORT_QUERY: Final[list[dict[str, Any]]] = [
    {
        "name": name,
        "in": "query",
        "required": False,
        "description": f"{text}; with any body, unless the body says it",
        "schema": schema,
    }
    for name, text, schema in (
        ("collection", "The collection", {"type": "string", "default": "default"}),
        (
            "on_duplicate",
            "What becomes of a picture whose id is stored already",
            {"enum": ["skip", "replace", "error"], "default": "skip"},
        ),
        ("label", "Whether a folder's name becomes the label", {"type": "boolean", "default": True}),
    )
]


async def import_form(request: Request, services: ServingServices, form: FormData) -> JSONResponse:
    """Start an import of a form's ``archive``."""
    upload = one_file(form, "archive")
    text = with_query(await text_fields(form, files=("archive",)), request)
    fields = parse_fields(text, ImportFields)
    caller_of(request).check_collection(fields.collection)
    await services.collections.check_exists(fields.collection)
    with services.imports.temporary_upload() as path:
        await services.imports.copy(upload.file, upload.size or 0, path)
        view = await services.imports.from_upload(
            path, SourceKind.ARCHIVE, _options(fields), name=upload.filename
        )
    return accepted(request, view)


async def import_body(request: Request, services: ServingServices) -> JSONResponse:
    """Start an import of a raw body, or of the source that a JSON body names."""
    kind = KIND_OF_MEDIA_TYPE.get(media_type(request.headers))
    if kind is None:
        asked = await read_json(request, ImportRequest)
        named = with_query({name: getattr(asked, name) for name in asked.model_fields_set}, request)
        place = parse_fields(named, ImportRequest)
        caller_of(request).check_collection(place.collection)
        return accepted(request, await _from_place(services, place))
    fields = parse_fields(dict(request.query_params), ImportFields)
    # Checked before the body is read: a misspelt name must not cost an upload.
    caller_of(request).check_collection(fields.collection)
    await services.collections.check_exists(fields.collection)
    with services.imports.temporary_upload() as path:
        await services.imports.receive(request.stream(), path)
        return accepted(request, await services.imports.from_upload(path, kind, _options(fields)))


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


async def _from_place(services: ServingServices, asked: ImportRequest) -> JobView:
    options = _options(asked)
    if asked.folder is not None:
        return await services.imports.from_folder(asked.folder, options)
    if asked.prefix is not None:
        return await services.imports.from_prefix(asked.prefix, options)
    return await services.imports.from_urls(asked.urls or [], options)


def _options(fields: ImportFields) -> ImportOptions:
    return ImportOptions(fields.collection, fields.on_duplicate, fields.label)
