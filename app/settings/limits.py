"""Limits of requests."""

from pydantic import Field

from app.settings.base import SettingsGroup


class LimitsSettings(SettingsGroup):
    """Limits of requests."""

    max_upload_bytes: int = Field(default=20_000_000, ge=1)
    """Largest picture file accepted, in bytes."""
    max_json_bytes: int = Field(default=2_000_000, ge=1)
    """Largest JSON body accepted, in bytes; operations that need little take 262,144 at most."""
    max_files_per_request: int = Field(default=32, ge=1)
    """Maximum number of files in one ``POST /index``."""
    max_requests_in_flight: int = Field(default=64, ge=1)
    """Searches handled at the same time; as many changes and as many uploads. Further ones get 503."""
    max_requests_in_flight_per_caller: int = Field(default=48, ge=1)
    """How many of these one key, or one address without a key, may have; further ones get 429."""
    max_requests_per_minute: int = Field(default=60_000, ge=0)
    """Maximum number of requests of one key, or of one address without a key, per minute; 0 for any number."""
    max_decoding_share: float = Field(default=0.9, ge=0, le=1)
    """Largest share of the decoding processes' time in a minute that one caller may use; 0 for any."""
    max_wrong_keys_per_minute: int = Field(default=20, ge=0)
    """Wrong keys of one address in a minute after which it is slowed down; 0 for any number."""
    rate_limit_store: str = "memory://"
    """Where requests are counted: ``memory://`` in each process, ``redis://host:port`` in all together."""
    max_drained_bytes: int = Field(default=128_000_000, ge=0)
    """Maximum bytes of a refused upload that are read and dropped, so that its sender sees the refusal."""
