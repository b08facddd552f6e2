"""Database."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from app.settings.base import SettingsGroup
from app.settings.locations import SHIPPED


class DatabaseSettings(SettingsGroup):
    """Database."""

    database_url: str | None = None
    """SQLAlchemy URL; by default SQLite in the data folder. Postgres:
    ``postgresql+psycopg://user@host/name``."""
    migrations_dir: Path = SHIPPED / "migrations"
    """Folder of the alembic migrations."""
    sqlite_synchronous: Literal["FULL", "NORMAL"] = "FULL"
    """FULL: an acknowledged write survives a power cut. NORMAL: only a crash of the process."""
    busy_timeout_s: float = Field(default=10.0, gt=0)
    """How long a write waits for other writers, in seconds."""
    idle_in_transaction_timeout_s: float = Field(default=15.0, gt=0)
    """How long a frozen process may block writers before Postgres ends its transaction, in seconds."""
