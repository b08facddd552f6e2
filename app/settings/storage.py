"""Storage of pictures and files."""

from pathlib import Path
from typing import Final

from pydantic import Field, field_validator

from app.settings.base import SettingsGroup
from app.settings.locations import default_data_dir

PICTURE_STORES: Final = ("file", "s3", "gs", "az")


class StorageSettings(SettingsGroup):
    """Storage of pictures and files."""

    data_dir: Path = Field(default_factory=default_data_dir)
    """Folder of the SQLite database, the pictures and the index snapshots. By default ``data`` in a checkout,
    else ``lookalike`` in the user's data folder."""
    pictures_url: str | None = None
    """URL of the picture store: ``file://``, ``s3://``, ``gs://`` or ``az://``; by default in the data
    folder."""
    orphan_grace_s: float = Field(default=3600.0, gt=0)
    """How long the files of deleted pictures are kept before they are swept, in seconds."""
    sweep_interval_s: float = Field(default=60.0, gt=0)
    """Interval at which files that are due are removed from the picture store, in seconds."""

    @field_validator("pictures_url")
    @classmethod
    def _refuse_unknown_stores(cls, url: str | None) -> str | None:
        if url is not None and url.partition("://")[0] not in PICTURE_STORES:
            raise ValueError(f"it must begin with {', '.join(f'{scheme}://' for scheme in PICTURE_STORES)}")
        return url

    @property
    def resolved_pictures_url(self) -> str:
        """URL of the picture store, with the default filled in."""
        return self.pictures_url or (self.data_dir.absolute() / "store").as_uri()
