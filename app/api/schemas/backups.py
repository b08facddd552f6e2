"""Shapes of backups of the service."""

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
    """How to make a backup."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"copy_pictures": False}]})

    copy_pictures: bool = Field(
        default=False,
        description="Copy the pictures' bytes too; else the picture store keeps them from being swept",
    )


class Verify(Schema):
    """What to look at."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"repair": False, "deep": False}]}
    )

    repair: bool = Field(default=False, description="Encode what lacks a code; delete codes of nothing")
    deep: bool = Field(default=False, description="Read every file and compare its sha256")


class Restore(Schema):
    """What to restore."""

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
    missing_files: int = Field(description="Files that were not in the picture store any more")
    index_version: int = Field(description="Change number that its tables stand at")


class BackupList(BaseModel):
    """Backups, the newest first."""

    model_config = shown_as({"items": [_BACKUP_EXAMPLE], "next_cursor": None})

    items: list[BackupShape]
    next_cursor: None = None
