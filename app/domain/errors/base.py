"""The base class of all errors."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """An error in one part of a request."""

    pointer: str
    """JSON pointer (RFC 6901) of the offending part, for instance ``/filter/must/0/key``."""
    detail: str
    """Description for the caller."""


class LookalikeError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "error"

    def __init__(self, detail: str | None = None, *, errors: Sequence[FieldError] = ()) -> None:
        """Store the detail (by default the class docstring) and the errors in parts of the request."""
        self.detail = detail if detail is not None else (type(self).__doc__ or self.code)
        self.errors = tuple(errors)
        super().__init__(self.detail)

    @property
    def explanation(self) -> str:
        """The detail and the single errors in one sentence, for callers that do not see ``errors``."""
        parts = [f"{error.pointer}: {error.detail}" for error in self.errors]
        return f"{self.detail.removesuffix('.')} ({'; '.join(parts)})" if parts else self.detail
