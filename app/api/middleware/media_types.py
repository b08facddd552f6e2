"""Refuse a body of a media type that its path does not accept, before the body is read."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.addresses import operations_at
from app.api.forms import FORM, JSON, media_type
from app.api.import_kinds import IMPORTING_PATHS, KIND_OF_MEDIA_TYPE
from app.api.middleware.refusal import declared_length, refuse
from app.api.problems import problem

_JSON_HINT = f"JSON with Content-Type: {JSON}"
_PICTURE_PATHS = {
    "/search": (
        "Send the picture as multipart form field `file` (curl -F file=@picture.jpg), "
        f"or a query as {_JSON_HINT}."
    ),
    "/compare": (
        "Send the pictures as multipart form fields `first` and `second` "
        f"(curl -F first=@a.jpg -F second=@b.jpg), or two ids as {_JSON_HINT}."
    ),
}
_IMPORT_HINT = (
    "Send pictures as multipart form fields `files` (curl -F files=@picture.jpg), an archive as `archive`, "
    f"a list of references as application/x-ndjson or text/csv, or a folder, prefix or URLs as {_JSON_HINT}."
)


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
            instance=scope["path"],
            request_id=scope["state"]["request_id"],
        )
        await refuse(answer, scope, receive, send, drain_bytes=self._drain_bytes)


def _fault(scope: Scope) -> str | None:
    headers = Headers(scope=scope)
    kind = media_type(headers)
    if kind in {JSON, ""}:
        # Without a media type the body may still be JSON; its route decides.
        return None
    if declared_length(headers) == 0 or (
        "content-length" not in headers and "transfer-encoding" not in headers
    ):
        return None
    path = scope["path"].removeprefix("/v1").rstrip("/")
    if path in IMPORTING_PATHS:
        return None if kind == FORM or kind in KIND_OF_MEDIA_TYPE else _IMPORT_HINT
    if path in _PICTURE_PATHS:
        return None if kind == FORM else _PICTURE_PATHS[path]
    if scope["method"].lower() not in operations_at(path, scope["app"].openapi()):
        return None
    return f"Send the body as {_JSON_HINT}, not {kind}."
