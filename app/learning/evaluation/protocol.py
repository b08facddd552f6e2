"""The protocol that is stored with every figure: without it a number means nothing."""

from dataclasses import asdict, dataclass
from typing import Any, Final, Self

from app.learning.datasets.splits import NOTHING_DRAWN, Split

TIES: Final = "expected over every order of equals"
UNKNOWN: Final = "unknown"
"""What stands for a seed that nobody wrote down."""


@dataclass(frozen=True, slots=True)
class Protocol:
    """How a figure was measured."""

    collection: str
    split: str
    """The rule that parted gallery and queries."""
    gallery: int
    queries: int
    gallery_sha256: str
    """Checksum over the names and contents of the gallery's pictures; over features where no pictures are."""
    queries_sha256: str
    """The same over the queries."""
    queries_in_gallery: int
    """Queries whose very bytes are in the gallery too."""
    training_seed: int | str
    """Of whatever was fitted, ``NOTHING_DRAWN`` where nothing was, ``UNKNOWN`` where nobody wrote it down."""
    split_seed: int | str = NOTHING_DRAWN
    """Of the rule, or in words what decides in its stead."""
    evaluation_seed: int | str = NOTHING_DRAWN
    """Every query ranks the whole gallery, and equals count by a closed form."""
    relevant: str = "same kind"
    depth: str = "full ranking unless a figure names its R or K"
    ties: str = TIES

    @classmethod
    def of(cls, split: Split, training_seed: int | str) -> Self:
        """The protocol of ranking a split's gallery for each of its queries.

        Args:
            split: Gallery and queries.
            training_seed: Of the model whose figures these are.
        """
        return cls(
            collection=split.gallery.name,
            split=split.rule,
            gallery=len(split.gallery),
            queries=len(split.queries),
            gallery_sha256=split.gallery.checksum(),
            queries_sha256=split.queries.checksum(),
            queries_in_gallery=split.overlap(),
            training_seed=training_seed,
            split_seed=split.seed,
        )

    def as_dict(self) -> dict[str, Any]:
        """The form that is stored."""
        return asdict(self)
