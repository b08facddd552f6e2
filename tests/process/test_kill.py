"""kill -9 at any moment: what was acknowledged is there, once; what was not is whole or absent."""

import json
import os
import signal
import threading
from pathlib import Path

import httpx2
import pytest

from tests.process.gallery import labelled_pictures
from tests.process.test_real_pictures import search
from tests.process.workers import wait_for

pytestmark = pytest.mark.slow

KILLS = 25 if os.environ.get("LOOKALIKE_SOAK") else 1


@pytest.fixture(scope="module")
def pictures():
    return labelled_pictures(400 if KILLS > 1 else 60, 1)[0]


def write_until_killed(url: str, batches, acknowledged: list[str]) -> None:
    """Send batches one after the other; note the ids of each that was answered."""
    with httpx2.Client(base_url=url, timeout=30) as http:
        for batch in batches:
            try:
                answer = http.post(
                    "/index",
                    files=[("files", (p.name, p.content)) for p in batch],
                    data={"ids": json.dumps([p.name for p in batch])},
                )
            except httpx2.HTTPError:
                return
            if answer.status_code in {200, 201}:
                acknowledged += [item["id"] for item in answer.json()["items"] if item["error"] is None]


def listed(http) -> list[str]:
    ids, cursor = [], None
    while True:
        page = http.get("/images", params={"limit": 500, **({"cursor": cursor} if cursor else {})}).json()
        ids += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            return ids


@pytest.mark.timeout(900)
def test_a_killed_server_keeps_what_it_acknowledged(start, pictures, tmp_path):
    acknowledged: list[str] = []
    batches = iter([pictures[i : i + 5] for i in range(0, len(pictures), 5)])
    for round_number in range(KILLS):
        server = start()
        seen = len(acknowledged)
        writer = threading.Thread(target=write_until_killed, args=(server.url, batches, acknowledged))
        writer.start()
        # Kill in the middle of writing: after a different number of acknowledged pictures each time.
        while writer.is_alive() and len(acknowledged) < seen + 5 + 7 * round_number % 30:
            writer.join(0.005)
        server.kill()
        writer.join()

    server = start()
    with server.client() as http:
        ids = listed(http)
        assert len(ids) == len(set(ids))
        assert set(acknowledged) <= set(ids)
        assert http.get("/info").json()["images"] == len(ids)
        by_name = {p.name: p for p in pictures}
        for image_id in ids[:: max(1, len(ids) // 25)]:
            assert http.get(f"/images/{image_id}/content").content == by_name[image_id].content
            assert image_id in search(http, by_name[image_id].content)["exact_matches"]
    assert not list(Path(tmp_path / "data").rglob("*.tmp"))


def test_sigterm_ends_the_server_and_its_children(start, pictures):
    server = start()
    with server.client() as http:
        search(http, pictures[0].content)
    pids = children_of(server.process.pid)

    # After its clean shutdown the server ends by the signal itself, as a supervisor expects.
    assert server.stop() in {0, -signal.SIGTERM}

    assert pids
    assert [pid for pid in pids if _is_running(pid)] == []


def test_a_killed_server_leaves_no_children(start, pictures):
    server = start()
    with server.client() as http:
        search(http, pictures[0].content)
    pids = children_of(server.process.pid)
    assert pids

    server.process.send_signal(signal.SIGKILL)
    server.process.wait()

    wait_for(lambda: not any(_is_running(pid) for pid in pids))


def children_of(pid: int) -> list[int]:
    """Processes that any thread of ``pid`` has started."""
    listed = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for path in listed for child in path.read_text().split()]


def _is_running(pid: int) -> bool:
    """Whether the process exists and is no zombie that only waits for its parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
