"""A folder that cannot be written to is named before anything relies on it."""

from pathlib import Path

import pytest

from app.domain.errors import FolderNotWritable
from app.images.folders import make_writable


def test_a_folder_is_made_and_left_empty(tmp_path):
    make_writable(tmp_path / "a" / "b")
    make_writable(tmp_path / "a" / "b")

    assert list((tmp_path / "a" / "b").iterdir()) == []


@pytest.mark.parametrize("place", ["data", "data/below"])
def test_a_file_in_the_place_of_a_folder_is_named_with_what_to_do(tmp_path, place):
    (tmp_path / "data").write_text("a file")

    with pytest.raises(FolderNotWritable, match=f"{tmp_path}/{place} cannot be written to.*for user"):
        make_writable(tmp_path / place)


def test_a_file_system_that_takes_no_files_is_named():
    with pytest.raises(FolderNotWritable, match="/proc/self cannot be written to"):
        make_writable(Path("/proc/self"))
