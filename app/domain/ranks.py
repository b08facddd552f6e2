"""Rankings of search results; apart from the results, since the command line names them in its help."""

from enum import StrEnum


class Rank(StrEnum):
    """Ranking of search results."""

    AUTO = "auto"
    """The best for the query and the model: asymmetric for texts, descriptor where it gains, else hamming."""
    HAMMING = "hamming"
    """Number of differing bits."""
    ASYMMETRIC = "asymmetric"
    """Differing bits, weighted by the magnitude of the query's hash-layer outputs."""
    DESCRIPTOR = "descriptor"
    """Cosine similarity of the descriptors."""


class Where(StrEnum):
    """Where the words of a text query are looked for."""

    LOOKS = "looks"
    """In what the pictures show, by their codes."""
    METADATA = "metadata"
    """In the texts of their metadata."""
    BOTH = "both"
    """In the metadata first, then in what the other pictures show."""
