"""Real servers start from a snapshot after a stop, a kill and damage, and map one file between them."""

import json
from pathlib import Path

import pytest

from tests.process.gallery import labelled_pictures, snapshots_of_codes
from tests.process.test_real_pictures import add_all, found, search


@pytest.fixture(scope="module")
def pictures():
    return labelled_pictures(60, 5)


def loaded(server) -> dict:
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    return next(line for line in lines if line["event"] == "index_loaded")


def answers(server, queries):
    with server.client() as http:
        return [found(search(http, query.content, limit=200)) for query in queries]


def mapped_snapshots(server) -> set[str]:
    """Inodes of the snapshots that a process has mapped."""
    lines = Path(f"/proc/{server.process.pid}/maps").read_text().splitlines()
    return {line.split()[4] for line in lines if line.endswith(".index")}


@pytest.mark.slow
def test_servers_start_from_a_snapshot_whatever_happened(start, pictures, tmp_path):
    gallery, queries = pictures
    first = start()
    with first.client() as http:
        add_all(http, gallery[:45])
    first.stop()
    [snapshot] = snapshots_of_codes(tmp_path / "data")

    second = start()
    assert (loaded(second)["source"], loaded(second)["unsaved"]) == ("snapshot", 0)
    assert mapped_snapshots(second) == set()
    with second.client() as http:
        add_all(http, gallery[45:])
        http.delete(f"/images/{gallery[3].name}")
        expected = answers(second, queries)
    second.kill()

    shared = {"LOOKALIKE_SHARE_INDEX_PAGES": "true"}
    third, fourth = start(env=shared), start(env=shared)
    assert loaded(third)["source"] == loaded(fourth)["source"] == "snapshot"
    assert loaded(third)["unsaved"] == 16
    assert answers(third, queries) == answers(fourth, queries) == expected
    assert mapped_snapshots(third) == mapped_snapshots(fourth) != set()
    third.stop()
    fourth.kill()

    content = bytearray(snapshot.read_bytes())
    content[-9] ^= 1
    snapshot.write_bytes(content)
    fifth = start()
    assert loaded(fifth)["source"] == "database"
    assert answers(fifth, queries) == expected
