"""Bounded repetition of requests that the service refused for now, or did not answer."""

import random
from dataclasses import dataclass
from typing import Any, Final

import httpx2

from lookalike_client.calls import Call, Repeat
from lookalike_client.errors import ServiceError, error_of, no_answer, unreadable

_FIRST_WAIT_S: Final = 0.25
_FOR_NOW: Final = frozenset({429, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how long to repeat a request.

    Attributes:
        retries: Most repetitions of a request; 0 disables them.
        max_wait_s: Most seconds to wait between all attempts of a request together. A request is not repeated
            if the service asks to wait longer.
    """

    retries: int = 3
    max_wait_s: float = 30.0


class Attempts:
    """The attempts of one request."""

    def __init__(self, policy: RetryPolicy, call: Call[Any], url: httpx2.URL) -> None:
        self._policy = policy
        self._call = call
        self._url = url
        self.start_again()

    def start_again(self) -> None:
        """Count from the start, after progress."""
        self._left = self._policy.retries
        self._wait_left_s = self._policy.max_wait_s
        self._backoff_s = _FIRST_WAIT_S

    def wait_after_refusal(self, response: httpx2.Response) -> float:
        """Return how long to wait, in seconds, before the request is sent again.

        Raises:
            ServiceError: The error in the response, if the request must not be repeated.
        """
        error = error_of(response)
        # The first attempt of a request whose answer was lost may still be under way.
        may_pass = error.status in _FOR_NOW or error.code == "request_in_flight"
        return self._wait(error, may_repeat=may_pass and self._call.repeat is not Repeat.NEVER)

    def wait_after_loss(self, error: httpx2.HTTPError) -> float:
        """Return how long to wait, in seconds, before the request is sent again.

        Raises:
            NoAnswer: The request must not be repeated.
            UnexpectedAnswer: The answer cannot be unpacked.
        """
        if isinstance(error, httpx2.DecodingError):
            raise unreadable(self._url, error) from error
        lost = no_answer(self._url, error)
        try:
            # The connection was never made: nothing was sent.
            unsent = isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout)
            repeatable = isinstance(error, httpx2.TransportError) and not isinstance(
                error, httpx2.UnsupportedProtocol | httpx2.LocalProtocolError
            )
            allowed = self._call.repeat is Repeat.ALWAYS or (unsent and self._call.repeat is Repeat.IF_REFUSED)
            return self._wait(lost, may_repeat=repeatable and allowed)
        except ServiceError as final:
            raise final from error

    def _wait(self, error: ServiceError, *, may_repeat: bool) -> float:
        # Jitter spreads clients that were refused together.
        wait = self._backoff_s * random.uniform(0.75, 1.25)  # noqa: S311 - not a secret
        if error.retry_after_s is not None:
            wait = error.retry_after_s
        if not may_repeat or not self._left or wait > self._wait_left_s or not self._call.can_be_sent_again:
            raise error
        self._left -= 1
        self._wait_left_s -= wait
        self._backoff_s *= 2
        return wait
