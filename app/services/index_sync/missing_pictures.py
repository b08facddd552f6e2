"""Pictures of a collection that have no code under its model."""

from collections.abc import Iterable, Mapping


class MissingPictures:
    """Insertion numbers of pictures without a code; counting them takes constant time."""

    def __init__(self, reasons: Mapping[int, str | None] | None = None) -> None:
        """Start with pictures by insertion number: the reason why one has no code, or None if not tried yet."""
        reasons = reasons or {}
        self._failed = {number for number, reason in reasons.items() if reason is not None}
        self._pending = reasons.keys() - self._failed

    def __len__(self) -> int:
        return len(self._pending) + len(self._failed)

    def __contains__(self, number: object) -> bool:
        return number in self._pending or number in self._failed

    @property
    def failed(self) -> int:
        """Number of pictures that could not be encoded."""
        return len(self._failed)

    @property
    def pending(self) -> int:
        """Number of pictures that have not been tried yet."""
        return len(self._pending)

    def add(self, numbers: Iterable[int], reasons: Mapping[int, str]) -> None:
        """Add pictures without a code; those without a reason have not been tried yet."""
        added = set(numbers)
        failed = added & reasons.keys()
        self._failed = self._failed - added | failed
        self._pending = self._pending - added | added - failed

    def remove(self, numbers: Iterable[int]) -> None:
        """Remove pictures that have a code now or were deleted; ignore others."""
        removed = set(numbers)
        self._failed -= removed
        self._pending -= removed
