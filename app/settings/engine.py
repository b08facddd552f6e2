"""Index on ClickHouse."""

from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, field_validator

from app.settings.base import Misconfigured, SettingsGroup

_SCHEMES: Final = ("http", "https", "chdb")


class EngineSettings(SettingsGroup):
    """Index on ClickHouse."""

    clickhouse_url: str | None = None
    """Address of the server whose tables hold the indexes of collections with ``"index": "clickhouse"``:
    ``http://host:8123`` or ``https://host:8443``. ``chdb:///folder`` is an engine in the service's process, for
    trials with a single process. Needs ``lookalike[clickhouse]``."""
    clickhouse_database: str = Field(default="lookalike", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """Database for the tables."""
    clickhouse_user: str = "default"
    """User; it must be allowed to create the database and its tables."""
    clickhouse_password: str | None = None
    """Password of the user."""
    clickhouse_password_file: Path | None = None
    """A file that holds the password, as container secrets do."""
    clickhouse_ca_file: Path | None = None
    """File of the certificates to trust for ``https``; by default the system's."""
    clickhouse_cluster: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_.-]+$")
    """Name of a cluster to spread the tables over; by default the server holds them alone."""
    clickhouse_deadline_s: float = Field(default=10.0, gt=0, le=30)
    """Longest duration of one statement, in seconds; a search that exceeds it is answered 503."""
    clickhouse_max_memory_bytes: int = Field(default=4_000_000_000, gt=0)
    """Memory that one statement may use on a server, in bytes."""
    clickhouse_threads: int = Field(default=0, ge=0)
    """Threads of one statement on a server; 0 for the server's own default."""

    @field_validator("clickhouse_url", "clickhouse_cluster", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        # Compose files pass on variables that are not set as empty ones.
        return None if value == "" else value

    @field_validator("clickhouse_url")
    @classmethod
    def _check_url(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme not in _SCHEMES or (parts.scheme != "chdb" and not parts.hostname):
            raise ValueError("it must look like http://host:8123 or https://host:8443")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError(
                "leave user, password and parameters out; set LOOKALIKE_CLICKHOUSE_USER and "
                "LOOKALIKE_CLICKHOUSE_PASSWORD_FILE instead"
            )
        if parts.scheme != "chdb" and not (_has_port(parts) and parts.path in {"", "/"}):
            raise ValueError("it must look like http://host:8123 or https://host:8443")
        return url

    def read_password(self) -> str:
        """Read the password from the environment or its file.

        Raises:
            Misconfigured: The file cannot be read.
        """
        file = self.clickhouse_password_file
        if file is None:
            return self.clickhouse_password or ""
        try:
            return file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not text"
            raise Misconfigured("clickhouse_password_file", file, f"it cannot be read: {reason}") from error


def _has_port(parts: SplitResult) -> bool:
    """Return whether the port, if there is one, is a number that ports may have."""
    try:
        return parts.port is None or parts.port > 0
    except ValueError:
        return False
