"""Search and indexes."""

from pathlib import Path

from pydantic import Field

from app.settings.base import SettingsGroup


class SearchSettings(SettingsGroup):
    """Search and indexes."""

    scan_threads: int = Field(default=1, ge=1)
    """Threads of one search among millions of pictures; more threads shorten single searches, not many
    concurrent ones."""
    descriptor_memory_bytes: int = Field(default=128_000_000, ge=0)
    """Memory in which a process keeps the descriptors that searches have read, over all collections; about 200
    bytes a picture. 0 reads them from the database for each search."""
    poll_interval_s: float = Field(default=0.25, gt=0)
    """Interval at which a process polls for changes by others, in seconds."""
    keep_snapshots: bool = True
    """Save indexes as files, so that a start does not read every code from the database."""
    share_index_pages: bool = False
    """Map index snapshots, so that processes of one machine share their memory; nothing else may then change or
    truncate these files."""
    snapshots_dir: Path | None = None
    """Folder of the index snapshots, for this database only; by default in the data folder."""
    snapshot_interval_s: float = Field(default=60.0, gt=0)
    """Interval at which a process checks whether a snapshot is due, in seconds."""
