"""Decoding of pictures."""

from pydantic import Field

from app.settings.base import SettingsGroup


class DecodingSettings(SettingsGroup):
    """Decoding of pictures."""

    max_pixels: int = Field(default=40_000_000, ge=1)
    """Maximum number of pixels (width × height) that are decoded."""
    max_scans: int = Field(default=64, ge=1)
    """Maximum number of scans of a progressive JPEG that are decoded."""
    decode_timeout_s: float = Field(default=10.0, gt=0)
    """Time after which a decoding child is killed, in seconds."""
    decode_cpu_s: float = Field(default=1.0, gt=0)
    """Processor time for a picture of up to 12 megapixels, in seconds; larger ones take 5 times it at most."""
    decode_children: int = Field(default=2, ge=1)
    """Number of decoding child processes; one more starts when searches and additions meet."""
    decode_memory_bytes: int = Field(default=900_000_000, ge=1)
    """Memory of one process for large pictures that are decoded at the same time, in bytes; others wait."""
