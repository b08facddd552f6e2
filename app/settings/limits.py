"""Limits of requests."""

from pydantic import Field

from app.settings.base import SettingsGroup


class LimitsSettings(SettingsGroup):
    """Limits of requests."""

    max_upload_bytes: int = Field(default=20_000_000, ge=1)
    """Largest picture file accepted, in bytes."""
    max_json_bytes: int = Field(default=2_000_000, ge=1)
    """Largest JSON body accepted, on every address, in bytes."""
    max_files_per_request: int = Field(default=32, ge=1)
    """Most files in one ``POST /index``."""
    max_requests_in_flight: int = Field(default=64, ge=1)
    """Uploads and searches handled at the same time; further ones get 503 with Retry-After."""
    max_drained_bytes: int = Field(default=128_000_000, ge=0)
    """Most bytes of a refused upload that are read and dropped, so that its sender sees the refusal."""
