"""Limits on connections: how many, how large a request's head, and how long each step may take.

uvicorn limits none of these for httptools. ``LimitedProtocol`` adds the limits to uvicorn's protocol;
``Connections`` holds the state that the connections of one server share. See decision record 44.
"""

import asyncio
import math
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, Final, NoReturn, cast
from uuid import uuid4

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.api.middleware.headers import safe_headers
from app.api.problems import problem
from app.api.request_head import RefusedHead, check_head, split_target
from app.api.upgrades import UpgradeIgnoringParser
from app.telemetry.metrics import CONNECTIONS, CONNECTIONS_CLOSED

_log = structlog.get_logger()

MAX_HEADERS: Final = 100
MAX_PIPELINED: Final = 64
_SWEEP_S: Final = 0.5
_LINGER_S: Final = 2.0
_LINGER_BYTES: Final = 1_048_576
_LAST_REQUEST_S: Final = 0.5
"""Time in which an idle connection may still send a request while the server stops."""
_NEVER: Final = math.inf


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Limits on the number of connections and on each connection."""

    max_connections: int
    max_connections_per_address: int
    max_head_bytes: int
    head_timeout_s: float
    idle_timeout_s: float
    write_timeout_s: float
    max_unread_bytes: int
    """Most bytes of a body to read and drop after its request was answered."""


class Connections:
    """The open connections of one server."""

    def __init__(self, limits: ConnectionLimits, *, cors_origins: Collection[str] = ()) -> None:
        """Enforce ``limits``; let pages of ``cors_origins`` read refusals too."""
        self.limits = limits
        self.cors_origins = frozenset(origin.encode() for origin in cors_origins)
        self.safe_headers = safe_headers(has_foreign_pages=bool(cors_origins))
        self._open: set[LimitedProtocol] = set()
        self._of_address: Counter[str] = Counter()
        # In the order in which they became idle.
        self._idle: dict[LimitedProtocol, None] = {}
        self._sweeping: asyncio.TimerHandle | None = None

    def protocol(self) -> type[asyncio.Protocol]:
        """Return the protocol factory for uvicorn's ``http`` option."""
        return cast(type[asyncio.Protocol], partial(LimitedProtocol, self))

    def admit(self, connection: "LimitedProtocol") -> bool:
        """Add a connection; when there are too many, close the one that has been idle longest.

        A flood of silent connections thus evicts itself and leaves active ones alone.

        Returns:
            Whether the connection may stay open.
        """
        self._open.add(connection)
        self._of_address[connection.address] += 1
        CONNECTIONS.set(len(self._open))
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(_SWEEP_S, self._sweep)
        if self._of_address[connection.address] > self.limits.max_connections_per_address:
            return self._evict(connection.address)
        return len(self._open) <= self.limits.max_connections or self._evict(None)

    def remove(self, connection: "LimitedProtocol") -> None:
        """Remove a closed connection; do nothing if it is unknown."""
        if connection not in self._open:
            return
        self._open.discard(connection)
        self._idle.pop(connection, None)
        self._of_address[connection.address] -= 1
        if not self._of_address[connection.address]:
            del self._of_address[connection.address]
        CONNECTIONS.set(len(self._open))

    def set_idle(self, connection: "LimitedProtocol", *, idle: bool) -> None:
        """Record whether a connection waits for a request."""
        self._idle.pop(connection, None)
        if idle:
            self._idle[connection] = None

    def _evict(self, address: str | None) -> bool:
        for connection in self._idle:
            if address in {None, connection.address}:
                connection.cut("evicted")
                # Remove it at once, because its descriptor is needed now.
                self.remove(connection)
                return True
        return False

    def _sweep(self) -> None:
        now = asyncio.get_running_loop().time()
        for connection in list(self._open):
            connection.check(now)
        self._sweeping = asyncio.get_running_loop().call_later(_SWEEP_S, self._sweep) if self._open else None


class _TooLarge(Exception):
    """A request's head exceeds a limit."""


class LimitedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, with limits on each step of a connection.

    A connection waits for a head, receives an answer, or sends the rest of a body whose request was answered
    early. ``_deadline`` limits the first and the last; ``BodyLimit`` limits the body before the answer.
    ``_write_deadline`` is set while the peer does not read what the transport has buffered for it.
    """

    def __init__(self, registry: Connections, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.parser = cast(Any, UpgradeIgnoringParser(self))
        self._registry = registry
        self._limits = registry.limits
        self.address = ""
        self._deadline = _NEVER
        self._write_deadline = _NEVER
        self._in_head = True
        self._head_began = False
        self._unanswered = 0
        self._unparsed_bytes = 0
        """Bytes received since the parser last reported a head, a chunk's head or a trailer."""
        self._header_bytes = 0
        self._dropped_bytes = 0
        self._is_too_large = False
        self._refused_head: RefusedHead | None = None
        self._is_refused = False
        self._is_last_request = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Admit the connection, or answer 503 and close it."""
        super().connection_made(transport)
        self.address = self.client[0] if self.client else ""
        self._deadline = self.loop.time() + self._limits.head_timeout_s
        if self._registry.admit(self):
            self._registry.set_idle(self, idle=True)
        else:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "refused")

    def connection_lost(self, exc: Exception | None) -> None:
        """Remove the connection."""
        self._registry.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse received bytes; refuse a head, chunk head or trailer that grows beyond its limit."""
        if self._is_refused:
            self._dropped_bytes += len(data)
            if self._dropped_bytes > _LINGER_BYTES:
                self.transport.abort()
            return
        if self._in_head and not self._head_began:
            self._head_began = True
            self._header_bytes = 0
            if not self._unanswered:
                self._deadline = self.loop.time() + self._limits.head_timeout_s
        self._unparsed_bytes += len(data)
        super().data_received(data)
        is_over = self._unparsed_bytes > self._limits.max_head_bytes
        if is_over and not self._is_refused and not self.transport.is_closing():
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_large")

    def on_message_begin(self) -> None:
        """Start a request's head."""
        self._header_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Count the URL towards the size of the head."""
        self._count_head(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Record a header; count and drop a trailer."""
        # A few bytes more, because a header costs more memory than its text.
        self._count_head(len(name) + len(value) + 4)
        if self._in_head:
            if len(self.headers) >= MAX_HEADERS:
                self._give_up()
            super().on_header(name, value)
        # Otherwise it is a trailer, which the application never reads.

    def on_headers_complete(self) -> None:
        """Pass the request to the application."""
        if len(self.pipeline) >= MAX_PIPELINED:
            self._give_up()
        self._check_head()
        self._unparsed_bytes = 0
        self._in_head = self._head_began = False
        self._unanswered += 1
        self._deadline = _NEVER
        self._dropped_bytes = 0
        self._registry.set_idle(self, idle=False)
        super().on_headers_complete()
        if self._is_last_request:
            self.cycle.keep_alive = False

    def _check_head(self) -> None:
        """Check the head, and put the host of a target in absolute form in place of the Host header.

        Raises:
            RefusedHead: The head is faulty. The parser then calls ``send_400_response``.
        """
        try:
            check_head(self.parser.get_http_version(), self.headers)
            authority, self.url = split_target(self.url)
        except RefusedHead as refused:
            self._refused_head = refused
            raise
        if authority is not None:
            others = [header for header in self.headers if header[0] != b"host"]
            # In place, because the request's scope holds this list.
            self.headers[:] = [(b"host", authority), *others]

    def on_body(self, body: bytes) -> None:
        """Receive a chunk of a body; after the answer, drop it, up to a limit."""
        self._unparsed_bytes = 0
        if not self._unanswered:
            self._dropped_bytes += len(body)
            if self._dropped_bytes > self._limits.max_unread_bytes:
                self.cut("body_too_large")
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the request."""
        self._unparsed_bytes = 0
        self._in_head = True
        super().on_message_complete()
        if not self._unanswered:
            self._await_request()

    def on_response_complete(self) -> None:
        """Wait for the rest of the request, or for the next one."""
        self._unanswered -= 1
        super().on_response_complete()
        if self._unanswered or self.transport.is_closing():
            return
        if self._in_head:
            self._await_request()
        else:
            self._deadline = self.loop.time() + self._limits.write_timeout_s

    def shutdown(self) -> None:
        """Answer requests that are being processed or received, and close the connection."""
        if self._unanswered or self._is_refused:
            super().shutdown()
            return
        # A client may be sending its next request: closing now would lose it.
        self._is_last_request = True
        self.loop.call_later(_LAST_REQUEST_S, self._close_if_idle)

    def _close_if_idle(self) -> None:
        if not self._unanswered:
            self.transport.close()

    def pause_writing(self) -> None:
        """Start the time limit for the client to read."""
        self._write_deadline = self.loop.time() + self._limits.write_timeout_s
        super().pause_writing()

    def resume_writing(self) -> None:
        """Clear the time limit: the client reads again."""
        self._write_deadline = _NEVER
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002
        """Answer a malformed request, or one whose head exceeds a limit."""
        if self._is_too_large:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_large")
        elif self._refused_head is not None:
            self._refuse(self._refused_head.status, "malformed", self._refused_head.detail)
        else:
            self._refuse(HTTPStatus.BAD_REQUEST, "malformed")

    def check(self, now: float) -> None:
        """Close the connection if one of its deadlines has passed.

        Args:
            now: The event loop's time in seconds.
        """
        if self.transport.is_closing():
            # A closing transport waits until the peer has read its buffer, which may be never.
            if self._write_deadline == _NEVER:
                self._write_deadline = now + self._limits.write_timeout_s
            elif now > self._write_deadline:
                self.transport.abort()
        elif now > self._write_deadline:
            self.cut("not_reading")
        elif now > self._deadline:
            if self._head_began and not self._is_refused:
                self._refuse(HTTPStatus.REQUEST_TIMEOUT, "head_timeout")
            else:
                self.cut("idle")

    def cut(self, reason: str) -> None:
        """Close the connection at once."""
        CONNECTIONS_CLOSED.labels(reason).inc()
        self._is_refused = True
        self.transport.abort()

    def _count_head(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > self._limits.max_head_bytes:
            self._give_up()

    def _give_up(self) -> NoReturn:
        """Stop the parser, which then calls ``send_400_response``."""
        self._is_too_large = True
        raise _TooLarge

    def _await_request(self) -> None:
        now = self.loop.time()
        self._deadline = now + (
            self._limits.head_timeout_s if self._head_began else self._limits.idle_timeout_s
        )
        self._registry.set_idle(self, idle=True)

    def _refuse(self, status: HTTPStatus, reason: str, detail: str | None = None) -> None:
        """Answer in place of the application, unless an answer is due or has started, and close.

        Args:
            status: Status of the answer.
            reason: Label in the metrics.
            detail: What is wrong; by default the sentence of the status.
        """
        CONNECTIONS_CLOSED.labels(reason).inc()
        self._is_refused = True
        self._dropped_bytes = 0
        cycle = self.cycle
        if cycle is not None and not cycle.more_body and not cycle.response_complete:
            # All requests so far are complete: the application answers them, and the last answer closes.
            cycle.keep_alive = False
            return
        is_last_answer = self._leave_request()
        if is_last_answer:
            self.transport.write(self._refusal(status, detail))
        if not is_last_answer or status is HTTPStatus.SERVICE_UNAVAILABLE:
            self.transport.close()
            return
        # Close a little later: closing with unread data would reset the connection and lose the answer.
        self.transport.write_eof()
        self._deadline = self.loop.time() + _LINGER_S

    def _leave_request(self) -> bool:
        """Tell the application that the request in hand will not be completed.

        Returns:
            Whether the connection may answer it: nothing was answered yet, and no earlier request waits.
        """
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            return True
        if cycle.response_started or self.pipeline:
            return False
        # The rest of its body cannot be parsed.
        cycle.disconnected = True
        cycle.message_event.set()
        return True

    def _refusal(self, status: HTTPStatus, detail: str | None) -> bytes:
        """Return an answer with the headers that the application's answers have."""
        code, default = _DETAILS[status]
        request_id = uuid4().hex
        _log.info(
            "connection_refused", status=status.value, code=code, address=self.address, request_id=request_id
        )
        answer = problem(status, code, detail or default, instance="", request_id=request_id)
        headers = [*answer.raw_headers, *self._registry.safe_headers, (b"x-request-id", request_id.encode())]
        if status is HTTPStatus.SERVICE_UNAVAILABLE:
            headers.append((b"retry-after", b"1"))
        origin = dict(self.headers or ()).get(b"origin")
        if origin in self._registry.cors_origins:
            headers += [
                (b"access-control-allow-origin", origin),
                (b"access-control-allow-credentials", b"true"),
                (b"vary", b"Origin"),
            ]
        headers.append((b"connection", b"close"))
        lines = b"".join(b"%s: %s\r\n" % header for header in headers)
        return f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() + lines + b"\r\n" + answer.body


_DETAILS: Final = {
    HTTPStatus.BAD_REQUEST: ("bad_request", "The request is not valid HTTP."),
    HTTPStatus.REQUEST_TIMEOUT: ("request_timeout", "The head of the request did not arrive in time."),
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: (
        "request_head_too_large",
        "The head of the request is too large, or has too many headers.",
    ),
    HTTPStatus.NOT_IMPLEMENTED: ("not_implemented", "The service does not support what the request asks for."),
    HTTPStatus.HTTP_VERSION_NOT_SUPPORTED: (
        "http_version_not_supported",
        "This version of HTTP is not supported; use HTTP/1.1.",
    ),
    HTTPStatus.SERVICE_UNAVAILABLE: ("overloaded", "There are too many connections; try again soon."),
}
