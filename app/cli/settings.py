"""How a command reads its settings, and says what it works on."""

from typing import TYPE_CHECKING

import typer

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


def read_database_settings() -> "Settings":
    """Read the settings of a command that opens the local database, and say on standard error which one."""
    from app.store.engine import describe_url

    settings = read_settings()
    announce(f"database {describe_url(settings.resolved_database_url)}")
    return settings


def announce(target: str) -> None:
    """Say on standard error, in one line, which database or service a command uses."""
    typer.echo(f"lookalike: using {target}", err=True)


def log_database(settings: "Settings") -> None:
    """Log which database a service or a worker uses, in the form of its other lines."""
    import structlog

    from app.store.engine import describe_url

    structlog.get_logger().info("database_used", address=describe_url(settings.resolved_database_url))
