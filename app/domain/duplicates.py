"""Policies for adding a picture under an existing id, or a copy of a stored picture."""

from enum import StrEnum


class OnDuplicate(StrEnum):
    """Policy for a new picture whose id already exists."""

    SKIP = "skip"
    """Keep the stored picture; the outcome is ``conflict`` if the new file differs."""
    REPLACE = "replace"
    """Replace the stored picture and keep its insertion number."""
    ERROR = "error"
    """Refuse the new picture."""


class OnNearDuplicate(StrEnum):
    """Policy for a new picture that is a copy, edited or not, of a picture stored under another id."""

    REPORT = "report"
    """Add it, and name the stored pictures."""
    SKIP = "skip"
    """Do not add it; the outcome is ``near_duplicate``."""
    ERROR = "error"
    """Refuse it."""
