"""Answers about stored pictures."""

from datetime import datetime

from lookalike_client.answers.base import Answer, Metadata
from lookalike_client.answers.search import ItemError, Suggestion


class Image(Answer, frozen=True, kw_only=True):
    """A stored picture."""

    id: str
    """The id."""
    collection: str
    """Name of the collection."""
    sha256: str
    """SHA-256 of the file, in hex."""
    uri: str | None = None
    """Where the original is, as the client stated it."""
    metadata: Metadata
    """JSON object that belongs to the picture."""
    width: int
    """Width of the upright picture, in pixels."""
    height: int
    """Height of the upright picture, in pixels."""
    media_type: str
    """Media type of the original file."""
    size_bytes: int
    """Size of the original file, in bytes."""
    thumbnail_url: str | None = None
    """URL of a thumbnail; None if the collection keeps references only."""
    content_url: str | None = None
    """URL of the original file; None if the collection keeps references only."""
    revision: int
    """Increases with each change; also the ETag."""
    created_at: datetime
    """Time of creation, in UTC."""
    updated_at: datetime
    """Time of the last change, in UTC."""


class ImageList(Answer, frozen=True, kw_only=True):
    """Pictures in insertion order."""

    items: tuple[Image, ...]
    """The entries of this page, or the outcomes in the order of the request."""
    next_cursor: str | None = None
    """Cursor of the next page; None on the last."""


class NearDuplicate(Answer, frozen=True, kw_only=True):
    """A stored picture that a new one is a copy of."""

    id: str
    """The id."""
    exact: bool
    """Whether the files are equal, byte for byte."""
    hash_distance: int | None = None
    """Smallest distance of the perceptual hashes in any orientation; None if a picture has none."""
    descriptor_distance: float | None = None
    """1 - cosine similarity of the descriptors; None if a picture has none."""


class AddedItem(Answer, frozen=True, kw_only=True):
    """The outcome of one picture."""

    id: str
    """The id."""
    status: str
    """created, replaced, unchanged (these bytes are stored under the id), conflict (others are, and stay),
    near_duplicate (a copy is stored under another id) or failed.
    """
    error: ItemError | None = None
    """Why it failed, or is a near duplicate or a conflict."""
    near_duplicates: tuple[NearDuplicate, ...] | None = None
    """The stored pictures that it is a copy of; None unless ``on_near_duplicate`` was given."""
    suggestions: tuple[Suggestion, ...] | None = None
    """With ``suggest``: words for the picture; None if it was not stored or no words are known."""


class AddResponse(Answer, frozen=True, kw_only=True):
    """The outcome of each picture, in the order of the request."""

    items: tuple[AddedItem, ...]
    """The entries of this page, or the outcomes in the order of the request."""
    counts: dict[str, int]
    """Number of pictures by outcome."""
    index_version: int
    """Change number of the index; increases with every write."""


class DeleteResponse(Answer, frozen=True, kw_only=True):
    """Pictures that were deleted, or would be."""

    count: int
    """Number of pictures."""
    ids: tuple[str, ...]
    """The first 1,000 at most."""
    missing: tuple[str, ...]
    """Requested ids that the collection does not contain."""
    dry_run: bool
    """Whether nothing was deleted."""
    index_version: int
    """Change number of the index; increases with every write."""
