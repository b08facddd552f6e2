"""Schemas of backups."""

from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from app.api.schemas.common import Schema, shown_as

_BACKUP_EXAMPLE: Final[dict[str, Any]] = {
    "id": "01KAXG7V0M9E3WQ4T8B2Y6ZC5R",
    "created_at": "2026-11-24T21:30:00Z",
    "pictures": 60000,
    "copies_pictures": False,
    "missing_files": 0,
    "index_version": 60012,
}


class MakeBackup(Schema):
    """Options of a backup."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"copy_pictures": False}]})

    copy_pictures: bool = Field(
        default=False,
        description="Copy the pictures and the files of models too; otherwise the picture store keeps them",
    )


class Verify(Schema):
    """Options of a verification."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"repair": False, "deep": False}]}
    )

    repair: bool = Field(
        default=False, description="Encode pictures that lack a code; delete codes without a picture"
    )
    deep: bool = Field(default=False, description="Read every file and compare its sha256")


class Restore(Schema):
    """The backup to restore."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"backup": "01KAXG7V0M9E3WQ4T8B2Y6ZC5R"}]}
    )

    backup: str = Field(min_length=1, max_length=26, pattern="^[0-9A-Z]+$")


class BackupShape(BaseModel):
    """A backup of the service."""

    model_config = shown_as(_BACKUP_EXAMPLE)

    id: str
    created_at: datetime
    pictures: int
    copies_pictures: bool
    missing_files: int = Field(description="Files missing from the picture store")
    index_version: int = Field(description="Change number of its tables")


class BackupList(BaseModel):
    """Backups, newest first."""

    model_config = shown_as({"items": [_BACKUP_EXAMPLE], "next_cursor": None})

    items: list[BackupShape]
    next_cursor: None = None
