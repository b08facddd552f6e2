"""Refuse repeated query parameters, so that signing, access and routes all read the same value."""

from collections import Counter

from starlette.datastructures import QueryParams
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.middleware.refusal import refuse
from app.api.problems import problem
from app.api.public_path import public_path
from app.domain.errors import FieldError


class SingleParameters:
    """Answers 400 to a repeated query parameter, on every route."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap ``app``."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 400, or pass the request on."""
        repeated = _repeated(scope) if scope["type"] == "http" and scope["query_string"] else []
        if repeated:
            answer = problem(
                400,
                "bad_request",
                "A query parameter is given more than once; send each once.",
                instance=public_path(scope),
                request_id=scope["state"]["request_id"],
                errors=[
                    FieldError(f"/query/{name}", "given more than once; send it once") for name in repeated
                ],
            )
            await refuse(answer, scope, receive, send)
            return
        await self._app(scope, receive, send)


def _repeated(scope: Scope) -> list[str]:
    counts = Counter(name for name, _ in QueryParams(scope["query_string"]).multi_items())
    return [name for name, count in counts.items() if count > 1]
