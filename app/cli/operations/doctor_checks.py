"""The checks of ``lookalike doctor``: each looks at one part of a set-up and changes nothing."""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit
from urllib.request import url2pathname

from app import __version__
from app.cli.serving.ports import check_address
from app.cli.terminal.output import shown_bytes
from app.cli.terminal.service_record import running_services, stale_records
from app.cli.terminal.settings import check_database, misspelt, names_data_dir
from app.domain.errors import (
    DatabaseUnavailable,
    ForeignDatabase,
    IndexUnavailable,
    LookalikeError,
    SchemaTooNew,
)
from app.settings import ENV_PREFIX, SETTING_NAMES, Misconfigured, Settings
from app.settings.base import displayed
from app.settings.locations import earlier_data_notice
from lookalike_client import AsyncClient, ServiceError

LOW_BYTES: Final = 2_000_000_000
TOO_LOW_BYTES: Final = 200_000_000
"""Free disk space below which the set-up needs attention, or cannot take pictures."""
LOW_MEMORY_BYTES: Final = 500_000_000
CLOCK_DIFFERENCE_S: Final = 2.0
PROBE_S: Final = 10.0
KERNELS_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found."""

    check: str
    status: Literal["ok", "warning", "error"]
    detail: str
    remedy: str | None = None
    """What to do; None if all is well."""


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
                findings.append(_misconfigured("settings", error))
                if not _unset(error.variable):
                    raise
    try:
        settings.access.read_bootstrap_admin_key()
    except Misconfigured as error:
        findings.append(_misconfigured("settings", error))
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


def _misconfigured(check: str, error: Misconfigured) -> Finding:
    return Finding(check, "error", f"{error.variable}={error.value}", error.remedy)


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
            yield Finding("folders", "error", detail, "name a folder that exists, or install Lookalike again")
    notice = None if names_data_dir(os.environ) else earlier_data_notice(storage.data_dir)
    if notice is not None:
        detail, _, remedy = notice.partition("; ")
        yield Finding("folders", "warning", detail, remedy)


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


def check_schema(settings: Settings) -> Iterator[Finding]:
    """Check that the database answers, is ours and has a schema that this version knows."""
    from app.store.driver.connections import sqlite_file
    from app.store.schema.migrate import clock_difference_s, current, head

    try:
        address = check_database(settings)
    except Misconfigured as error:
        yield _misconfigured("database", error)
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


def check_models(settings: Settings) -> Iterator[Finding]:
    """Verify the shipped models by checksum, and run the default one on its canary."""
    from app.encoding.artifact import MANIFEST, load_artifact
    from app.encoding.encoder import OnnxEncoder

    folder = settings.models.artifacts_dir
    names = sorted(path.parent.name for path in folder.glob(f"*/{MANIFEST}"))
    remedy = "restore the folder: `git checkout model_artifacts` in a checkout, else install Lookalike again"
    verified = {}
    for name in names:
        try:
            verified[name] = load_artifact(folder / name)
        except LookalikeError as error:
            yield Finding("models", "error", error.detail, remedy)
    if verified:
        yield Finding("models", "ok", f"verified by checksum: {', '.join(verified)}")
    default = settings.models.default_model
    if default not in names:
        shipped = ", ".join(names) or "none"
        detail = f"LOOKALIKE_DEFAULT_MODEL={default}: it is not in {folder}"
        yield Finding(
            "models",
            "warning" if names else "error",
            detail,
            f"name a model of this folder ({shipped}), or one trained here",
        )
    elif default in verified:
        try:
            OnnxEncoder(verified[default], threads=1)
        except LookalikeError as error:
            yield Finding("models", "error", error.detail, remedy)
        else:
            yield Finding("models", "ok", f"{default} reproduces its canary")


def check_kernels() -> Iterator[Finding]:
    """Compile the search kernels, or load them from the cache, and compare a search with a plain count."""
    from app.index.kernel_cache import kernel_cache

    remedy = "set NUMBA_CACHE_DIR to a writable folder; if it goes on, install the pinned versions again"
    start = time.monotonic()
    # In a child, as the service does: the memory of the compiler is never freed.
    command = [sys.executable, "-P", "-m", "app.index.warm_up"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=KERNELS_S)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        yield Finding("kernels", "error", f"the compiler did not run: {error}", remedy)
        return
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        yield Finding("kernels", "error", f"the search kernels do not compile: {last}", remedy)
        return
    took = time.monotonic() - start
    yield Finding("kernels", "ok", f"compiled and cached in {kernel_cache().parent} ({took:,.1f} s)")


def check_decoding(settings: Settings) -> Iterator[Finding]:
    """Decode a picture in a decoding process."""
    from app.images.decode import Decoder
    from app.images.sniff import Limits
    from app.samples import samples

    decoder = Decoder(Limits(), children=1, timeout_s=settings.decoding.decode_timeout_s)
    try:
        decoder.decode(next(iter(samples())).read())
    except LookalikeError as error:
        remedy = (
            "raise the limits of processes and memory of this user or container, or LOOKALIKE_DECODE_TIMEOUT_S"
        )
        yield Finding("decoding", "error", f"a sample picture cannot be decoded: {error.detail}", remedy)
    else:
        yield Finding("decoding", "ok", "a sample picture is decoded in a process of its own")
    finally:
        decoder.close()


def check_memory() -> Iterator[Finding]:
    """Check the free memory of the machine or the container."""
    from app.services.operations.capacity import free_memory_bytes

    free = free_memory_bytes()
    if free is None:
        return
    detail = f"{shown_bytes(free)} free"
    if free < LOW_MEMORY_BYTES:
        yield Finding(
            "memory", "warning", detail, "end other programs, or raise the memory limit of the container"
        )
    else:
        yield Finding("memory", "ok", detail)


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
        yield _misconfigured("engine", error)
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


def check_clock() -> Iterator[Finding]:
    """Check that the clock is not before the time at which Lookalike was installed."""
    installed = max(path.stat().st_mtime for path in Path(__file__).parents[2].glob("*.py"))
    now = time.time()
    shown = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(now)) + " UTC"
    if now < installed - 86_400:
        yield Finding(
            "clock",
            "error",
            f"{shown} is before the time at which Lookalike was installed",
            "set the clock, for example by NTP",
        )
    else:
        yield Finding("clock", "ok", shown)


async def check_service(settings: Settings, key: str | None) -> list[Finding]:
    """Check the services that run on the data folder; without one, that the port is free."""
    findings = [
        Finding(
            "service",
            "warning",
            f"{path} was left by a service that was killed",
            "none needed: the next start removes it",
        )
        for path in stale_records(settings.storage.data_dir)
    ]
    running = running_services(settings.storage.data_dir)
    for service in running:
        where = f"{service.url} (pid {service.pid})"
        if service.version != __version__:
            detail = f"{where} runs version {service.version}, this is {__version__}"
            findings.append(Finding("service", "warning", detail, "restart the service"))
        async with AsyncClient(service.url, key=key or "", timeout_s=PROBE_S, retries=0) as client:
            findings += await _look_at(client, where)
    if not running:
        try:
            check_address(settings.server.host, settings.server.port)
        except Misconfigured as error:
            findings.append(_misconfigured("port", error))
        else:
            findings.append(Finding("port", "ok", f"{settings.server.host}:{settings.server.port} is free"))
        findings.append(Finding("service", "ok", "none runs on the data folder; `lookalike serve` starts one"))
    return findings


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
        return [Finding("access", "ok", f"{address} needs a key, and there is one")]
    detail = f"{address}: others can reach this address, and there is no key; `serve` refuses to start"
    return [Finding("access", "error", detail, "make a key: `lookalike keys create NAME --scope admin`")]


async def check_remote(url: str, key: str | None) -> list[Finding]:
    """Check the service at an address."""
    async with AsyncClient(url, key=key or "", timeout_s=PROBE_S, retries=0) as client:
        return await _look_at(client, url)


async def _look_at(client: AsyncClient, where: str) -> list[Finding]:
    try:
        info = await client.get_info()
    except ServiceError as error:
        return [_no_answer(where, error)]
    findings = [Finding("service", "ok", f"{where} answers: version {info.version}, {info.images:,} pictures")]
    if info.starting is not None:
        detail = f"{where} is starting ({info.starting.phase})"
        findings.append(Finding("service", "warning", detail, "wait until it prints that it is ready"))
    return findings + await _without_worker(client)


async def _without_worker(client: AsyncClient) -> list[Finding]:
    """Return a warning if no worker runs; nothing if the key may not ask."""
    try:
        processes = (await client.get_system()).processes
    except ServiceError:
        return []
    if any(process.kind == "worker" for process in processes):
        return []
    remedy = "start `lookalike worker`, or the service with --worker"
    return [Finding("worker", "warning", "no worker runs: imports, backups and training wait", remedy)]


def _no_answer(where: str, error: ServiceError) -> Finding:
    if error.status == 401:
        return Finding(
            "service", "warning", f"{where} needs a key: {error.detail}", "set LOOKALIKE_KEY to a valid key"
        )
    if error.status == 0:
        remedy = "start the service, correct the address (LOOKALIKE_URL), or look for a firewall in between"
        return Finding("service", "error", error.detail, remedy)
    return Finding(
        "service", "error", f"{where} answers with {error.status}: {error.detail}", "see the service's log"
    )
