"""Check that models, search kernels and decoding work on this machine."""

import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Final

from app.cli.operations.checks.finding import Finding
from app.cli.terminal.settings import check_database
from app.domain.errors import LookalikeError
from app.settings import Misconfigured, Settings

KERNELS_S: Final = 600.0


def check_models(settings: Settings) -> Iterator[Finding]:
    """Verify the shipped models by checksum, and run the default one on its canary."""
    from app.encoding.artifact import MANIFEST, load_artifact
    from app.encoding.encoder import OnnxEncoder

    folder = settings.models.artifacts_dir
    names = sorted(path.parent.name for path in folder.glob(f"*/{MANIFEST}"))
    remedy = "restore the folder: `git checkout model_artifacts` in a checkout, otherwise reinstall Lookalike"
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


async def check_text_towers(settings: Settings) -> list[Finding]:
    """Check that the package for texts is installed if a registered model has a text tower."""
    from sqlalchemy.exc import ArgumentError

    from app.bootstrap import registered_models
    from app.encoding.text_tower import EXTRA, has_tokenizers
    from app.store.driver.connections import sqlite_file
    from app.store.schema.migrate import current, head

    try:
        check_database(settings)
        url, migrations = settings.resolved_database_url, settings.database.migrations_dir
        file = sqlite_file(url)
        is_missing = not migrations.is_dir() or (file is not None and not file.exists())
        if is_missing or current(url, migrations) != head(migrations):
            return []
        towers = [model.name for model in await registered_models(settings) if model.words == "text tower"]
    except (LookalikeError, Misconfigured, ArgumentError, ValueError):
        return []  # reported with the database
    if not towers:
        return []
    names = ", ".join(towers)
    if has_tokenizers():
        return [Finding("models", "ok", f"text towers can be run: {names}")]
    detail = f"{names}: searches by words need the package tokenizers, which is not installed"
    return [Finding("models", "error", detail, f"run `pip install '{EXTRA}'` and restart the service")]


def check_kernels() -> Iterator[Finding]:
    """Compile the search kernels, or load them from the cache, and compare a search with a plain count."""
    from app.index.kernel_cache import kernel_cache

    remedy = "set NUMBA_CACHE_DIR to a writable folder; if the error persists, reinstall the pinned versions"
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
        yield Finding("decoding", "ok", "a sample picture was decoded in a separate process")
    finally:
        decoder.close()
