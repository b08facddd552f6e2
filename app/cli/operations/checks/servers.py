"""Check the database, and the server of indexes outside the service."""

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from app.cli.operations.checks.finding import Finding, misconfigured
from app.cli.terminal.settings import check_database
from app.domain.errors import (
    DatabaseUnavailable,
    ForeignDatabase,
    IndexUnavailable,
    LookalikeError,
    SchemaTooNew,
)
from app.settings import Misconfigured, Settings
from app.settings.base import displayed

CLOCK_DIFFERENCE_S: Final = 2.0


def check_schema(settings: Settings) -> Iterator[Finding]:
    """Check that the database answers, is ours and has a schema that this version knows."""
    from app.store.driver.connections import sqlite_file
    from app.store.schema.migrate import clock_difference_s, current, head

    try:
        address = check_database(settings)
    except Misconfigured as error:
        yield misconfigured("database", error)
        return
    url, migrations = settings.resolved_database_url, settings.database.migrations_dir
    if not migrations.is_dir():
        return  # reported with the folders
    file = sqlite_file(url)
    if file is not None and not file.exists():
        yield Finding("database", "ok", f"{address}, will be created at the first start")
        return
    remedies = {
        DatabaseUnavailable: "start the database, or correct LOOKALIKE_DATABASE_URL",
        ForeignDatabase: "set LOOKALIKE_DATABASE_URL to an empty database, or one of Lookalike",
        SchemaTooNew: "upgrade Lookalike, or set LOOKALIKE_DATABASE_URL to another database",
    }
    try:
        revision, newest = current(url, migrations), head(migrations)
        ahead_s = clock_difference_s(url)
    except LookalikeError as error:
        remedy = remedies.get(type(error), remedies[DatabaseUnavailable])
        yield Finding("database", "error", f"{address}: {error.detail}", remedy)
        return
    if revision == newest:
        yield Finding("database", "ok", f"{address}, schema {revision}")
    else:
        detail = f"{address}, schema {revision or 'not made yet'}; this version's is {newest}"
        yield Finding(
            "database", "warning", detail, "back it up; `lookalike serve` or `lookalike db upgrade` upgrades it"
        )
    if ahead_s is not None and abs(ahead_s) > CLOCK_DIFFERENCE_S:
        direction = "ahead of" if ahead_s > 0 else "behind"
        detail = f"the database's clock is {abs(ahead_s):,.1f} s {direction} this machine's"
        yield Finding("clock", "warning", detail, "synchronise both machines with NTP")


def check_engine(settings: Settings) -> Iterator[Finding]:
    """Check that the server of indexes outside the service answers, if the settings name one."""
    engine = settings.engine
    if engine.clickhouse_url is None:
        return
    from app.bootstrap import make_engine

    where = displayed("clickhouse_url", engine.clickhouse_url)
    if urlsplit(engine.clickhouse_url).scheme == "chdb":
        # One process at a time may open its folder, and a service may have it open.
        yield Finding("engine", "ok", f"{where}, in the service's process")
        return
    try:
        connection = make_engine(settings)
    except Misconfigured as error:
        yield misconfigured("engine", error)
        return
    assert connection is not None  # noqa: S101 - the settings name one
    try:
        [(version,)] = connection.query("SELECT version()")
    except IndexUnavailable as error:
        remedy = "start the server, or correct LOOKALIKE_CLICKHOUSE_URL, the user or the password"
        yield Finding("engine", "error", f"{where}: {error.detail}", remedy)
    else:
        yield Finding("engine", "ok", f"ClickHouse {version} at {where}")
    finally:
        connection.close()
