"""Access: keys, signed addresses, sessions."""

import re
from pathlib import Path
from typing import Final

from pydantic import Field, field_validator

from app.settings.base import CommaSeparated, Misconfigured, SettingsGroup

MIN_BOOTSTRAP_KEY_CHARS: Final = 20
_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#\s@*]+", re.IGNORECASE)
"""Scheme, host and port; browser extensions have their own schemes."""


class AccessSettings(SettingsGroup):
    """Access: keys, signed addresses, sessions."""

    unkeyed_loopback: bool = True
    """Answer direct calls from this machine without a key until the first one is made."""
    insecure: bool = False
    """Answer anyone without a key until the first one is made, also on an address that others can reach."""
    cors_origins: CommaSeparated = []
    """Origins, separated by commas, whose pages may call the service."""
    bootstrap_admin_key: str | None = None
    """An admin key that is created at the start unless it exists; at least 20 characters."""
    bootstrap_admin_key_file: Path | None = None
    """A file that holds the bootstrap admin key, as container secrets do."""
    serve_positions: bool = False
    """Serve original files with the position where they were taken (EXIF and XMP)."""
    signature_lifetime_s: int = Field(default=3600, ge=60)
    """Lifetime of signed picture addresses, in seconds."""
    session_lifetime_s: int = Field(default=12 * 3600, ge=60)
    """Lifetime of the page's cookie, in seconds."""

    @field_validator("cors_origins")
    @classmethod
    def _check_origins(cls, origins: list[str]) -> list[str]:
        if "*" in origins:
            raise ValueError("name each origin: the page's cookie must never be usable from any origin")
        origins = [origin.rstrip("/") for origin in origins]
        for origin in origins:
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(
                    f"{origin!r} is not an origin; write scheme and host, as in https://shop.example"
                )
        return origins

    def read_bootstrap_admin_key(self) -> str | None:
        """Read the bootstrap admin key from the environment or its file.

        Raises:
            Misconfigured: The file cannot be read, or the key is too short.
        """
        if self.bootstrap_admin_key_file is None:
            return self._long_enough("bootstrap_admin_key", self.bootstrap_admin_key or None)
        try:
            key = self.bootstrap_admin_key_file.read_text().strip() or None
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not text"
            raise Misconfigured(
                "bootstrap_admin_key_file",
                self.bootstrap_admin_key_file,
                f"the file cannot be read ({reason}); name a text file that holds the key",
            ) from error
        return self._long_enough("bootstrap_admin_key_file", key)

    def _long_enough(self, setting: str, key: str | None) -> str | None:
        if key is not None and len(key) < MIN_BOOTSTRAP_KEY_CHARS:
            raise Misconfigured(
                setting,
                getattr(self, setting),
                f"the key needs at least {MIN_BOOTSTRAP_KEY_CHARS} characters",
            )
        return key
