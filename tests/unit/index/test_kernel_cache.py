"""Numba always finds a folder for its kernels."""

import os
from pathlib import Path

from app.index import kernel_cache
from app.index.kernel_cache import ensure_kernel_cache


def unwritable(folder):
    """A path below a plain file: nobody, not even root, can make a folder there."""
    plain = folder / "plain"
    plain.write_bytes(b"")
    return plain / "package"


def test_a_chosen_folder_stays_chosen(monkeypatch, tmp_path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "chosen"))

    ensure_kernel_cache(unwritable(tmp_path))

    assert os.environ["NUMBA_CACHE_DIR"] == str(tmp_path / "chosen")


def test_a_chosen_folder_that_is_not_writable_is_copied(monkeypatch, tmp_path):
    chosen = tmp_path / "chosen"
    (chosen / "index").mkdir(parents=True)
    (chosen / "index" / "kernel.nbi").write_bytes(b"compiled")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(chosen))
    monkeypatch.setattr(kernel_cache, "_is_writable", lambda _: False)

    ensure_kernel_cache(tmp_path)

    copy = Path(os.environ["NUMBA_CACHE_DIR"])
    assert copy != chosen
    assert (copy / "index" / "kernel.nbi").read_bytes() == b"compiled"


def test_a_writable_package_or_home_needs_no_other_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    ensure_kernel_cache(tmp_path / "package")
    ensure_kernel_cache(unwritable(tmp_path))

    assert os.environ["NUMBA_CACHE_DIR"] == ""


def test_a_process_that_can_write_nowhere_gets_a_private_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(unwritable(tmp_path)))

    ensure_kernel_cache(unwritable(tmp_path))

    folder = Path(os.environ["NUMBA_CACHE_DIR"])
    assert folder.is_dir()
    assert folder.stat().st_mode & 0o077 == 0
