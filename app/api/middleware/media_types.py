"""Refuse a body of a media type that its path does not accept, before the body is read."""

from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.addresses import operations_at
from app.api.forms import FORM, JSON, media_type
from app.api.import_kinds import KIND_OF_MEDIA_TYPE, RAW_IMPORT_PATHS
from app.api.middleware.refusal import declared_length, refuse
from app.api.problems import problem
from app.api.public_path import public_path

_JSON_HINT = f"JSON with Content-Type: {JSON}"
_IMPORT_HINT = (
    "Send pictures as multipart form fields `files` (curl -F files=@picture.jpg), an archive as `archive`, "
    f"a list of references as application/x-ndjson or text/csv, or a folder, prefix or URLs as {_JSON_HINT}."
)
_HINTS: Final = {
    "/search": (
        "Send the picture as multipart form field `file` (curl -F file=@picture.jpg), "
        f"or a query as {_JSON_HINT}."
    ),
    "/compare": (
        "Send the pictures as multipart form fields `first` and `second` "
        f"(curl -F first=@a.jpg -F second=@b.jpg), or two ids as {_JSON_HINT}."
    ),
    "/index/upload": (
        "Send an archive as multipart form field `archive` (curl -F archive=@pictures.zip), "
        "or a list of references as `list` (curl -F list=@pictures.csv)."
    ),
    **dict.fromkeys(RAW_IMPORT_PATHS, _IMPORT_HINT),
}
"""Instructions for sending a body, for paths that accept more than JSON."""

# Without a media type the body may still be JSON; its route decides.
_JSON_KINDS: Final = frozenset({JSON, ""})
_KINDS: Final = {
    "/search": _JSON_KINDS | {FORM},
    "/compare": _JSON_KINDS | {FORM},
    "/index/upload": frozenset({FORM}),
    **dict.fromkeys(RAW_IMPORT_PATHS, _JSON_KINDS | {FORM, *KIND_OF_MEDIA_TYPE}),
}


class MediaTypes:
    """Answers 415 to a body that no route of the path would read, with the form it should have."""

    def __init__(self, app: ASGIApp, *, drain_bytes: int) -> None:
        """Wrap ``app``.

        Args:
            app: The next layer.
            drain_bytes: Most bytes of a refused body to read and drop, so that the client sees the answer.
        """
        self._app = app
        self._drain_bytes = drain_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 415, or pass the request on."""
        detail = _fault(scope) if scope["type"] == "http" and scope["method"] in {"POST", "PATCH"} else None
        if detail is None:
            await self._app(scope, receive, send)
            return
        answer = problem(
            415,
            "unsupported_media_type",
            detail,
            instance=public_path(scope),
            request_id=scope["state"]["request_id"],
        )
        await refuse(answer, scope, receive, send, drain_bytes=self._drain_bytes)


def _fault(scope: Scope) -> str | None:
    headers = Headers(scope=scope)
    kind = media_type(headers)
    path = scope["path"].removeprefix("/v1").rstrip("/")
    if kind in _KINDS.get(path, _JSON_KINDS) or not _has_body(headers):
        return None
    if path in _HINTS:
        return _HINTS[path]
    if scope["method"].lower() not in operations_at(path, scope["app"].openapi()):
        return None
    return f"Send the body as {_JSON_HINT}, not {kind}."


def _has_body(headers: Headers) -> bool:
    return "transfer-encoding" in headers or declared_length(headers) not in {None, 0}
