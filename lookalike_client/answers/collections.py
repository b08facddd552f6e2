"""Answers about collections."""

from datetime import datetime

from lookalike_client.answers.base import Answer


class Collection(Answer, frozen=True, kw_only=True):
    """A collection."""

    name: str
    """The name."""
    model: str
    """Name of the model."""
    bits: int
    """Length of a code, in bits."""
    images: int
    """Number of pictures."""
    keeps: str
    """copies or references."""
    index: str = "local"
    """local or clickhouse: where its codes are searched."""
    can_be_reencoded: bool
    """Whether its pictures can be re-encoded: they are stored, or their uris can be read."""
    previous_model: str | None = None
    """The model to which a rollback returns."""
    next_model: str | None = None
    """The model it is being re-encoded under."""
    description: str | None = None
    """Free text."""
    created_at: datetime
    """Time of creation, in UTC."""
    updated_at: datetime
    """Time of the last change, in UTC."""


class CollectionList(Answer, frozen=True, kw_only=True):
    """Collections ordered by name."""

    items: tuple[Collection, ...]
    """The entries of this page, or the outcomes in the order of the request."""
    next_cursor: str | None = None
    """Cursor of the next page; None on the last."""


class CollectionStats(Answer, frozen=True, kw_only=True):
    """Size of a collection."""

    name: str
    """The name."""
    images: int
    """Number of pictures."""
    bits: int
    """Length of a code, in bits."""
    index_bytes: int
    """Memory of its index in this process, in bytes."""
    stored_bytes: int
    """Total size of its files, in bytes."""
    index_version: int
    """Change number of the index; increases with every write."""


class LikenessBound(Answer, frozen=True, kw_only=True):
    """The meaning of distances up to a bound."""

    likeness: str
    """The word for these distances."""
    max_distance: int
    """Inclusive upper bound; entries are ordered from near to far."""
    max_score: float
    """1 - the smallest distance of this entry / bits."""
    meaning: str
    """Meaning of the word for two pictures."""


class DuplicateBounds(Answer, frozen=True, kw_only=True):
    """What counts as duplicates: the defaults of ``find_duplicates``, which a pair must satisfy both."""

    max_distance: int
    """Largest distance of the codes."""
    max_descriptor_distance: float | None = None
    """Largest distance of the descriptors; None if the model has none."""


class Calibration(Answer, frozen=True, kw_only=True):
    """What distances mean under a collection's model."""

    collection: str
    """Name of the collection."""
    model: str
    """Name of the model."""
    bits: int
    """Length of a code, in bits."""
    measured_on: str | None = None
    """The pictures that the model was measured on; None for none."""
    likeness: tuple[LikenessBound, ...]
    """The bounds of each word, nearest first."""
    duplicates: DuplicateBounds | None = None
    """What counts as duplicates; None if the model was not measured."""
    quantiles: dict[str, dict[str, float]]
    """For edited copies, pictures of one kind and unrelated ones: distances by percent of pairs."""
    copies_by_edit: dict[str, dict[str, float]]
    """The same for each edit."""


class MetadataKey(Answer, frozen=True, kw_only=True):
    """A metadata key and values that pictures have under it."""

    key: str
    """For a value in nested objects, its dotted path."""
    values: tuple[str | bool | int | float, ...]
    """The first 100 distinct values."""
    has_more: bool
    """Whether there are further values."""
    min: int | float | None = None
    """The smallest number; None if there is none."""
    max: int | float | None = None
    """Largest number under the key; None if there is none."""


class MetadataKeyList(Answer, frozen=True, kw_only=True):
    """Metadata keys in alphabetical order."""

    collection: str
    """Name of the collection."""
    items: tuple[MetadataKey, ...]
    """The first 100 keys."""


class LearnedWord(Answer, frozen=True, kw_only=True):
    """A word learned from the metadata of pictures."""

    word: str
    """The word."""
    pictures: int
    """Pictures with the word, from which it was learned."""
    precision_at_10: float
    """Share of right pictures among the first ten, or among as many as carry the word; cross-validated."""
    average_precision: float
    """Average precision of the whole ranking; cross-validated."""
    uses_names: bool
    """Whether the word's class weights were the starting point."""
    is_offered: bool
    """Whether searches and suggestions use it."""


class LearnedWordList(Answer, frozen=True, kw_only=True):
    """Learned words, those with most pictures first; at most 2,000."""

    collection: str
    """Name of the collection."""
    model: str
    """The collection's active model, whose codes the words were learned from."""
    items: tuple[LearnedWord, ...]
    """The words."""


class Distances(Answer, frozen=True, kw_only=True):
    """The number of pictures at each distance from a code."""

    collection: str
    """Name of the collection."""
    counts: tuple[int, ...]
    """Pictures at distance 0, 1, … bits."""
    measured: int
    """Number of pictures measured; an even sample if there are more than a million."""
    total: int
    """Pictures that a search would consider."""
