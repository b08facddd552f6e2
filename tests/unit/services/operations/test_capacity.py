"""How much memory is free on the machine and in its container."""

import pytest

from app.services.operations.capacity import free_memory_bytes, index_bytes_of


@pytest.mark.parametrize(
    ("limit", "used", "free"),
    [
        ("max", "1", 2_048_000),
        ("1000000", "400000", 600_000),
        ("100", "200", 0),
        ("9000000000", "0", 2_048_000),
    ],
)
def test_a_container_may_take_no_more_than_its_limit(tmp_path, limit, used, free):
    (tmp_path / "meminfo").write_text("MemTotal:  8000 kB\nMemAvailable:  2000 kB\n")
    (tmp_path / "memory.max").write_text(limit)
    (tmp_path / "memory.current").write_text(used)

    assert free_memory_bytes(tmp_path / "meminfo", tmp_path) == free


def test_a_system_that_does_not_tell_is_not_guessed(tmp_path):
    assert free_memory_bytes(tmp_path / "none", tmp_path) is None


def test_a_picture_takes_memory_for_its_code_and_for_its_perceptual_hash():
    assert (index_bytes_of(64), index_bytes_of(256)) == (58, 82)
