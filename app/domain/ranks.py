"""Rankings of search results; apart from the results, since the command line names them in its help."""

from enum import StrEnum
from typing import Final


class Rank(StrEnum):
    """Ranking of search results."""

    AUTO = "auto"
    """The best for the query and model: asymmetric for texts, descriptor if it ranks better, else hamming."""
    HAMMING = "hamming"
    """Number of differing bits."""
    ASYMMETRIC = "asymmetric"
    """Differing bits, weighted by the magnitude of the query's hash-layer outputs."""
    DESCRIPTOR = "descriptor"
    """Cosine similarity of the descriptors."""
    EXPANDED = "expanded"
    """Cosine similarity of the descriptors, each averaged with those of its nearest candidates."""


BY_DESCRIPTOR: Final = frozenset({Rank.DESCRIPTOR, Rank.EXPANDED})
"""Ranks of queries that have a descriptor."""
COPIES_FIRST: Final = frozenset({Rank.AUTO, Rank.EXPANDED})
"""Ranks under which copies of the query come before other pictures, whatever their descriptors."""


class Where(StrEnum):
    """Where to look for the words of a text query."""

    LOOKS = "looks"
    """In the content of the pictures, by their codes."""
    METADATA = "metadata"
    """In the texts of their metadata."""
    BOTH = "both"
    """In the metadata first, then in the content of the other pictures."""
