"""Check settings, folders, and who may use the service."""

import os
import platform
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

from app import __version__
from app.cli.operations.checks.finding import Finding, misconfigured
from app.cli.terminal.output import shown_bytes
from app.cli.terminal.settings import misspelt, names_data_dir
from app.domain.errors import LookalikeError
from app.settings import ENV_PREFIX, SETTING_NAMES, Misconfigured, Settings
from app.settings.locations import earlier_data_notice

LOW_BYTES: Final = 2_000_000_000
TOO_LOW_BYTES: Final = 200_000_000
"""Free disk space below which the set-up needs attention, or cannot take pictures."""


def check_version() -> Iterator[Finding]:
    """Name the versions."""
    python = platform.python_version()
    yield Finding(
        "version", "ok", f"Lookalike {__version__}, Python {python}, {platform.system()} {platform.machine()}"
    )


def check_settings() -> tuple[Settings, list[Finding]]:
    """Check every setting; return those that the other checks use, with defaults for invalid ones."""
    findings = []
    for name, nearest in misspelt(os.environ, SETTING_NAMES):
        findings.append(
            Finding(
                "settings", "warning", f"{name} is not a setting and has no effect", f"did you mean {nearest}?"
            )
        )
    with _restored_environment():
        while True:
            try:
                settings = Settings()
                break
            except Misconfigured as error:
                findings.append(misconfigured("settings", error))
                if not _unset(error.variable):
                    raise
    try:
        settings.access.read_bootstrap_admin_key()
    except Misconfigured as error:
        findings.append(misconfigured("settings", error))
    given = [name for name in os.environ if name.upper().removeprefix(ENV_PREFIX).lower() in SETTING_NAMES]
    if not findings:
        detail = (
            f"{len(given)} set, the others have their defaults"
            if given
            else "none set, all have their defaults"
        )
        findings.append(Finding("settings", "ok", detail))
    return settings, findings


@contextmanager
def _restored_environment() -> Iterator[None]:
    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.update(before)


def _unset(variable: str) -> bool:
    found = [name for name in os.environ if name.upper() == variable]
    for name in found:
        del os.environ[name]
    return bool(found)


def check_folders(settings: Settings) -> Iterator[Finding]:
    """Check that the folders exist or can be made, can be written to, and have space."""
    storage = settings.storage
    written = {"data_dir": storage.data_dir}
    pictures = urlsplit(storage.resolved_pictures_url)
    if pictures.scheme == "file":
        written["pictures_url"] = Path(url2pathname(pictures.path))
    if settings.search.keep_snapshots:
        written["snapshots_dir"] = settings.resolved_snapshots_dir
    at_fault: list[Path] = []
    for setting, folder in written.items():
        # A folder inside another one shares its fault and its remedy.
        if any(folder.absolute().is_relative_to(other.absolute()) for other in at_fault):
            continue
        finding = _written_folder(setting, folder)
        yield finding
        if finding.status != "ok":
            at_fault.append(folder)
    for setting, read in (
        ("artifacts_dir", settings.models.artifacts_dir),
        ("migrations_dir", settings.database.migrations_dir),
        ("import_root", settings.imports.import_root),
    ):
        if read is not None and not read.is_dir():
            detail = f"{ENV_PREFIX}{setting.upper()}={read}: there is no such folder"
            yield Finding("folders", "error", detail, "name a folder that exists, or reinstall Lookalike")
    notice = None if names_data_dir(os.environ) else earlier_data_notice(storage.data_dir)
    if notice is not None:
        detail, _, remedy = notice.partition("; ")
        yield Finding("folders", "warning", detail, remedy)


def check_secret_files(settings: Settings) -> Iterator[Finding]:
    """Check that other users of this machine cannot read or replace the files of passwords and keys."""
    for setting, file in (
        ("clickhouse_password_file", settings.engine.clickhouse_password_file),
        ("bootstrap_admin_key_file", settings.access.bootstrap_admin_key_file),
    ):
        # A container's secrets are readable for all of its users, and for nobody else.
        if file is None or file.is_relative_to("/run/secrets"):
            continue
        try:
            mode = stat.S_IMODE(file.stat().st_mode)
        except OSError:
            continue  # reported where the file is read
        if mode & (stat.S_IRWXO | stat.S_IWGRP):
            detail = f"{ENV_PREFIX}{setting.upper()}={file}: other users may read or write it (mode {mode:04o})"
            yield Finding("secrets", "warning", detail, f"chmod 640 {file}, or 600")
        else:
            yield Finding("secrets", "ok", f"{file}, mode {mode:04o}")


def _written_folder(setting: str, folder: Path) -> Finding:
    variable = f"{ENV_PREFIX}{setting.upper()}"
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    remedy = f"make it writable for user {os.getuid()}, or set {variable} to another folder"
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except NotADirectoryError:
        return Finding(
            "folders", "error", f"{folder}: {existing} is a file", f"set {variable} to another folder"
        )
    except OSError as error:
        return Finding("folders", "error", f"{existing} cannot be written to ({error.strerror})", remedy)
    free = shutil.disk_usage(existing).free
    will_be = "" if existing == folder.absolute() else ", will be created"
    detail = f"{folder}{will_be}: {shown_bytes(free)} free"
    if free < LOW_BYTES:
        remedy = f"free some space, or set {variable} to a folder on a larger disk"
        return Finding("folders", "error" if free < TOO_LOW_BYTES else "warning", detail, remedy)
    return Finding("folders", "ok", detail)


async def check_access(settings: Settings) -> list[Finding]:
    """Check that an address that others can reach has a key; `serve` refuses it otherwise."""
    from sqlalchemy.exc import ArgumentError

    from app.bootstrap import active_key_exists
    from app.store.driver.connections import sqlite_file
    from app.store.schema.migrate import current, head

    if settings.server.listens_on_loopback:
        return []
    address = f"LOOKALIKE_HOST={settings.server.host}"
    if settings.access.insecure:
        detail = f"{address} with LOOKALIKE_INSECURE: anyone can use the service until a key is made"
        return [Finding("access", "warning", detail, "make a key: `lookalike keys create NAME --scope admin`")]
    try:
        migrations = settings.database.migrations_dir
        has_key = settings.access.read_bootstrap_admin_key() is not None
        file = sqlite_file(settings.resolved_database_url)
        if not has_key and (file is None or file.exists()):
            has_schema = current(settings.resolved_database_url, migrations) == head(migrations)
            has_key = has_schema and await active_key_exists(settings)
    except (LookalikeError, Misconfigured, ArgumentError, ValueError):
        return []  # reported with the database
    if has_key:
        return [Finding("access", "ok", f"{address} needs a key, and one exists")]
    detail = f"{address}: others can reach this address, and there is no key; `serve` refuses to start"
    return [Finding("access", "error", detail, "make a key: `lookalike keys create NAME --scope admin`")]
