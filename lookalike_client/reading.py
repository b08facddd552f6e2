"""Read answers and streams, for both clients."""

from typing import Any, Generic, TypeVar

import httpx2

from lookalike_client.calls import Call, LineParser, Streaming
from lookalike_client.errors import NOT_SUCH_AN_ANSWER, no_answer, unexpected, unreadable
from lookalike_client.retries import Attempts, RetryPolicy

T = TypeVar("T")


def value_of(call: Call[T], response: httpx2.Response) -> T:
    """Return what a successful response contains.

    Raises:
        UnexpectedAnswer: It is not an answer to the call.
    """
    try:
        return call.read(response)
    except NOT_SUCH_AN_ANSWER as error:
        raise unexpected(response, error) from error


class Cursors:
    """The cursors of a list whose pages are read one after the other."""

    def __init__(self, url: httpx2.URL) -> None:
        self._url = url
        self._seen: set[str] = set()

    def following(self, cursor: str | None) -> str | None:
        """Return the cursor of the next page; None after the last page.

        Raises:
            UnexpectedAnswer: The cursor led to an earlier page, so the list has no end.
        """
        if not cursor:
            return None
        if cursor in self._seen:
            raise unreadable(self._url, "a page of a list names an earlier page as the next one")
        self._seen.add(cursor)
        return cursor


class Reading(Generic[T]):
    """Reads one stream, which may take several requests."""

    def __init__(self, streaming: Streaming[T], policy: RetryPolicy, url: httpx2.URL) -> None:
        self._streaming = streaming
        self._attempts = Attempts(policy, streaming.call, url)
        self._url = url
        self._parser: LineParser[T] | None = None
        self._has_begun = False
        self.is_over = False

    def request(self) -> dict[str, Any]:
        """Return the arguments of the next request."""
        self._parser = None
        with self._streaming.call.request() as arguments:
            return arguments

    def feed(self, response: httpx2.Response, line: str) -> T | None:
        """Return the value that a line completes, if any.

        Raises:
            UnexpectedAnswer: The line is not one of such a stream.
        """
        if not response.is_success:
            return None  # wait_after_end raises the error in it
        self._parser = self._parser or self._streaming.parser()
        try:
            value = self._parser.feed(line)
        except NOT_SUCH_AN_ANSWER as error:
            raise unexpected(response, error) from error
        if value is not None:
            self._has_begun = True
            self._attempts.start_again()
            self.is_over = self._streaming.is_last is not None and self._streaming.is_last(value)
        return value

    def wait_after_end(self, response: httpx2.Response) -> float:
        """Return how long to wait, in seconds, before the stream is opened again, unless it is over.

        Raises:
            ServiceError: It must not be opened again.
        """
        if not response.is_success:
            return self._attempts.wait_after_refusal(response)
        self.is_over = self.is_over or self._streaming.is_last is None
        if self.is_over:
            return 0.0
        return self._attempts.wait_after_loss(httpx2.RemoteProtocolError("the stream ended early"))

    def wait_after_loss(self, error: httpx2.HTTPError) -> float:
        """Return how long to wait, in seconds, before the stream is opened again.

        Raises:
            NoAnswer: It must not be opened again.
            UnexpectedAnswer: The stream cannot be unpacked.
        """
        if self.is_over:
            return 0.0
        is_packed_wrongly = isinstance(error, httpx2.DecodingError)
        if not is_packed_wrongly and self._has_begun and self._streaming.is_last is None:
            raise no_answer(self._url, error) from error
        return self._attempts.wait_after_loss(error)
