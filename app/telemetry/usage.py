"""Resources that one request has used: recorded where they are used, read for accounting."""

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final


@dataclass(slots=True)
class Usage:
    """Resources that one request has used."""

    decode_s: float = 0.0
    """Time of decoding processes, in seconds."""


_usage: Final[ContextVar[Usage | None]] = ContextVar("usage", default=None)


def begin_usage() -> Usage:
    """Begin to account for the request of the current context; tasks that it starts count too."""
    usage = Usage()
    _usage.set(usage)
    return usage


def note_decoding(seconds: float) -> None:
    """Add time of a decoding process to the current request, if there is one."""
    usage = _usage.get()
    if usage is not None:
        usage.decode_s += seconds
