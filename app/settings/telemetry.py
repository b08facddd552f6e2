"""Logging."""

from typing import Literal

from app.settings.base import SettingsGroup


class TelemetrySettings(SettingsGroup):
    """Logging."""

    log_format: Literal["console", "json"] = "console"
    """Format of log lines: ``console`` or ``json``."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Lowest level that is logged."""
