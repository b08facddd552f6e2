"""Policies for adding a picture under an existing id."""

from enum import StrEnum


class OnDuplicate(StrEnum):
    """Policy for a new picture whose id already exists."""

    SKIP = "skip"
    """Keep the stored picture; the outcome is ``conflict`` if the new file differs."""
    REPLACE = "replace"
    """Replace the stored picture and keep its insertion number."""
    ERROR = "error"
    """Refuse the new picture."""
