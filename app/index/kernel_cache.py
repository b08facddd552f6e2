"""Choose where compiled kernels are cached between starts; must run before numba is imported."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path


def ensure_kernel_cache(package: Path = Path(__file__).parent) -> None:
    """Give numba a private cache folder for this process if it would find no writable one.

    Numba caches kernels beside the source, else below the user's cache folder, else refuses to import them. A
    read-only image run by a user without a home directory would fail that way; with the private folder it
    compiles at each start, some fifteen seconds of CPU before ``/readyz``. Set ``NUMBA_CACHE_DIR`` to a volume
    to avoid this. The folder name is random, since the cache holds code and others may write to temporary
    directories.
    """
    if (
        os.environ.get("NUMBA_CACHE_DIR")
        or _is_writable(package / "__pycache__")
        or _is_writable(_user_cache())
    ):
        return
    folder = tempfile.mkdtemp(prefix="lookalike-kernels-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["NUMBA_CACHE_DIR"] = folder


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
