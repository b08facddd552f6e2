"""The protocol that is stored with every figure: without it a number means nothing."""

from dataclasses import asdict, dataclass
from typing import Any, Self

from app.learning.datasets.splits import Split

TIES = "expected over every order of equals"


@dataclass(frozen=True, slots=True)
class Protocol:
    """How a figure was measured."""

    collection: str
    split: str
    """The rule that parted gallery and queries."""
    gallery: int
    queries: int
    gallery_sha256: str
    """Checksum over the names and contents of the gallery's pictures."""
    queries_in_gallery: int
    """Queries whose very bytes are in the gallery too."""
    relevant: str = "same kind"
    depth: str = "full ranking unless a figure names its R or K"
    ties: str = TIES

    @classmethod
    def of(cls, split: Split) -> Self:
        """The protocol of ranking a split's gallery for each of its queries."""
        return cls(
            collection=split.gallery.name,
            split=split.rule,
            gallery=len(split.gallery),
            queries=len(split.queries),
            gallery_sha256=split.gallery.checksum(),
            queries_in_gallery=split.overlap(),
        )

    def as_dict(self) -> dict[str, Any]:
        """The form that is stored."""
        return asdict(self)
