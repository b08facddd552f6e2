"""Send the requests that ``calls`` describes, blocking or from an event loop."""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from typing import Any, Final, Self, TypeVar

import httpx2

from lookalike_client.calls import Call, Page, Streaming
from lookalike_client.reading import Cursors, Reading, value_of
from lookalike_client.retries import Attempts, RetryPolicy
from lookalike_client.version import __version__

T = TypeVar("T")
_DEFAULT_URL: Final = "http://127.0.0.1:8000"
_LOOPBACK: Final = ("all://localhost", "all://127.0.0.1", "all://[::1]")
"""This machine: a proxy of the environment is elsewhere, and would be sent the key of a local service."""
_STREAM_TIMEOUT_S: Final = 60.0
"""Least read timeout of a stream; the service sends a comment at least every 15 s."""


def _settings(url: str | None, key: str | None, timeout_s: float) -> dict[str, Any]:
    """Return the arguments that both clients of httpx2 take.

    Raises:
        ValueError: The URL or the key cannot be used.
    """
    url = url or os.environ.get("LOOKALIKE_URL") or _DEFAULT_URL
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"the URL must start with http:// or https://, not {url!r}")
    key = os.environ.get("LOOKALIKE_KEY", "") if key is None else key
    if not (key.isascii() and key.isprintable()):
        raise ValueError("the key must have printable ASCII characters only")
    headers = {"User-Agent": f"lookalike-client/{__version__}", "Accept": "*/*"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    return {"base_url": url, "headers": headers, "timeout": timeout_s, "mounts": dict.fromkeys(_LOOPBACK)}


def _for_streams(http: httpx2.Client | httpx2.AsyncClient) -> httpx2.Timeout:
    usual = http.timeout
    read = None if usual.read is None else max(usual.read, _STREAM_TIMEOUT_S)
    return httpx2.Timeout(connect=usual.connect, read=read, write=usual.write, pool=usual.pool)


class SyncTransport:
    """Sends requests and waits for the answers."""

    def __init__(
        self,
        url: str | None = None,
        *,
        key: str | None = None,
        timeout_s: float = 60.0,
        retries: int = 3,
        max_wait_s: float = 30.0,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        """Connect to a service.

        Args:
            url: Its URL, with the path prefix of a proxy if there is one; LOOKALIKE_URL if None.
            key: A key; LOOKALIKE_KEY if None, no key if empty.
            timeout_s: Most seconds to wait for a connection, and for each piece of an answer.
            retries: Most repetitions of a request that the service refused for now or did not answer.
            max_wait_s: Most seconds to wait between the attempts of one request.
            transport: Sends the requests, for tests and proxies.

        Raises:
            ValueError: The URL or the key cannot be used.
        """
        self._http = httpx2.Client(**_settings(url, key, timeout_s), transport=transport)
        self._policy = RetryPolicy(retries, max_wait_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def send(self, call: Call[T]) -> T:
        """Send a request, again if need be, and return its answer.

        Raises:
            ServiceError: The service refused the request, failed, or did not answer.
        """
        attempts = Attempts(self._policy, call, self._http.base_url)
        while True:
            try:
                with call.request() as request:
                    response = self._http.request(**request)
            except httpx2.HTTPError as error:
                time.sleep(attempts.wait_after_loss(error))
                continue
            if response.is_success:
                return value_of(call, response)
            time.sleep(attempts.wait_after_refusal(response))

    def stream(self, streaming: Streaming[T]) -> Iterator[T]:
        """Yield the values of a stream as they arrive.

        Raises:
            ServiceError: The service refused the request, failed, or did not answer.
        """
        reading = Reading(streaming, self._policy, self._http.base_url)
        while True:
            try:
                with self._http.stream(**reading.request(), timeout=_for_streams(self._http)) as response:
                    if not response.is_success:
                        response.read()
                    for line in response.iter_lines():
                        value = reading.feed(response, line)
                        if value is not None:
                            yield value
                wait = reading.wait_after_end(response)
            except httpx2.HTTPError as error:
                wait = reading.wait_after_loss(error)
            if reading.is_over:
                return
            time.sleep(wait)

    def items(
        self, first: Call[Page[T]], following: Callable[[Call[Page[T]], str], Call[Page[T]]]
    ) -> Iterator[T]:
        """Yield the items of all pages of a list.

        Raises:
            ServiceError: The service refused the request, failed, did not answer, or repeats a page.
        """
        cursors = Cursors(self._http.base_url)
        call: Call[Page[T]] | None = first
        while call is not None:
            page = self.send(call)
            yield from page.items
            cursor = cursors.following(page.next_cursor)
            call = None if cursor is None else following(first, cursor)


class AsyncTransport:
    """Sends requests from an event loop."""

    def __init__(
        self,
        url: str | None = None,
        *,
        key: str | None = None,
        timeout_s: float = 60.0,
        retries: int = 3,
        max_wait_s: float = 30.0,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        """Connect to a service.

        Args:
            url: Its URL, with the path prefix of a proxy if there is one; LOOKALIKE_URL if None.
            key: A key; LOOKALIKE_KEY if None, no key if empty.
            timeout_s: Most seconds to wait for a connection, and for each piece of an answer.
            retries: Most repetitions of a request that the service refused for now or did not answer.
            max_wait_s: Most seconds to wait between the attempts of one request.
            transport: Sends the requests, for tests and proxies.

        Raises:
            ValueError: The URL or the key cannot be used.
        """
        self._http = httpx2.AsyncClient(**_settings(url, key, timeout_s), transport=transport)
        self._policy = RetryPolicy(retries, max_wait_s)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def send(self, call: Call[T]) -> T:
        """Send a request, again if need be, and return its answer.

        Raises:
            ServiceError: The service refused the request, failed, or did not answer.
        """
        attempts = Attempts(self._policy, call, self._http.base_url)
        while True:
            try:
                with call.request() as request:
                    response = await self._http.request(**request)
            except httpx2.HTTPError as error:
                await asyncio.sleep(attempts.wait_after_loss(error))
                continue
            if response.is_success:
                return value_of(call, response)
            await asyncio.sleep(attempts.wait_after_refusal(response))

    async def stream(self, streaming: Streaming[T]) -> AsyncGenerator[T, None]:
        """Yield the values of a stream as they arrive.

        Raises:
            ServiceError: The service refused the request, failed, or did not answer.
        """
        reading = Reading(streaming, self._policy, self._http.base_url)
        while True:
            try:
                request = reading.request()
                async with self._http.stream(**request, timeout=_for_streams(self._http)) as response:
                    if not response.is_success:
                        await response.aread()
                    async for line in response.aiter_lines():
                        value = reading.feed(response, line)
                        if value is not None:
                            yield value
                wait = reading.wait_after_end(response)
            except httpx2.HTTPError as error:
                wait = reading.wait_after_loss(error)
            if reading.is_over:
                return
            await asyncio.sleep(wait)

    async def items(
        self, first: Call[Page[T]], following: Callable[[Call[Page[T]], str], Call[Page[T]]]
    ) -> AsyncIterator[T]:
        """Yield the items of all pages of a list.

        Raises:
            ServiceError: The service refused the request, failed, did not answer, or repeats a page.
        """
        cursors = Cursors(self._http.base_url)
        call: Call[Page[T]] | None = first
        while call is not None:
            page = await self.send(call)
            for item in page.items:
                yield item
            cursor = cursors.following(page.next_cursor)
            call = None if cursor is None else following(first, cursor)
