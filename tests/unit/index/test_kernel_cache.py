"""Numba always finds a folder for its kernels, which only the same sources use."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from app import scratch
from app.index import kernel_cache
from app.index.kernel_cache import ensure_kernel_cache, remove_outdated


def unwritable(folder):
    """A path below a plain file: nobody, not even root, can make a folder there."""
    plain = folder / "plain"
    plain.write_bytes(b"")
    return plain / "package"


def cache() -> Path:
    return Path(os.environ["NUMBA_CACHE_DIR"])


def test_a_chosen_folder_holds_the_kernels(monkeypatch, tmp_path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "chosen"))

    ensure_kernel_cache(unwritable(tmp_path))

    assert cache().parent == tmp_path / "chosen"


def test_a_child_process_uses_the_folder_of_its_parent(monkeypatch, tmp_path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "chosen"))
    ensure_kernel_cache(tmp_path)
    of_parent = cache()

    ensure_kernel_cache(tmp_path)

    assert cache() == of_parent


def test_a_chosen_folder_that_is_not_writable_is_copied(monkeypatch, tmp_path):
    chosen = tmp_path / "chosen"
    (chosen / "kernels" / "index").mkdir(parents=True)
    (chosen / "kernels" / "index" / "kernel.nbi").write_bytes(b"compiled")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(chosen))
    monkeypatch.setattr(kernel_cache, "_is_writable", lambda _: False)

    ensure_kernel_cache(tmp_path)

    copy = cache().parent
    assert copy != chosen
    assert (copy / "kernels" / "index" / "kernel.nbi").read_bytes() == b"compiled"


def test_a_writable_package_or_home_needs_no_other_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    monkeypatch.setenv("NUMBA_CACHE_DIR", "")
    ensure_kernel_cache(tmp_path / "package")
    assert cache().parent == tmp_path / "package" / "__pycache__"

    monkeypatch.setenv("NUMBA_CACHE_DIR", "")
    ensure_kernel_cache(unwritable(tmp_path))
    assert cache().parent == tmp_path / "cache" / "numba"


def test_a_private_folder_is_in_use_until_its_process_ends(monkeypatch, tmp_path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(unwritable(tmp_path)))
    monkeypatch.setattr(scratch, "TEMPORARY", tmp_path)
    at_exit = []
    monkeypatch.setattr(kernel_cache.atexit, "register", at_exit.append)

    ensure_kernel_cache(tmp_path / "plain" / "package")

    assert scratch.sweep_temporary() == 0
    assert cache().parent.is_dir()
    at_exit.pop()()
    assert not cache().parent.exists()


def test_a_process_that_can_write_nowhere_gets_a_private_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(unwritable(tmp_path)))

    ensure_kernel_cache(unwritable(tmp_path))

    private = cache().parent
    assert private.is_dir()
    assert private.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("changed", ["index/distance_kernels.py", "domain/codes.py"])
def test_changed_sources_get_a_folder_of_their_own(monkeypatch, tmp_path, changed):
    app = tmp_path / "app"
    for name in ("index", "domain"):
        shutil.copytree(kernel_cache.PACKAGE.parent / name, app / name, ignore=lambda *_: ["__pycache__"])
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "kernels"))
    ensure_kernel_cache(app / "index")
    before = cache()

    with (app / changed).open("a") as source:
        source.write("\n")
    ensure_kernel_cache(app / "index")

    assert cache() != before
    assert cache().parent == before.parent


_SEARCH = """
import numpy as np
from app.index.collection_index import CollectionIndex
index = CollectionIndex(64)
index.load(np.arange(2), np.zeros((2, 1), np.uint64), 0)
print(index.view().search(np.zeros(1, np.uint64), 1).distances.tolist())
"""


@pytest.mark.slow
def test_a_search_after_an_upgrade_uses_the_new_code_of_functions_that_kernels_call(tmp_path):
    shutil.copytree(
        kernel_cache.PACKAGE.parent, tmp_path / "app", ignore=shutil.ignore_patterns("__pycache__", "*.onnx")
    )
    environment = os.environ | {
        "NUMBA_CACHE_DIR": str(tmp_path / "kernels"),
        "PYTHONPATH": str(tmp_path),
    }

    def distances() -> str:
        command = [sys.executable, "-P", "-c", _SEARCH]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True
        ).stdout.strip()

    assert distances() == "[0]"
    # The scan that calls this function stays as it is.
    source = tmp_path / "app" / "index" / "distance_kernels.py"
    old = "out[i] = popcount(column[i] ^ query)"
    text = source.read_text()
    assert text.count(old) == 1
    source.write_text(text.replace(old, "out[i] = popcount(column[i] ^ query) + np.uint64(5)"))

    assert distances() == "[5]"


def test_kernels_of_old_sources_are_removed(monkeypatch, tmp_path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    ensure_kernel_cache()
    old, recent, foreign = (tmp_path / name for name in ("kernels-" + "0" * 16, "kernels-" + "1" * 16, "index"))
    for folder in (old, recent, foreign):
        folder.mkdir()
    for folder in (old, foreign, cache()):
        os.utime(folder, (0, 0))

    remove_outdated()

    assert sorted(tmp_path.iterdir()) == sorted([cache(), recent, foreign])
