"""Scratch folders: gone at the end, and swept when their process was killed, never while it lives."""

import os
import signal
import subprocess
import sys
import time

from app.images.leftovers import UNLOCKED_KEPT_S, scratch_folder, sweep_scratch

HOLDER = """
import sys, time
from pathlib import Path
from app.images.leftovers import scratch_folder
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
