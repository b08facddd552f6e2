"""HTTP connections to the engine whose answers must be complete by a deadline.

The read timeout of an HTTP client bounds the wait for the next bytes only: a server that sends a byte a second
would hold a thread for as long as it likes.
"""

import http.client
import io
import socket
import time
from pathlib import Path
from typing import Any

import urllib3
from clickhouse_connect.driver.httputil import check_env_proxy, get_pool_manager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool


def bounded_pool(scheme: str, host: str, port: int, ca_file: Path | None) -> urllib3.PoolManager:
    """Return a connection pool for a server, in which the read timeout bounds each whole answer.

    Args:
        scheme: ``http`` or ``https``.
        host: Host name of the server; decides with the environment whether there is a proxy.
        port: Port of the server.
        ca_file: Certificates to trust instead of the system's.
    """
    options: dict[str, Any] = {} if ca_file is None else {"ca_cert": str(ca_file)}
    proxy = check_env_proxy(scheme, host, port)
    if proxy:
        options[f"{scheme}_proxy"] = proxy
    pool: urllib3.PoolManager = get_pool_manager(**options)
    pool.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
    return pool


class _TimedReader(io.RawIOBase):
    """Reads a socket, and fails when the socket's timeout at the start has passed."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._raw = sock.makefile("rb", buffering=0)
        timeout = sock.gettimeout()
        self._until = None if timeout is None else time.monotonic() + timeout

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._until is not None:
            left = self._until - time.monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            self._socket.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedSocket:
    """A socket as ``http.client`` reads it."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_TimedReader(self._socket))


class _TimedResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *arguments: Any, **named: Any) -> None:
        super().__init__(_TimedSocket(sock), *arguments, **named)  # type: ignore[arg-type]


class _HTTPConnection(HTTPConnection):
    response_class = _TimedResponse


class _HTTPSConnection(HTTPSConnection):
    response_class = _TimedResponse


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection
