"""Answers about backups, and the lines of an export."""

from datetime import datetime

from lookalike_client.answers.base import Answer, Metadata


class Backup(Answer, frozen=True, kw_only=True):
    """A backup of the service."""

    id: str
    """The id."""
    created_at: datetime
    """Time of creation, in UTC."""
    pictures: int
    """Number of pictures."""
    copies_pictures: bool
    """Whether the pictures are copied."""
    missing_files: int
    """Files missing from the picture store."""
    index_version: int
    """Change number of its tables."""


class BackupList(Answer, frozen=True, kw_only=True):
    """Backups, newest first."""

    items: tuple[Backup, ...]
    """The entries of this page, or the outcomes in the order of the request."""
    next_cursor: str | None = None
    """Cursor of the next page; None on the last."""


class ExportedPicture(Answer, frozen=True, kw_only=True):
    """A line of an export: a picture with its code."""

    id: str
    """Id of the picture."""
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
    created_at: datetime
    """Time of creation, in UTC."""
    model: str
    """Name of the collection's model."""
    code: str | None = None
    """Code under that model, as hex of its little-endian bytes; None while it has none."""
