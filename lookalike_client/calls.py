"""Descriptions of requests and of how to read their answers, shared by both clients."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Final, Generic, Protocol, TypeVar
from urllib.parse import quote
from uuid import uuid4

import httpx2
import msgspec

from lookalike_client.uploads import Upload, can_be_sent_again, check, opened

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
UNSET: Final = msgspec.UNSET
UnsetType = msgspec.UnsetType


class Repeat(Enum):
    """When a request may be sent again without asking its caller."""

    ALWAYS = "after refusals and lost connections: it changes nothing, or only once"
    IF_REFUSED = "after refusals only: a repeated success would look like a failure"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Part:
    """A file of a form."""

    field: str
    content: Upload
    name: str | None = None

    def __post_init__(self) -> None:
        """Check the file.

        Raises:
            TypeError: It is a text, or opened in text mode.
        """
        check(self.content)


@dataclass(frozen=True, slots=True)
class Call(Generic[T_co]):
    """One request.

    Attributes:
        method: HTTP method.
        path: Path below the service's URL, quoted.
        read: Converts a successful response.
        params: Query parameters.
        json: JSON body; None for no body.
        form: Text fields of a multipart form.
        parts: Files of the form.
        headers: Further headers.
        repeat: When it may be sent again.
    """

    method: str
    path: str
    read: Callable[[httpx2.Response], T_co]
    params: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    form: Mapping[str, str] = field(default_factory=dict)
    parts: Sequence[Part] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    repeat: Repeat = Repeat.ALWAYS

    @contextmanager
    def request(self) -> Iterator[dict[str, Any]]:
        """Open the files, and yield the arguments of ``httpx2.Client.build_request``.

        Raises:
            OSError: A file cannot be opened.
        """
        with ExitStack() as stack:
            arguments: dict[str, Any] = {
                "method": self.method,
                "url": self.path,
                "params": dict(self.params),
                "headers": dict(self.headers),
            }
            if self.json is not None:
                arguments["content"] = json.dumps(self.json).encode()
                arguments["headers"]["Content-Type"] = "application/json"
            if self.parts:
                arguments["data"] = dict(self.form)
                arguments["files"] = [
                    (part.field, opened(part.content, part.name, stack)) for part in self.parts
                ]
            yield arguments

    @property
    def can_be_sent_again(self) -> bool:
        """Whether its files can be read again."""
        return all(can_be_sent_again(part.content) for part in self.parts)

    def with_cursor(self, cursor: str) -> "Call[T_co]":
        """Return the call for a further page of a list."""
        return replace(self, params={**self.params, "cursor": cursor})


class Page(Protocol[T_co]):
    """A page of a list."""

    @property
    def items(self) -> Sequence[T_co]:
        """Its entries."""

    @property
    def next_cursor(self) -> str | None:
        """Cursor of the next page; None on the last."""


class LineParser(Protocol[T_co]):
    """Turns the lines of a stream into values."""

    def feed(self, line: str) -> T_co | None:
        """Return the value that the line completes, if any."""


@dataclass(frozen=True, slots=True)
class Streaming(Generic[T]):
    """A request whose answer is read line by line.

    Attributes:
        call: The request.
        parser: Makes a parser for one answer.
        is_last: Whether a value is the last; a stream that ends before is opened again. None if it ends by
            itself.
    """

    call: Call[None]
    parser: Callable[[], LineParser[T]]
    is_last: Callable[[T], bool] | None = None


def path(*segments: str) -> str:
    """Return a path of quoted segments."""
    return "".join(f"/{quote(segment, safe='')}" for segment in segments)


def given(**values: Any) -> dict[str, Any]:
    """Return the values that are neither None nor unset, as JSON values."""
    return {
        name: msgspec.to_builtins(value)
        for name, value in values.items()
        if value is not None and value is not UNSET
    }


def changes(**values: Any) -> dict[str, Any]:
    """Return the values that are set, None included, as JSON values."""
    return {name: msgspec.to_builtins(value) for name, value in values.items() if value is not UNSET}


def as_text(fields: Mapping[str, Any]) -> dict[str, str]:
    """Return form fields or query parameters: text as it is, other values as JSON text."""
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in fields.items()}


def once(key: str | None) -> dict[str, str]:
    """Return the header by which the service executes repeated requests once.

    Args:
        key: A key of the caller, who may repeat the request after a crash; a random one if None.
    """
    return {"Idempotency-Key": key or uuid4().hex}


def answer(kind: type[T]) -> Callable[[httpx2.Response], T]:
    """Return a reader of JSON answers.

    Raises:
        msgspec.ValidationError, ValueError, RecursionError: (by the reader) the response is not such an answer.
    """
    # The standard parser keeps integers of any size exact; metadata may contain them.
    return lambda response: msgspec.convert(response.json(), kind)


def nothing(_response: httpx2.Response) -> None:
    """Read an answer without content."""


def content(response: httpx2.Response) -> bytes:
    """Read the bytes of a file."""
    return response.content


def text(response: httpx2.Response) -> str:
    """Read a text."""
    return response.text
