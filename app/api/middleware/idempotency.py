"""Replay the first answer to a write that is sent again with the same ``Idempotency-Key``."""

import asyncio
import re
from collections.abc import Iterator
from tempfile import SpooledTemporaryFile
from typing import IO, Final

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.middleware.scopes import has_secrets, is_for_writers
from app.api.problems import problem_of
from app.api.public_path import public_path
from app.bootstrap import ServingServices
from app.domain.access import KeyRecord
from app.domain.errors import FieldError, InvalidRequest, LookalikeError
from app.domain.idempotency import IdempotencyClaim, StoredAnswer
from app.images.objects import store_faults
from app.services.access.idempotency import digest_of_body

_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
_CHUNK: Final = 65_536
_IN_MEMORY: Final = 65_536
_KEPT_HEADERS: Final = frozenset({"content-type", "location", "etag", "retry-after"})


class IdempotencyKeys:
    """Applies to ``POST`` requests that carry the header and need a scope that may write.

    ``Access`` runs first, so their callers are known. Open requests and reads pass through; otherwise strangers
    could fill the table.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Wrap ``app``."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Replay the stored answer, or pass the request on and store its answer."""
        key = Headers(scope=scope).get("idempotency-key") if scope["type"] == "http" else None
        if key is None or not _is_write(scope):
            await self._app(scope, receive, send)
            return
        services: ServingServices = scope["app"].state.services
        owner = _owner(scope)
        with SpooledTemporaryFile(_IN_MEMORY) as body:
            try:
                await _read_body(receive, body)
                given = await self._begin(services, owner, key, scope, body)
            except LookalikeError as error:
                refusal = problem_of(
                    error, instance=public_path(scope), request_id=scope["state"]["request_id"]
                )
                await refusal(scope, receive, send)
                return
            if isinstance(given, StoredAnswer):
                await _replay(given, send)
                return
            recorder = _Recorder(send)
            answer = None
            try:
                async with services.idempotency.held(given):
                    await self._app(scope, _Body(body, receive).receive, recorder.send)
                answer = recorder.stored()
            finally:
                await services.idempotency.settle(given, answer)

    async def _begin(
        self, services: ServingServices, owner: str, key: str, scope: Scope, body: IO[bytes]
    ) -> StoredAnswer | IdempotencyClaim:
        if not _KEY.fullmatch(key):
            raise InvalidRequest(
                errors=[FieldError("/headers/idempotency-key", "must have 1 to 255 printable characters")]
            )
        return await services.idempotency.begin(
            owner,
            key,
            method=scope["method"],
            path=f"{scope['path']}?{scope['query_string'].decode('latin-1')}",
            # In a thread, because the body may be an archive of gigabytes.
            request_digest=await asyncio.to_thread(
                digest_of_body, _chunks(body), _boundary(Headers(scope=scope))
            ),
        )


def _is_write(scope: Scope) -> bool:
    path = scope["path"]
    return scope["method"] == "POST" and is_for_writers("POST", path) and not has_secrets(path)


def _owner(scope: Scope) -> str:
    key: KeyRecord | None = scope["state"].get("key")
    return "" if key is None else key.id


def _boundary(headers: Headers) -> bytes | None:
    found = re.search(r'boundary="?([^";]+)', headers.get("content-type", ""))
    return found.group(1).encode("latin-1") if found else None


async def _read_body(receive: Receive, body: IO[bytes]) -> None:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        with store_faults():
            body.write(message.get("body", b""))
        if not message.get("more_body", False):
            return


def _chunks(body: IO[bytes]) -> Iterator[bytes]:
    body.seek(0)
    while chunk := body.read(_CHUNK):
        yield chunk


class _Body:
    """Gives the app a body that was already read, then the messages that follow it."""

    def __init__(self, body: IO[bytes], receive: Receive) -> None:
        self._chunks = _chunks(body)
        self._receive = receive
        self._complete = False

    async def receive(self) -> Message:
        if self._complete:
            return await self._receive()
        chunk = next(self._chunks, b"")
        self._complete = not chunk
        return {"type": "http.request", "body": chunk, "more_body": bool(chunk)}


class _Recorder:
    """Sends an answer and keeps a copy."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._status = 500
        self._headers: dict[str, str] = {}
        self._body = bytearray()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            headers = Headers(raw=message["headers"])
            self._headers = {name: value for name, value in headers.items() if name in _KEPT_HEADERS}
        elif message["type"] == "http.response.body":
            self._body += message.get("body", b"")
        await self._send(message)

    def stored(self) -> StoredAnswer:
        return StoredAnswer(self._status, self._headers, bytes(self._body))


async def _replay(answer: StoredAnswer, send: Send) -> None:
    headers = [(name.encode(), value.encode()) for name, value in answer.headers.items()]
    headers += [(b"content-length", str(len(answer.body)).encode()), (b"idempotency-replayed", b"true")]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
