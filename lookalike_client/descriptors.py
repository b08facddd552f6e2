"""Turn descriptions of requests into methods of both clients.

An operation is written once, as a function that describes its request. On a ``SyncTransport`` it becomes a
method that returns the answer, on an ``AsyncTransport`` one that returns a coroutine. Type checkers see the
arguments of the function in both.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from functools import wraps
from typing import Any, Generic, ParamSpec, TypeVar, overload

from lookalike_client.calls import Call, Page, Streaming
from lookalike_client.transports import AsyncTransport, SyncTransport

P = ParamSpec("P")
T = TypeVar("T")


class Operation(Generic[P, T]):
    """An operation with one answer."""

    def __init__(self, describe: Callable[P, Call[T]]) -> None:
        self._describe = describe

    @overload
    def __get__(self, client: None, owner: type) -> Callable[P, Call[T]]: ...
    @overload
    def __get__(self, client: SyncTransport, owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, client: AsyncTransport, owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, client: SyncTransport | AsyncTransport | None, owner: type) -> Callable[P, Any]:
        if client is None:
            return self._describe

        @wraps(self._describe)
        def send(*args: P.args, **kwargs: P.kwargs) -> Any:
            return client.send(self._describe(*args, **kwargs))

        return send


class Streamed(Generic[P, T]):
    """An operation whose answer is a stream of values."""

    def __init__(self, describe: Callable[P, Streaming[T]]) -> None:
        self._describe = describe

    @overload
    def __get__(self, client: None, owner: type) -> Callable[P, Streaming[T]]: ...
    @overload
    def __get__(self, client: SyncTransport, owner: type) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(self, client: AsyncTransport, owner: type) -> Callable[P, AsyncGenerator[T, None]]: ...
    def __get__(self, client: SyncTransport | AsyncTransport | None, owner: type) -> Callable[P, Any]:
        if client is None:
            return self._describe

        @wraps(self._describe)
        def stream(*args: P.args, **kwargs: P.kwargs) -> Any:
            return client.stream(self._describe(*args, **kwargs))

        return stream


class Items(Generic[P, T]):
    """Iterates over the items of all pages of a list."""

    def __init__(
        self,
        describe: Callable[P, Call[Page[T]]],
        following: Callable[[Call[Page[T]], str], Call[Page[T]]] = Call.with_cursor,
    ) -> None:
        """Describe the requests.

        Args:
            describe: Describes the request for the first page.
            following: Returns the call for the page at a cursor.
        """
        self._describe = describe
        self._following = following

    @overload
    def __get__(self, client: None, owner: type) -> Callable[P, Call[Page[T]]]: ...
    @overload
    def __get__(self, client: SyncTransport, owner: type) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(self, client: AsyncTransport, owner: type) -> Callable[P, AsyncIterator[T]]: ...
    def __get__(self, client: SyncTransport | AsyncTransport | None, owner: type) -> Callable[P, Any]:
        if client is None:
            return self._describe

        @wraps(self._describe)
        def items(*args: P.args, **kwargs: P.kwargs) -> Any:
            return client.items(self._describe(*args, **kwargs), self._following)

        return items
