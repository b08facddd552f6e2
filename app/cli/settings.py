"""How a command reads its settings."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.settings import Settings


def read_settings() -> "Settings":
    """Read the settings from the environment, and have warnings logged on standard error.

    Standard output is for answers; ``serve`` and ``worker`` turn on the log lines that their settings name.
    """
    from app.settings import Settings
    from app.telemetry.logging import configure_logging

    configure_logging("console", "warning")
    return Settings()
