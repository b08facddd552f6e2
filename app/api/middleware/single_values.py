"""Refuse repeated query parameters, headers and keys, so that all layers and proxies read the same value."""

from collections import Counter
from typing import Final

from starlette.datastructures import Headers, QueryParams
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.middleware.credentials import has_two_keys
from app.api.middleware.refusal import refuse
from app.api.problems import problem
from app.api.public_path import public_path
from app.api.validation import MAX_LISTED_ERRORS, MAX_POINTER_CHARACTERS, with_count
from app.domain.errors import FieldError

_SINGLE_HEADERS: Final = frozenset({
    b"authorization", b"content-encoding", b"content-type", b"host", b"idempotency-key", b"if-match",
    b"origin", b"x-api-key",
})  # fmt: skip
"""Headers that must have a single value. Lists, such as ``Accept``, may be sent in several lines."""


class SingleValues:
    """Answers 400 to a repeated query parameter or header, and to two keys, on every route."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap ``app``."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 400, or pass the request on."""
        detail, errors = _repetition(scope) if scope["type"] == "http" else ("", [])
        if errors:
            answer = problem(
                400,
                "bad_request",
                detail,
                instance=public_path(scope),
                request_id=scope["state"]["request_id"],
                errors=errors,
            )
            await refuse(answer, scope, receive, send)
            return
        await self._app(scope, receive, send)


def _repetition(scope: Scope) -> tuple[str, list[FieldError]]:
    """Return what to answer to repeated values; no errors if there are none."""
    errors = _repeated(scope)
    if errors:
        kind = "query parameter" if errors[0].pointer.startswith("/query") else "header"
        return f"A {kind} is given more than once; send each once.", errors
    if has_two_keys(Headers(scope=scope)):
        detail = "Authorization and X-API-Key hold different keys; send one of the two headers."
        return detail, [FieldError("/headers/x-api-key", "differs from the key in Authorization")]
    return "", []


def _repeated(scope: Scope) -> list[FieldError]:
    found: list[tuple[str, str]] = []
    if scope["query_string"]:
        parameters = Counter(name for name, _ in QueryParams(scope["query_string"]).multi_items())
        found += [("query", name) for name, count in parameters.items() if count > 1]
    headers = Counter(name for name, _ in scope["headers"] if name in _SINGLE_HEADERS)
    found += [("headers", name.decode()) for name, count in headers.items() if count > 1]
    errors = [
        FieldError(f"/{place}/{name}"[:MAX_POINTER_CHARACTERS], "given more than once; send it once")
        for place, name in found[:MAX_LISTED_ERRORS]
    ]
    return with_count(errors, len(found))
