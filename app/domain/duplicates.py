"""What happens when a picture is added under an id that is already stored."""

from enum import StrEnum


class OnDuplicate(StrEnum):
    """What happens to a new picture whose id is already stored."""

    SKIP = "skip"
    """The stored picture stays as it is; if the new one has other bytes, the outcome is ``conflict``."""
    REPLACE = "replace"
    """The new picture takes the stored one's place and its insertion number."""
    ERROR = "error"
    """The new picture is refused."""
