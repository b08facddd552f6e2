"""Read the settings of a command; report its target and invalid settings."""

import os
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from app.cli.terminal.output import progress_note

if TYPE_CHECKING:
    from app.settings import Settings

OTHER_NAMES: Final = frozenset({"LOOKALIKE_URL", "LOOKALIKE_KEY", "LOOKALIKE_SOAK"})
"""Variables that are not settings: of commands that take ``--url`` and ``--key``, and of the tests."""
REPLACED: Final = {"FORWARDED_ALLOW_IPS": "LOOKALIKE_TRUSTED_PROXIES"}
"""Variables that earlier versions read, each with its replacement."""
TEST_PREFIX: Final = "LOOKALIKE_TEST_"
_SQLITE_MAGIC: Final = b"SQLite format 3\0"


def read_settings() -> "Settings":
    """Read the settings from the environment, and log warnings to standard error.

    Standard output is for answers; ``serve`` and ``worker`` configure logging by their settings.

    Raises:
        Misconfigured: A value is not valid.
    """
    import structlog

    from app.settings import SETTING_NAMES, Settings
    from app.settings.locations import earlier_data_notice
    from app.telemetry.logging import configure_logging

    settings = Settings()
    configure_logging(settings.telemetry.log_format, "warning")
    for name, nearest in misspelt(os.environ, SETTING_NAMES):
        structlog.get_logger().warning("unknown_setting", name=name, nearest=nearest)
    notice = None if names_data_dir(os.environ) else earlier_data_notice(settings.storage.data_dir)
    if notice is not None:
        progress_note(notice)
    return settings


def names_data_dir(environment: Mapping[str, str]) -> bool:
    """Return whether the environment chooses the data folder, so that data elsewhere is no surprise."""
    return any(name.upper() == "LOOKALIKE_DATA_DIR" for name in environment)


def misspelt(environment: Mapping[str, str], fields: Iterable[str]) -> list[tuple[str, str]]:
    """Return variables that are no settings but look like some, or once were, each with the nearest setting."""
    from app.settings import ENV_PREFIX

    known = {ENV_PREFIX + field.upper() for field in fields}
    unknown = [
        name
        for name in sorted(environment)
        if name.upper().startswith(ENV_PREFIX)
        and not name.upper().startswith(TEST_PREFIX)
        and name.upper() not in known | OTHER_NAMES
    ]
    replaced = [(name, REPLACED[name]) for name in REPLACED if name in environment]
    return replaced + [(name, get_close_matches(name.upper(), known, n=1, cutoff=0)[0]) for name in unknown]


def check_database(settings: "Settings") -> str:
    """Check the database's address and return it without its password.

    Call it only before this process opens the database: closing a descriptor of an SQLite file drops all locks
    that the process holds on it, and another process would then remove the write-ahead log in use.

    Raises:
        Misconfigured: The address is not valid, or the database is not supported.
    """
    from sqlalchemy.exc import ArgumentError

    from app.settings import Misconfigured
    from app.store.driver.connections import sqlite_file
    from app.store.engine import describe_url

    remedy = "write sqlite:///FILE or postgresql+psycopg://user:password@host/name"
    try:
        file = sqlite_file(settings.resolved_database_url)
        address = describe_url(settings.resolved_database_url)
    except (ArgumentError, ValueError) as error:
        raise Misconfigured("database_url", settings.resolved_database_url, remedy) from error
    if file is not None and file.is_file():
        with file.open("rb") as opened:
            start = opened.read(len(_SQLITE_MAGIC))
        if start not in {b"", _SQLITE_MAGIC}:
            raise Misconfigured("database_url", address, "the file is not an SQLite database; name another")
    return address


def read_database_settings() -> "Settings":
    """Read the settings of a command that opens the local database; name it on standard error.

    Raises:
        Misconfigured: A value is not valid.
    """
    settings = read_settings()
    announce(f"database {check_database(settings)}")
    return settings


def announce(target: str) -> None:
    """Name the database or service that a command uses on standard error."""
    progress_note(f"using {target}")


def log_database(settings: "Settings") -> None:
    """Log which database a service or worker uses.

    Raises:
        Misconfigured: The address is not valid, or the database is not supported.
    """
    import structlog

    structlog.get_logger().info("database_used", address=check_database(settings))
