"""Choose where compiled kernels are cached between starts; must run before numba is imported."""

import atexit
import hashlib
import os
import re
import shutil
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from app.scratch import temporary_folder

PACKAGE: Final = Path(__file__).parent
OUTDATED_AFTER_S: Final = 30 * 86_400
"""Age in seconds after which the kernels of other sources are removed."""

_NAME: Final = re.compile(r"kernels-[0-9a-f]{16}")


def ensure_kernel_cache(package: Path = PACKAGE) -> None:
    """Set ``NUMBA_CACHE_DIR`` to a writable folder that only these sources use.

    Numba compares a cached kernel with the file that defines it, but not with the files of the functions and
    constants that it uses. After an upgrade that changes only those, it would run the old code. So each state
    of the sources has a folder: in ``NUMBA_CACHE_DIR``, else beside the source, else in the user's cache.

    If none is writable, as in a read-only container without a home directory, this process gets a private
    folder with a copy of what ``NUMBA_CACHE_DIR`` holds, so that an image can contain its kernels. Its name is
    random, because the cache holds code and others may write to temporary directories.
    """
    name = f"kernels-{_source_digest(package)}"
    given = _given()
    folders = [given] if given else [package / "__pycache__", _user_cache()]
    cache = next((folder / name for folder in folders if _is_writable(folder / name)), None)
    if cache is None:
        until_exit = ExitStack()
        private = until_exit.enter_context(temporary_folder("kernels"))
        atexit.register(until_exit.close)
        if given and given.is_dir():
            shutil.copytree(given, private, dirs_exist_ok=True)
        cache = private / name
    os.environ["NUMBA_CACHE_DIR"] = str(cache)


def kernel_cache() -> Path:
    """Return the folder that ``ensure_kernel_cache`` has chosen, created if necessary.

    Raises:
        OSError: The folder cannot be created any more.
    """
    folder = Path(os.environ["NUMBA_CACHE_DIR"])
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def remove_outdated() -> None:
    """Remove the kernels of sources that have not been in use for ``OUTDATED_AFTER_S`` seconds."""
    current = kernel_cache()
    for folder in current.parent.iterdir():
        is_old = folder.stat().st_mtime < time.time() - OUTDATED_AFTER_S
        if folder != current and _NAME.fullmatch(folder.name) and is_old:
            shutil.rmtree(folder, ignore_errors=True)


def _given() -> Path | None:
    """Return the folder in ``NUMBA_CACHE_DIR``, without the part that a parent process has added."""
    text = os.environ.get("NUMBA_CACHE_DIR")
    if not text:
        return None
    folder = Path(text)
    return folder.parent if _NAME.fullmatch(folder.name) else folder


def _source_digest(package: Path) -> str:
    """Return a digest of every file whose functions and constants are compiled into kernels."""
    digest = hashlib.sha256()
    for source in (*sorted(package.glob("*.py")), package.parent / "domain" / "codes.py"):
        if source.is_file():
            digest.update(f"{source.name} {source.stat().st_size}\n".encode())
            digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def _user_cache() -> Path:
    home = Path(os.environ.get("HOME", "/nonexistent"))
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "numba"


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
