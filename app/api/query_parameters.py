"""Refuses query parameters that an address does not document, lest a misspelt or misplaced one be ignored."""

from typing import Any, Final

from fastapi import Request

from app.api.middleware.access import SIGNATURE_PARAMETERS, is_signable
from app.domain.errors import FieldError, InvalidRequest

_PREFIX: Final = "/v1"


def refuse_unknown_parameters(request: Request) -> None:
    """Let a request pass if the OpenAPI document names each of its query parameters.

    Raises:
        InvalidRequest: It does not; the error lists the parameters that exist.
    """
    if not request.query_params:
        return
    known = _documented(request)
    # Anyone may hold a signed address, also who sends a key with it.
    allowed = known | SIGNATURE_PARAMETERS if is_signable(request.scope["path"]) else known
    unknown = [name for name in request.query_params if name not in allowed]
    if unknown:
        takes = f"takes {', '.join(sorted(known))}" if known else "takes no query parameters"
        detail = f"this address {takes}; fields of a body belong in the body"
        raise InvalidRequest(errors=[FieldError(f"/query/{name}", detail) for name in unknown])


def _documented(request: Request) -> frozenset[str]:
    """Names of the query parameters of a request's route; parsed once for each route."""
    cache: dict[tuple[str, str], frozenset[str]] = request.app.state.query_parameters
    path: str = request.scope["route"].path
    key = path.removeprefix(_PREFIX), request.scope["method"].lower()
    if key not in cache:
        operation: dict[str, Any] = request.app.openapi()["paths"][key[0]][key[1]]
        cache[key] = frozenset(p["name"] for p in operation.get("parameters", ()) if p["in"] == "query")
    return cache[key]
