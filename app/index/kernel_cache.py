"""Choose where compiled kernels are cached between starts; must run before numba is imported."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

PACKAGE: Final = Path(__file__).parent


def ensure_kernel_cache(package: Path = PACKAGE) -> None:
    """Give numba a private cache folder for this process if it would find no writable one.

    Numba caches kernels in ``NUMBA_CACHE_DIR``, else beside the source, else below the user's cache folder, and
    fails if it cannot write there, as in a read-only container without a home directory. The private folder
    starts with a copy of what ``NUMBA_CACHE_DIR`` holds, so that an image can contain its kernels. Its name is
    random, because the cache holds code and others may write to temporary directories.
    """
    if writable_cache(package) is not None:
        return
    folder = Path(tempfile.mkdtemp(prefix="lookalike-kernels-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    given = os.environ.get("NUMBA_CACHE_DIR")
    if given and Path(given).is_dir():
        shutil.copytree(given, folder, dirs_exist_ok=True)
    os.environ["NUMBA_CACHE_DIR"] = str(folder)


def writable_cache(package: Path = PACKAGE) -> Path | None:
    """The folder that numba will use, made if necessary; None if it would find no writable one."""
    given = os.environ.get("NUMBA_CACHE_DIR")
    folders = [Path(given)] if given else [package / "__pycache__", _user_cache()]
    return next((folder for folder in folders if _is_writable(folder)), None)


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
