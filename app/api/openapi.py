"""Complete the OpenAPI document that FastAPI derives from the routes."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from starlette.responses import JSONResponse

from app import __version__
from app.api import field_descriptions
from app.api.middleware.scopes import is_open
from app.api.problems import ERROR_CODES
from app.api.public_path import public_path
from app.api.routes import api_routes, routes_of_operations
from app.api.schemas.common import Problem, problems
from app.api.schemas.compare import CompareRequest
from app.api.schemas.forms import FORMS
from app.api.schemas.images import DeleteRequest, ImagePatch
from app.api.schemas.imports import ImportRequest
from app.api.schemas.search import FilterDocument, SearchRequest
from app.images.formats import ACCEPTED_NAMES

_DESCRIPTION = f"""Find the pictures that look like yours.

{ACCEPTED_NAMES} are accepted and recognized by their content.

Add pictures with `POST /index`, search them with `POST /search`. Every address also answers under `/v1`.
Errors are `application/problem+json` with a stable `code`. If keys are in use, send one as
`Authorization: Bearer …` or `X-API-Key`.
"""

TAGS: Final = [
    {"name": "search", "description": "Search by a picture, a stored picture or a code; find duplicates"},
    {"name": "pictures", "description": "Add, show, change and delete pictures"},
    {"name": "collections", "description": "Sets of pictures that are searched under one model"},
    {"name": "models", "description": "Models that encode pictures: list, activate, roll back, compare"},
    {"name": "jobs", "description": "Long work by workers: start, follow, pause, cancel, retry"},
    {"name": "backups", "description": "Back up, restore and export the service"},
    {"name": "keys", "description": "Create, change, rotate and revoke keys"},
    {"name": "service", "description": "Probes, information, metrics, and the session of the page"},
]

_SHAPES: Final = (
    Problem,
    SearchRequest,
    CompareRequest,
    FilterDocument,
    ImagePatch,
    DeleteRequest,
    ImportRequest,
)
"""Schemas of answers and bodies that handlers write or parse by hand."""

_EXAMPLES: Final[Mapping[str, str]] = {
    "image_id": "sunset-01",
    "/collections/{name}": "default",
    "/models/{name}": "lite2-256",
    "/admin/models/{name}": "lite2-256",
    "job_id": "01KAXG7V0M9E3WQ4T8B2Y6ZC5R",
    "backup": "01KAXG7V0M9E3WQ4T8B2Y6ZC5R",
}
"""Examples of path parameters, by name or by the start of the path; the picture is of the sample gallery."""


def install_openapi(app: FastAPI) -> None:
    """Serve the completed document at ``/openapi.json``, for the prefix under which it is read."""
    app.openapi = _document  # type: ignore[method-assign]

    @app.get("/openapi.json", include_in_schema=False)
    async def document(request: Request) -> JSONResponse:
        found = _document()
        server = {**found["servers"][0], "url": public_path(request.scope, "") or "/"}
        return JSONResponse({**found, "servers": [server]})


@cache
def _document() -> dict[str, Any]:
    """Return the completed document, made once per process."""
    document = get_openapi(
        title="Lookalike",
        version=__version__,
        description=_DESCRIPTION,
        routes=api_routes(),
        tags=TAGS,
        servers=[{"url": "/", "description": "The service that serves this document"}],
        license_info={"name": "Apache 2.0", "identifier": "Apache-2.0"},
    )
    paths, order = document["paths"], [route.path for route in routes_of_operations()]
    document["paths"] = {path: paths[path] for path in order if path in paths} | paths
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for shape in _SHAPES:
        schemas.update(_schemas_of(shape))
    schemas.update({name: {"type": "object", "title": name, **form} for name, form in FORMS.items()})
    schemas["ErrorCode"] = {
        "type": "string",
        "title": "ErrorCode",
        "description": "Stable code of an error",
        "enum": list(ERROR_CODES),
    }
    schemas["Problem"]["properties"]["code"] = _reference("ErrorCode", "Stable code; handle errors by it")
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    components["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "description": "A key made by `lookalike keys create`"},
        "key": {
            "type": "apiKey",
            "in": "header",
            "name": "X-API-Key",
            "description": "The same key, in a header of its own",
        },
    }
    document["security"] = [{}, {"bearer": []}, {"key": []}]
    for path, operation in _operations(document):
        _complete_responses(path, operation)
        _complete_parameters(path, operation)
    for name, schema in schemas.items():
        _complete_schema(name, schema)
        for example in schema.get("examples", ()):
            _restore_nulls(example, schema, schemas)
    for _, operation in _operations(document):
        for response in operation["responses"].values():
            for body in response.get("content", {}).values():
                _restore_nulls(body.get("example"), body.get("schema", {}), schemas)
    return document


def _reference(name: str, description: str | None = None) -> dict[str, Any]:
    reference = {"$ref": f"#/components/schemas/{name}"}
    return reference if description is None else {**reference, "description": description}


def _schemas_of(shape: type[BaseModel]) -> dict[str, Any]:
    schema = shape.model_json_schema(ref_template="#/components/schemas/{model}")
    return {**schema.pop("$defs", {}), shape.__name__: schema}


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, operations in document["paths"].items():
        for operation in operations.values():
            yield path, operation


def _complete_responses(path: str, operation: dict[str, Any]) -> None:
    """Add the answers of the middleware; FastAPI documents another shape for 422."""
    statuses = {400, 422} if is_open(path) else {400, 401, 403, 422, 429}
    if "requestBody" in operation:
        statuses |= {408, 413, 415}
    responses: dict[str, Any] = operation["responses"]
    for status in statuses:
        is_fastapis = "HTTPValidationError" in str(responses.get(str(status), ""))
        if is_fastapis or str(status) not in responses:
            responses[str(status)] = problems(status)[status]
    if is_open(path):
        operation["security"] = []
    operation["responses"] = dict(sorted(responses.items()))


def _complete_parameters(path: str, operation: dict[str, Any]) -> None:
    for parameter in operation.get("parameters", ()):
        name = parameter["name"]
        if "description" not in parameter:
            _describe(parameter, field_descriptions.PARAMETERS.get(name))
        if parameter["in"] == "path":
            places = [example for start, example in _EXAMPLES.items() if path.startswith(start)]
            example = _EXAMPLES.get(name) or next(iter(places), None)
            if example is not None:
                parameter["example"] = example


def _complete_schema(name: str, schema: dict[str, Any]) -> None:
    fields = schema.get("properties", {})
    if fields.get("filter", {}).get("type") == "object":
        # Parsed by the domain, whose errors point at the part that is wrong.
        fields["filter"] = {"anyOf": [_reference("FilterDocument"), {"type": "null"}]}
    for field, described in fields.items():
        if described.get("default", "") is None:
            # It says no more than that the field is optional; some generators then require the field.
            del described["default"]
        if "description" not in described:
            specific = field_descriptions.SCHEMA_FIELDS.get(f"{name}.{field}")
            _describe(described, specific or field_descriptions.FIELDS.get(field))


def _restore_nulls(example: Any, schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> None:
    """Restore the nulls of an example, which FastAPI drops from the whole document."""
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    for choice in schema.get("anyOf", ()):
        _restore_nulls(example, choice, schemas)
    if isinstance(example, list):
        for entry in example:
            _restore_nulls(entry, schema.get("items", {}), schemas)
    elif isinstance(example, dict):
        for name, field in schema.get("properties", {}).items():
            is_nullable = field.get("type") == "null" or {"type": "null"} in field.get("anyOf", ())
            if is_nullable and name in schema.get("required", ()):
                example.setdefault(name, None)
            _restore_nulls(example.get(name), field, schemas)


def _describe(part: dict[str, Any], description: str | None) -> None:
    # A part without a description stays so; a test tells which.
    if description is not None:
        part["description"] = description
