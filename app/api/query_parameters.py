"""Refuse undocumented query parameters, so that a misspelt or misplaced one is not ignored."""

from typing import Any, Final

from fastapi import Request

from app.api.import_kinds import IMPORT_PARAMETERS, RAW_IMPORT_PATHS
from app.api.middleware.access import SIGNATURE_PARAMETERS
from app.api.middleware.scopes import is_signable
from app.api.validation import MAX_LISTED_ERRORS, MAX_POINTER_CHARACTERS, unknown_name, with_count
from app.domain.errors import FieldError, InvalidRequest

_PREFIX: Final = "/v1"


async def refuse_unknown_parameters(request: Request) -> None:
    """Check that the OpenAPI document names each query parameter of a request.

    The page keeps its state in its own address, so addresses outside the document take any parameter.

    Raises:
        InvalidRequest: A parameter is undocumented; the error lists those that exist.
    """
    if not request.query_params or not request.scope["route"].include_in_schema:
        return
    known = _documented(request)
    # A signed address may be called with a key, too.
    allowed = known | SIGNATURE_PARAMETERS if is_signable(request.scope["path"]) else known
    if request.scope["path"].removeprefix(_PREFIX) in RAW_IMPORT_PATHS:
        allowed |= IMPORT_PARAMETERS
    unknown = [name for name in request.query_params if name not in allowed]
    if unknown:
        hint = "; send fields of the body in the body" if request.method in {"POST", "PUT", "PATCH"} else ""
        errors = [
            FieldError(
                f"/query/{name}"[:MAX_POINTER_CHARACTERS],
                unknown_name(name, known, kind="query parameters") + hint,
            )
            for name in unknown[:MAX_LISTED_ERRORS]
        ]
        raise InvalidRequest(errors=with_count(errors, len(unknown)))


def _documented(request: Request) -> frozenset[str]:
    """Return the names of a route's query parameters; read once for each route."""
    cache: dict[tuple[str, str], frozenset[str]] = request.app.state.query_parameters
    path: str = request.scope["route"].path
    key = path.removeprefix(_PREFIX), request.scope["method"].lower()
    if key not in cache:
        operation: dict[str, Any] = request.app.openapi()["paths"][key[0]][key[1]]
        cache[key] = frozenset(p["name"] for p in operation.get("parameters", ()) if p["in"] == "query")
    return cache[key]
