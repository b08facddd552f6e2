"""Imports."""

from pathlib import Path
from typing import Final

from pydantic import Field, field_validator

from app.settings.base import CommaSeparated, SettingsGroup

OBJECT_STORES: Final = frozenset({"s3", "gs", "az", "memory"})


class ImportsSettings(SettingsGroup):
    """Imports."""

    max_archive_bytes: int = Field(default=5_000_000_000, ge=1)
    """Largest archive or list of references accepted, in bytes."""
    max_archive_entries: int = Field(default=10_000, ge=1)
    """Maximum number of files in an archive."""
    max_archive_unpacked_bytes: int = Field(default=50_000_000_000, ge=1)
    """Maximum bytes that an archive may unpack to."""
    upload_retention_hours: float = Field(default=24.0, gt=0)
    """How long the upload of an import with failed items is kept for a retry, in hours."""
    import_root: Path | None = None
    """Folder whose files imports may read; without it they read no files of the server."""
    import_prefixes: CommaSeparated = []
    """Object-store prefixes, separated by commas, that imports may read: ``s3://bucket/folder/``."""
    fetch_hosts: CommaSeparated = []
    """Hosts, separated by commas, that pictures may be fetched from by URL; ``*`` for any public host."""
    fetch_timeout_s: float = Field(default=10.0, gt=0)
    """Time limit for fetching a picture by URL, in seconds."""

    @field_validator("import_prefixes")
    @classmethod
    def _refuse_other_prefixes(cls, prefixes: list[str]) -> list[str]:
        for prefix in prefixes:
            scheme, _, bucket = prefix.partition("://")
            if scheme not in OBJECT_STORES or not bucket.strip("/"):
                raise ValueError(f"{prefix} must be s3://, gs:// or az:// and a bucket")
        return prefixes
