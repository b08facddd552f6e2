"""The protocol stored with every figure, which says how it was measured."""

from dataclasses import asdict, dataclass
from typing import Any, Final, Self

from app.learning.datasets.splits import NOTHING_DRAWN, SAME_KIND, Split

TIES: Final = "expected over every order of equals"
UNKNOWN: Final = "unknown"
"""Recorded in place of a seed that was not recorded."""


@dataclass(frozen=True, slots=True)
class Protocol:
    """How a figure was measured."""

    collection: str
    split: str
    """The rule that separates gallery and queries."""
    gallery: int
    queries: int
    gallery_sha256: str
    """Checksum over names and contents of the gallery's pictures, or over features if there are no pictures."""
    queries_sha256: str
    """The same over the queries."""
    queries_in_gallery: int
    """Number of queries whose bytes are identical to a gallery picture's."""
    training_seed: int | str
    """Seed of the fit; ``NOTHING_DRAWN`` if nothing was fitted, ``UNKNOWN`` if it was not recorded."""
    split_seed: int | str = NOTHING_DRAWN
    """Seed of the rule, or a sentence on its replacement."""
    evaluation_seed: int | str = NOTHING_DRAWN
    """Nothing is random: every query ranks the whole gallery, and ties have a closed form."""
    relevant: str = SAME_KIND
    depth: str = "full ranking unless a figure names its R or K"
    ties: str = TIES

    @classmethod
    def of(cls, split: Split, training_seed: int | str) -> Self:
        """Describe the ranking of a split's gallery for each of its queries.

        Args:
            split: Gallery and queries.
            training_seed: Training seed of the measured model.
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
            relevant=split.relevant,
        )

    def as_dict(self) -> dict[str, Any]:
        """The stored form."""
        return asdict(self)
