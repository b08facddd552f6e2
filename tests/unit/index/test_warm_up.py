"""Only one process at a time compiles the kernels."""

import subprocess
import sys

import pytest

from app.index import warm_up
from app.index.kernel_cache import ensure_kernel_cache


@pytest.fixture
def empty_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    ensure_kernel_cache()


_HOLD = """
import sys
from app.index.warm_up import _one_compiler
with _one_compiler("all"):
    print("compiling", flush=True)
    sys.stdin.read()
"""


@pytest.mark.slow
def test_a_second_process_waits_for_the_first(empty_cache):
    with subprocess.Popen(
        [sys.executable, "-P", "-c", _HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout.readline() == "compiling\n"
        with subprocess.Popen(
            [sys.executable, "-P", "-c", _HOLD], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        ) as second:
            with pytest.raises(subprocess.TimeoutExpired):
                second.wait(1.0)
            first.communicate("")
            assert second.communicate()[0] == "compiling\n"


def test_what_another_process_compiled_meanwhile_is_not_compiled_again(empty_cache, monkeypatch):
    compiled = []
    monkeypatch.setattr(warm_up, "warm_up_search", warm_up.record_all_cached)
    monkeypatch.setattr(warm_up, "warm_up", lambda: compiled.append(1))
    monkeypatch.setattr(warm_up.os, "nice", lambda _: None)
    monkeypatch.setattr(sys, "argv", ["warm_up"])

    warm_up.main()

    assert warm_up.all_cached()
    assert compiled == []


def test_the_record_is_of_one_processor(empty_cache, monkeypatch):
    warm_up.record_all_cached()
    assert warm_up.all_cached()

    monkeypatch.setenv("NUMBA_CPU_NAME", "another")

    assert not warm_up.all_cached()


def test_a_file_system_without_locks_does_not_keep_from_compiling(empty_cache, monkeypatch):
    def refuse(*_):
        raise OSError("no locks available")

    monkeypatch.setattr(warm_up.fcntl, "flock", refuse)
    with warm_up._one_compiler("all"):
        pass
