"""Errors that calls raise."""

import contextlib
from typing import Any

import httpx2
import msgspec

from lookalike_client.answers.base import Answer


class FieldProblem(Answer, frozen=True, kw_only=True):
    """An error in one part of a request."""

    pointer: str
    """JSON pointer to the part, such as ``/filter/must/0/key``."""
    detail: str
    """What is wrong with it."""


class Problem(Answer, frozen=True, kw_only=True):
    """The service's description of an error (RFC 9457)."""

    type: str = "about:blank"
    """URN of the kind of error."""
    title: str = ""
    """Reason phrase of the status."""
    status: int
    """HTTP status."""
    detail: str
    """How to mend the request, in a sentence."""
    instance: str = ""
    """Path of the request."""
    code: str
    """Stable code; handle errors by it."""
    request_id: str = ""
    """Id under which the service's log has the request."""
    errors: tuple[FieldProblem, ...] = ()
    """Errors by part of the request, 100 at most."""
    accepted: tuple[str, ...] | None = None
    """With 415 for a file: media types of the pictures that are decoded."""


class ServiceError(Exception):
    """Base of all errors: the service refused a request, failed, or did not answer.

    Attributes:
        status: HTTP status; 0 without an answer.
        code: Stable code of the error; ``no_answer`` without an answer.
        detail: How to mend the request, in a sentence.
        retry_after_s: Seconds after which the service asks to try again; None if it does not say.
        request_id: Id under which the service's log has the request; empty without an answer.
        errors: Errors by part of the request.
        problem: The whole answer; None without one.
    """

    def __init__(
        self, detail: str, *, code: str, problem: Problem | None = None, retry_after_s: float | None = None
    ) -> None:
        self.status = 0 if problem is None else problem.status
        self.code = code
        self.detail = detail
        self.retry_after_s = retry_after_s
        self.problem = problem
        super().__init__(f"{detail} ({code})")

    @property
    def request_id(self) -> str:
        """Id under which the service's log has the request."""
        return "" if self.problem is None else self.problem.request_id

    @property
    def errors(self) -> tuple[FieldProblem, ...]:
        """Errors by part of the request."""
        return () if self.problem is None else self.problem.errors

    @property
    def field(self) -> str | None:
        """Name of the first field in error, as a dotted path; None if the error is about no field."""
        return self.errors[0].pointer.strip("/").replace("/", ".") if self.errors else None


class NoAnswer(ServiceError):
    """The service cannot be reached, or did not answer in time."""


class UnexpectedAnswer(ServiceError):
    """The answer is not one of this service; the URL may belong to another."""


class RequestRefused(ServiceError):
    """The request is invalid, too large, or of the wrong media type (400, 405, 408, 413, 415, 422)."""


class KeyRefused(ServiceError):
    """A valid key is required (401), or the key's rights do not suffice (403)."""


class NotFound(ServiceError):
    """There is no such resource (404), or its file is gone (410)."""


class StateConflict(ServiceError):
    """The stored state does not allow the request (409, 412)."""


class TooBusy(ServiceError):
    """The service answers later: rate limits (429), load or a restart (503)."""


class ServiceFailed(ServiceError):
    """The service failed (500, 507)."""


_BY_STATUS: dict[int, type[ServiceError]] = {
    401: KeyRefused,
    403: KeyRefused,
    404: NotFound,
    409: StateConflict,
    410: NotFound,
    412: StateConflict,
    429: TooBusy,
    502: TooBusy,
    503: TooBusy,
    504: TooBusy,
}


NOT_SUCH_AN_ANSWER = (ValueError, msgspec.ValidationError, RecursionError)
"""Errors of reading an answer that is not JSON of the expected type, or too deeply nested."""


def error_of(response: httpx2.Response) -> ServiceError:
    """Return the error that a completely read response without success stands for."""
    if response.is_redirect:
        target = response.headers.get("location", "another address")
        return UnexpectedAnswer(f"{shown(response.url)} redirects to {target}; use that URL", code="redirected")
    problem = _problem(response)
    kind = _BY_STATUS.get(problem.status, RequestRefused if problem.status < 500 else ServiceFailed)
    return kind(problem.detail, code=problem.code, problem=problem, retry_after_s=_retry_after(response))


def no_answer(url: httpx2.URL, error: httpx2.HTTPError) -> NoAnswer:
    """Return the error for a request that was not answered."""
    return NoAnswer(f"{shown(url)} does not answer: {error or type(error).__name__}", code="no_answer")


def unreadable(url: httpx2.URL, reason: object) -> UnexpectedAnswer:
    """Return the error for an answer of a service that cannot be understood."""
    return UnexpectedAnswer(
        f"{shown(url)} did not answer as Lookalike does: {reason}", code="unexpected_answer"
    )


def shown(url: httpx2.URL) -> httpx2.URL:
    """Return a URL without the password that it may contain."""
    return url.copy_with(username=url.username, password=None) if url.password else url


def unexpected(response: httpx2.Response, error: Exception) -> UnexpectedAnswer:
    """Return the error for an answer that cannot be understood."""
    return unreadable(response.url, error)


def _problem(response: httpx2.Response) -> Problem:
    with contextlib.suppress(*NOT_SUCH_AN_ANSWER):
        body: Any = response.json()
        # The status line decides, as it does for proxies in between.
        return msgspec.structs.replace(msgspec.convert(body, Problem), status=response.status_code)
    # A proxy in between answers in its own form.
    detail = f"{response.status_code} {response.reason_phrase}".strip()
    return Problem(status=response.status_code, detail=detail, code="error")


def _retry_after(response: httpx2.Response) -> float | None:
    with contextlib.suppress(KeyError, ValueError):
        return max(0.0, float(response.headers["retry-after"]))
    return None
