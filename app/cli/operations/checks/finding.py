"""The finding of a check."""

from dataclasses import dataclass
from typing import Literal

from app.settings import Misconfigured


@dataclass(frozen=True, slots=True)
class Finding:
    """The finding of a check."""

    check: str
    status: Literal["ok", "warning", "error"]
    detail: str
    remedy: str | None = None
    """What to do; None if all is well."""


def misconfigured(check: str, error: Misconfigured) -> Finding:
    """Return the finding for an invalid setting."""
    return Finding(check, "error", f"{error.variable}={error.value}", error.remedy)
