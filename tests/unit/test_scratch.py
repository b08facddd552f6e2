"""Scratch folders: gone at the end, and swept when their process was killed, never while it lives."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import get_args

import pytest

from app import scratch
from app.scratch import UNLOCKED_KEPT_S, scratch_folder, sweep_scratch

HOLDER = """
import sys, time
from pathlib import Path
from app.scratch import scratch_folder
with scratch_folder(Path(sys.argv[1])) as folder:
    (folder / "large").write_bytes(b"x" * 1000)
    print(folder, flush=True)
    time.sleep(600)
"""


def age(folder) -> None:
    long_ago = time.time() - UNLOCKED_KEPT_S - 10
    os.utime(folder, (long_ago, long_ago))


def test_a_folder_is_gone_at_the_end(tmp_path):
    with scratch_folder(tmp_path / "new") as folder:
        (folder / "file").write_text("x")

    assert not folder.exists()


def test_what_a_killed_process_left_is_swept_and_what_a_living_one_uses_is_not(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    folder = type(tmp_path)(process.stdout.readline().strip())
    with process:
        age(folder)
        with scratch_folder(tmp_path) as own:
            age(own)
            assert sweep_scratch(tmp_path) == 0
            process.send_signal(signal.SIGKILL)
            process.wait()
            # At once: a restarted service does not wait for the folder to age.
            assert sweep_scratch(tmp_path) == 1

            assert own.exists()
    assert not folder.exists()


def test_a_folder_that_was_just_made_is_left_alone(tmp_path):
    (tmp_path / "new").mkdir()

    assert sweep_scratch(tmp_path) == 0
    age(tmp_path / "new")
    assert sweep_scratch(tmp_path) == 1


def test_a_folder_that_is_about_to_be_locked_is_left_alone(tmp_path):
    unlocked = tmp_path / "new-abc"
    unlocked.mkdir()
    (unlocked / ".lock").touch()

    assert sweep_scratch(tmp_path) == 0
    age(unlocked)
    assert sweep_scratch(tmp_path) == 1


def test_in_a_folder_of_others_only_locked_folders_with_the_prefix_are_swept(tmp_path):
    for name in ("ours-abandoned", "ours-without-lock", "theirs"):
        (tmp_path / name).mkdir()
        age(tmp_path / name)
    for name in ("ours-abandoned", "theirs"):
        (tmp_path / name / ".lock").touch()
    with scratch_folder(tmp_path, prefix="ours-") as own:
        assert sweep_scratch(tmp_path, prefix="ours-") == 1

        left = sorted(path.name for path in tmp_path.iterdir())
        assert left == sorted([own.name, "ours-without-lock", "theirs"])


def test_without_a_folder_there_is_nothing_to_sweep(tmp_path):
    assert sweep_scratch(tmp_path / "missing") == 0


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The folder for temporary files of the machine."""
    monkeypatch.setattr(scratch, "TEMPORARY", tmp_path)
    return tmp_path


@pytest.mark.parametrize("purpose", get_args(scratch.Purpose))
def test_temporary_folders_of_killed_processes_are_swept_and_those_in_use_are_not(temporary, purpose):
    left = temporary / f"lookalike-{purpose}-abc"
    left.mkdir()
    (left / ".lock").touch()
    with scratch.temporary_folder(purpose) as own:
        assert scratch.sweep_temporary() == 1

        assert list(temporary.iterdir()) == [own]


def test_a_temporary_folder_that_was_never_locked_is_swept_once_it_is_old(temporary):
    unlocked, foreign = temporary / "lookalike-kernels-new-abc", temporary / "lookalike-pictures-new-abc"
    unlocked.mkdir()
    foreign.mkdir()

    assert scratch.sweep_temporary() == 0
    age(unlocked)
    age(foreign)
    assert scratch.sweep_temporary() == 1
    assert list(temporary.iterdir()) == [foreign]


def test_one_sweep_lists_the_folder_once_and_examines_only_its_own(temporary, monkeypatch):
    for i in range(20):
        (temporary / f"foreign-{i}").mkdir()
    listed, examined = [], []
    iterdir, lstat = Path.iterdir, Path.lstat
    monkeypatch.setattr(Path, "iterdir", lambda path: listed.append(path) or iterdir(path))
    monkeypatch.setattr(Path, "lstat", lambda path: examined.append(path) or lstat(path))

    assert scratch.sweep_temporary() == 0
    assert listed == [temporary]
    assert examined == []


def test_a_folder_of_another_user_is_left_alone(temporary, monkeypatch):
    (temporary / "lookalike-kernels-abc").mkdir()
    (temporary / "lookalike-kernels-abc" / ".lock").touch()
    monkeypatch.setattr(scratch.os, "getuid", lambda: 1 << 30)

    assert scratch.sweep_temporary() == 0
