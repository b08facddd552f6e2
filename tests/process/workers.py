"""Worker processes that tests kill and freeze, and imports for them to do."""

import hashlib
import io
import itertools
import json
import os
import signal
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.fixtures.forked import COMMAND, ForkedProcess, fork_module
from tests.process.gallery import Labelled, labelled_pictures

QUICK = {
    "LOOKALIKE_DEFAULT_MODEL": "paper-32",
    "LOOKALIKE_JOB_LEASE_S": "1",
    "LOOKALIKE_JOB_POLL_S": "0.05",
    # The tests wait for the workers, beside other tests.
    "LOOKALIKE_WORKER_NICE": "0",
    "LOOKALIKE_DECODE_CHILDREN": "1",
    "LOOKALIKE_LOG_FORMAT": "json",
}
"""The smallest model and short leases: these tests are about who writes what, not about codes."""
DRAWN = 52
"""Pictures that look different, of any number of distinct ones."""


@dataclass
class Worker:
    """A ``lookalike worker`` process, or one of a test's own that does the same and fails on purpose."""

    process: ForkedProcess
    log: Path

    def events(self, name: str) -> list[dict]:
        lines = self.log.read_text().splitlines()
        return [line for line in map(_parsed, lines) if line.get("event") == name]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    @property
    def is_frozen(self) -> bool:
        return Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"


def _parsed(line: str) -> dict:
    try:
        return json.loads(line)
    except ValueError:
        return {}


@contextmanager
def workers(data_dir: Path, env: dict[str, str]) -> Iterator[Callable[..., Worker]]:
    """Starts workers on a data folder; whatever they are in, they end with the block."""
    started: list[Worker] = []

    def start(*command: str) -> Worker:
        log = data_dir / f"worker-{len(started)}.log"
        environment = {**os.environ, **QUICK, "LOOKALIKE_DATA_DIR": str(data_dir), **env}
        with log.open("wb") as sink:
            process = fork_module(*(command or (COMMAND, "worker")), env=environment, stderr=sink)
        started.append(Worker(process, log))
        return started[-1]

    try:
        yield start
    finally:
        for worker in started:
            worker.kill()


def wait_for(claim: Callable[[], object], within_s: float = 180.0, every_s: float = 0.02):
    """The first true value of ``claim()``."""
    end = time.monotonic() + within_s
    while not (value := claim()):
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(every_s)
    return value


def distinct_pictures(count: int) -> list[Labelled]:
    """Pictures no two of which are the same file.

    Some drawn ones look the same: these tests are about files, and drawing takes longer than importing.
    """
    has_real_ones = "LOOKALIKE_TEST_DATA_DIR" in os.environ
    drawn, _ = labelled_pictures(count if has_real_ones else min(count, DRAWN), 0)
    return [
        replace(picture, name=f"{picture.name}-{number}", content=_with_comment(picture.content, number))
        for number, picture in enumerate(itertools.islice(itertools.cycle(drawn), count))
    ]


def _with_comment(jpeg: bytes, number: int) -> bytes:
    """The same picture in another file: a comment stands behind the start marker."""
    comment = f"copy {number}".encode()
    return jpeg[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + jpeg[2:]


def zip_of(pictures: list[Labelled]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for picture in pictures:
            archive.writestr(f"{picture.label}/{picture.name}.jpg", picture.content)
    return out.getvalue()


def start_import(http, content: bytes) -> str:
    answer = http.post("/index", files={"archive": ("pictures.zip", content)})
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


def check_each_once(http, job_id: str, pictures: list[Labelled], store: Path) -> None:
    """Every picture was imported once, its bytes are whole, and nothing else was written.

    A worker must be alive: it gives the upload back after it has said that the job is over.
    """
    job = http.get(f"/jobs/{job_id}").json()
    assert (job["status"], job["counts"]) == ("succeeded", {"created": len(pictures)}), job
    assert job["progress"]["done"] == job["progress"]["total"] == len(pictures)
    items = _all(http, f"/jobs/{job_id}/items")
    assert [item["position"] for item in items] == list(range(len(pictures)))
    expected = {f"sha256:{hashlib.sha256(picture.content).hexdigest()}" for picture in pictures}
    ids = [image["id"] for image in _all(http, "/images")]
    assert len(ids) == len(set(ids))
    assert set(ids) == expected == {item["id"] for item in items}
    assert http.get("/info").json()["images"] == len(pictures)
    # Besides these, a killed process leaves at most what it was writing, in `incoming`, until it is swept. The
    # sweep marks the store.
    assert {path.name for path in store.iterdir()} <= {"pictures", "staging", "incoming", ".parts-removed"}
    files = [path for path in (store / "pictures").rglob("*") if path.is_file()]
    assert {f"sha256:{path.name}" for path in files} == expected
    assert all(hashlib.sha256(path.read_bytes()).hexdigest() == path.name for path in files)
    wait_for(lambda: not list((store / "staging").iterdir()))


def _all(http, path: str) -> list[dict]:
    items, cursor = [], None
    while True:
        page = http.get(path, params={"limit": 1000, **({"cursor": cursor} if cursor else {})}).json()
        items += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return items
