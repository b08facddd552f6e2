"""Run the service for hours at a steady pace of mixed requests, and measure what grows.

A server with a worker runs on a fresh folder. Clients search, add, change, delete, import and read, and send
uploads that must be refused. Once a minute the script samples every process of the service (resident memory,
file descriptors, sockets, threads) and its folders (files, bytes). The summary gives the growth of memory after
the first ten minutes as a regression line, and the first and last of the other figures. Any status that an
operation should not get is a failure, and the script then exits with 1.

    python benchmarks/soak.py [--seconds 7200] [--pace 4] [--json FILE] [--csv FILE]
"""

import argparse
import asyncio
import contextlib
import csv
import itertools
import json
import os
import random
import signal
import stat
import sys
import tempfile
import time
import zipfile
from collections import Counter, defaultdict, deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import httpx2
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.load import server  # noqa: E402
from tools.sample_gallery import draw_gallery  # noqa: E402

CLIENTS: Final = 8
LIVE: Final = 200
"""Most pictures that the clients have added and not deleted yet."""
IMPORT_INTERVAL_S: Final = 300.0
IMPORTED: Final = 20
"""Pictures of an archive."""
WARM_UP_S: Final = 600.0
SAMPLE_S: Final = 60.0


@dataclass(frozen=True)
class Sample:
    """Figures of the service at one time."""

    at_s: float
    mb_of: Mapping[str, float]
    """Resident memory of each process, by its role and process id."""
    mb: float
    private_mb: float
    """Memory that no other process shares."""
    processes: int
    descriptors: int
    sockets: int
    threads: int
    files: int
    folder_mb: float
    temporary_files: int
    temporary_mb: float


def sample(pid: int, began: float, data: Path, temporary: Path) -> Sample:
    """Measure a process, its descendants and its folders."""
    mb_of, private, descriptors, sockets, threads = {}, 0.0, 0, 0, 0
    for one in descendants(pid):
        folder = Path(f"/proc/{one}")
        try:
            role = role_of((folder / "cmdline").read_bytes())
            memory = dict(
                line.split(":")
                for line in (folder / "smaps_rollup").read_text().splitlines()[1:]
                if ":" in line
            )
            links = list(links_in(folder / "fd"))
            threads += len(list((folder / "task").iterdir()))
        except OSError:  # The process ended meanwhile.
            continue
        mb_of[f"{role} {one}"] = int(memory["Rss"].split()[0]) * 1_024 / 1e6
        private += sum(int(memory[k].split()[0]) for k in ("Private_Clean", "Private_Dirty")) * 1_024 / 1e6
        descriptors += len(links)
        sockets += sum(link.startswith("socket:") for link in links)
    files, size = contents(data)
    temporary_files, temporary_size = contents(temporary)
    return Sample(
        at_s=round(time.monotonic() - began, 1),
        mb_of=mb_of,
        mb=sum(mb_of.values()),
        private_mb=private,
        processes=len(mb_of),
        descriptors=descriptors,
        sockets=sockets,
        threads=threads,
        files=files,
        folder_mb=size,
        temporary_files=temporary_files,
        temporary_mb=temporary_size,
    )


def links_in(folder: Path) -> Iterator[str]:
    for link in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            yield str(link.readlink())


def descendants(pid: int) -> list[int]:
    """The process and all below it."""
    children = defaultdict(list)
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children[parent].append(int(status.parent.name))
    found = [pid]
    for one in found:
        found += children[one]
    return found


def role_of(command: bytes) -> str:
    words = [word.decode(errors="replace") for word in command.split(b"\0")]
    for role in ("serve", "worker", "forkserver", "resource_tracker", "spawn_main"):
        if any(role in word for word in words[1:]):
            return role
    return Path(words[0]).name


def contents(folder: Path) -> tuple[int, float]:
    """Number and megabytes of the files below a folder."""
    count, size = 0, 0
    for path in folder.rglob("*"):
        try:
            status = path.lstat()
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode):
            count += 1
            size += status.st_size
    return count, size / 1e6


@dataclass
class Outcomes:
    """Counts and durations of requests, and answers that should not be."""

    statuses: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    took_ms: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    failures: Counter[str] = field(default_factory=Counter)


class Mix:
    """The operations, with what they have added."""

    def __init__(self, client: httpx2.AsyncClient, pictures: list[bytes]) -> None:
        self._client = client
        self._pictures = pictures
        self._numbers = itertools.count()
        self._added: deque[str] = deque()
        self._codes: deque[str] = deque(maxlen=50)
        self._model = ""
        self.outcomes = Outcomes()
        self.operations: list[tuple[Callable[[], Awaitable[Any]], int]] = [
            (self.search_by_upload, 20), (self.search_by_id, 15), (self.search_by_code, 6),
            (self.search_by_text, 6), (self.batch, 3), (self.similar, 3), (self.compare, 2), (self.add, 10),
            (self.put, 2), (self.patch, 6), (self.delete, 10), (self.duplicates, 1), (self.read, 14),
            (self.page, 6), (self.refused_upload, 5), (self.refused_request, 4), (self.collection, 1),
        ]  # fmt: skip

    async def ask(
        self, name: str, method: str, path: str, *good: int, **options: Any
    ) -> httpx2.Response | None:
        """Send a request, and record whether its status is one of ``good``, by default 200."""
        began = time.perf_counter()
        try:
            answer = await self._client.request(method, path, **options)
        except httpx2.HTTPError as error:
            self.outcomes.failures[f"{name}: {type(error).__name__}"] += 1
            return None
        self.outcomes.took_ms[name].append((time.perf_counter() - began) * 1e3)
        self.outcomes.statuses[name][answer.status_code] += 1
        is_busy = answer.status_code in {429, 503} and "retry-after" in answer.headers
        if answer.status_code not in (good or (200,)) and not is_busy:
            self.outcomes.failures[f"{name}: {answer.status_code} {answer.text[:200]}"] += 1
        if is_busy:
            await asyncio.sleep(float(answer.headers["retry-after"]))
        return answer

    async def start(self) -> None:
        """Add the gallery."""
        for i, content in enumerate(self._pictures):
            form = {"ids": json.dumps([f"kept-{i}"]), "metadata": json.dumps([{"kind": f"k{i % 5}"}])}
            await self.ask("fill", "POST", "/index", 200, 201, files={"files": content}, data=form)
        found = await self.ask("info", "GET", "/collections/default")
        assert found is not None
        self._model = found.json()["model"]
        for i in range(10):
            found = await self.ask("first search", "POST", "/search", files={"file": self._pictures[i]})
            assert found is not None
            self._codes.append(found.json()["query"]["code"])

    def some_picture(self) -> bytes:
        """A picture whose file has not been sent before."""
        return random.choice(self._pictures) + os.urandom(16)

    def some_id(self) -> str:
        return f"kept-{random.randrange(len(self._pictures))}"

    def some_added(self) -> str:
        return random.choice(self._added) if self._added else self.some_id()

    async def search_by_upload(self) -> None:
        form = random.choice([{}, {"limit": "50"}, {"rank": "descriptor"}, {"orientations": "8"}])
        await self.ask("search by upload", "POST", "/search", files={"file": self.some_picture()}, data=form)

    async def search_by_id(self) -> None:
        body: dict[str, Any] = {"image_id": self.some_id(), "limit": random.choice([10, 100])}
        if random.random() < 0.3:
            body["filter"] = {"must": [{"key": "kind", "match": "k1"}]}
        await self.ask("search by id", "POST", "/search/query", json=body)

    async def search_by_code(self) -> None:
        body = {"code": random.choice(self._codes), "model": self._model}
        await self.ask("search by code", "POST", "/search/query", json=body)

    async def search_by_text(self) -> None:
        words = random.choice(["dog", "beach, -cat", "red car", "flower", "crane", "sunflower"])
        await self.ask("search by text", "POST", "/search/query", json={"text": words})

    async def batch(self) -> None:
        queries = [{"image_id": self.some_id()} for _ in range(10)] + [
            {"code": random.choice(self._codes), "model": self._model},
            {"image_id": "missing"},
        ]
        await self.ask("batch", "POST", "/search/batch", json={"queries": queries})

    async def similar(self) -> None:
        part = random.choice(["similar", "suggestions"])
        await self.ask("similar", "GET", f"/images/{self.some_id()}/{part}")

    async def compare(self) -> None:
        if random.random() < 0.5:
            files = {"first": self.some_picture(), "second": self.some_picture()}
            await self.ask("compare", "POST", "/compare", files=files)
        else:
            body = {"first": self.some_id(), "second": self.some_id()}
            await self.ask("compare stored", "POST", "/compare/stored", json=body)

    async def add(self) -> None:
        count = random.choice([1, 1, 1, 4])
        ids = [f"soak-{next(self._numbers)}" for _ in range(count)]
        metadata = json.dumps([{"kind": random.choice("abc"), "price": random.random()}] * count)
        answer = await self.ask(
            "add", "POST", "/index", 200, 201,
            files=[("files", self.some_picture()) for _ in ids],
            data={"ids": json.dumps(ids), "metadata": metadata},
            headers={"Idempotency-Key": f"add-{ids[0]}"} if random.random() < 0.2 else {},
        )  # fmt: skip
        if answer is not None and answer.is_success:
            self._added += ids

    async def put(self) -> None:
        await self.ask(
            "put",
            "PUT",
            f"/images/soak-put-{random.randrange(20)}",
            200,
            201,
            files={"file": self.some_picture()},
        )

    async def patch(self) -> None:
        # Another client may have deleted the picture meanwhile.
        body = {"metadata": {"kind": random.choice("abc"), "seen": random.randrange(1_000)}}
        await self.ask("patch", "PATCH", f"/images/{self.some_added()}", 200, 404, json=body)

    async def delete(self) -> None:
        while len(self._added) > LIVE:
            if random.random() < 0.2:
                body = {"ids": [self._added.popleft() for _ in range(5)]}
                await self.ask("delete many", "POST", "/images/delete", json=body)
            else:
                await self.ask("delete", "DELETE", f"/images/{self._added.popleft()}", 200, 204)

    async def duplicates(self) -> None:
        await self.ask("duplicates", "GET", "/duplicates?limit=20")

    async def read(self) -> None:
        part = random.choice(["", "/thumbnail", "/thumbnail", "/content"])
        await self.ask(f"read{part}", "GET", f"/images/{self.some_id()}{part}")

    async def page(self) -> None:
        path = random.choice([
            "/images?limit=50", "/jobs", "/collections", "/collections/default/stats", "/info", "/metrics",
            "/collections/default/metadata", "/collections/default/labels?limit=20", "/export", "/readyz",
            "/admin/system", "/models",
        ])  # fmt: skip
        await self.ask(path.partition("?")[0], "GET", path)

    async def refused_upload(self) -> None:
        whole = self.some_picture()
        content = random.choice([
            whole[: len(whole) // 3], b"not a picture", b"", os.urandom(5_000), b"\xff\xd8" + b"\xff" * 200_000,
            b"GIF89a" + os.urandom(500), whole[:200] + os.urandom(200) + whole[400:],
        ])  # fmt: skip
        # A picture with a few changed bytes may still be one.
        await self.ask("refused upload", "POST", "/search", 200, 415, 422, files={"file": content})

    async def refused_request(self) -> None:
        options: dict[str, Any] = random.choice([
            {"json": {"image_id": "missing"}}, {"json": {"limit": -1}}, {"json": {"text": "x" * 300}},
            {"content": b"{", "headers": {"Content-Type": "application/json"}},
            {"content": b"x" * 400, "headers": {"Content-Type": "text/x"}},
        ])  # fmt: skip
        await self.ask("refused request", "POST", "/search/query", 400, 404, 415, 422, **options)

    async def collection(self) -> None:
        """Create a collection, use it and delete it."""
        name = f"soak-{next(self._numbers)}"
        await self.ask("create collection", "POST", "/collections", 201, json={"name": name})
        form = {"collection": name}
        files = [("files", self.some_picture()) for _ in range(3)]
        await self.ask("add to collection", "POST", "/index", 200, 201, files=files, data=form)
        await self.ask("search collection", "POST", "/search", files={"file": self.some_picture()}, data=form)
        await self.ask("delete collection", "DELETE", f"/collections/{name}", 200, 204)

    async def archive(self) -> None:
        """Import an archive, and wait for its job."""
        packed = BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for i in range(IMPORTED):
                archive.writestr(f"imported-{i}.jpg", self.some_picture())
            archive.writestr("broken.jpg", b"not a picture")
        files = {"archive": ("pictures.zip", packed.getvalue())}
        answer = await self.ask(
            "import", "POST", "/index/upload", 202, files=files, data={"on_duplicate": "replace"}
        )
        if answer is None or answer.status_code != 202:
            return
        job = answer.json()["id"]
        for _ in range(60):
            await asyncio.sleep(2)
            found = await self.ask("job", "GET", f"/jobs/{job}")
            state = found.json()["status"] if found is not None and found.is_success else "unknown"
            if state not in {"queued", "running", "unknown"}:
                self.outcomes.statuses[f"import {state}"][200] += 1
                await self.delete_imported(job)
                return
        self.outcomes.failures["import: not finished within two minutes"] += 1

    async def delete_imported(self, job: str) -> None:
        """Delete what a job has added, so that the number of pictures stays the same."""
        found = await self.ask("job items", "GET", f"/jobs/{job}/items?limit=100")
        if found is not None and found.is_success:
            ids = [item["id"] for item in found.json()["items"] if item["id"] is not None]
            await self.ask("delete imported", "POST", "/images/delete", json={"ids": ids})


async def load(mix: Mix, *, seconds: float, pace: float) -> None:
    """Send ``pace`` operations a second until the time is over; one that is late delays none of the others."""
    kinds, weights = zip(*mix.operations, strict=True)
    end = time.monotonic() + seconds

    async def client() -> None:
        due = time.monotonic() + random.random() * CLIENTS / pace
        while due < end:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            await random.choices(kinds, weights)[0]()
            due = max(due + CLIENTS / pace * random.uniform(0.5, 1.5), time.monotonic())

    async def importer() -> None:
        while time.monotonic() + min(IMPORT_INTERVAL_S, seconds / 4) < end:
            await asyncio.sleep(min(IMPORT_INTERVAL_S, seconds / 4))
            await mix.archive()

    await asyncio.gather(importer(), *(client() for _ in range(CLIENTS)))


async def sampling(pid: int, data: Path, temporary: Path, samples: list[Sample], csv_file: Path | None) -> None:
    """Take a sample each minute; rewrite the file with each, so that a run that ends early leaves its own."""
    began = time.monotonic()
    while True:
        samples.append(await asyncio.to_thread(sample, pid, began, data, temporary))
        if csv_file is not None:
            rows = [{k: v for k, v in asdict(one).items() if k != "mb_of"} for one in samples]
            with csv_file.open("w", newline="") as file:
                writer = csv.DictWriter(file, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)
        print(describe(samples[-1]), flush=True)
        await asyncio.sleep(SAMPLE_S)


def describe(one: Sample) -> str:
    return (
        f"{one.at_s / 60:5.0f} min: {one.mb:.0f} MB ({one.private_mb:.0f} private) "
        f"in {one.processes} processes, {one.descriptors} descriptors, {one.sockets} sockets, "
        f"{one.threads} threads, data {one.files} files {one.folder_mb:.0f} MB, "
        f"temporary {one.temporary_files} files"
    )


def growth(samples: list[Sample], value: Callable[[Sample], float]) -> float | None:
    """Slope per hour of the line through the samples after the warm-up; None with fewer than three."""
    late = [one for one in samples if one.at_s >= WARM_UP_S]
    if len(late) < 3:
        return None
    slope = np.polyfit([one.at_s / 3_600 for one in late], [value(one) for one in late], 1)[0]
    return round(float(slope), 2)


def summary(samples: list[Sample], outcomes: Outcomes, seconds: float) -> dict[str, Any]:
    """What grew, and how requests were answered."""
    late = [one for one in samples if one.at_s >= WARM_UP_S] or samples
    lasting = set.intersection(*(set(one.mb_of) for one in late))
    first, last = late[0], late[-1]
    counts = ("processes", "descriptors", "sockets", "threads", "files", "temporary_files")
    return {
        "seconds": seconds,
        "requests": sum(sum(one.values()) for one in outcomes.statuses.values()),
        "mb_an_hour": growth(samples, lambda one: one.mb),
        "private_mb_an_hour": growth(samples, lambda one: one.private_mb),
        "mb_an_hour_of_process": {name: growth(samples, lambda one, n=name: one.mb_of[n]) for name in lasting},
        "mb": [round(first.mb, 1), round(last.mb, 1)],
        **{name: [getattr(first, name), getattr(last, name)] for name in counts},
        "operations": {
            name: {
                "statuses": dict(outcomes.statuses[name]),
                "p50_ms": round(float(np.percentile(took, 50)), 1),
                "p99_ms": round(float(np.percentile(took, 99)), 1),
            }
            for name, took in sorted(outcomes.took_ms.items())
        },
        "imports": {k: v[200] for k, v in outcomes.statuses.items() if k.startswith("import ")},
        "failures": dict(outcomes.failures),
    }


async def run(url: str, pid: int, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    samples: list[Sample] = []
    async with httpx2.AsyncClient(base_url=url, timeout=60, trust_env=False) as client:
        mix = Mix(client, [picture.jpeg for picture in draw_gallery()])
        await mix.start()
        watching = asyncio.create_task(
            sampling(pid, folder / "data", folder / "temporary", samples, options.csv)
        )
        await load(mix, seconds=options.seconds, pace=options.pace)
        watching.cancel()
    samples.append(sample(pid, time.monotonic() - options.seconds, folder / "data", folder / "temporary"))
    found = summary(samples, mix.outcomes, options.seconds)
    if options.json:
        options.json.write_text(json.dumps({**found, "samples": [asdict(one) for one in samples]}, indent=2))
    return found


def main() -> None:
    # As after Ctrl-C, so that servers are stopped.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=7_200)
    parser.add_argument("--pace", type=float, default=4, help="operations a second")
    parser.add_argument("--json", type=Path, help="file for the summary and all samples")
    parser.add_argument("--csv", type=Path, help="file for the samples, written as they are taken")
    options = parser.parse_args()
    for file in (options.json, options.csv):
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "temporary").mkdir()
        environment = {
            "TMPDIR": str(folder / "temporary"),
            # The files of deleted pictures are removed within the warm-up, so that their number becomes steady.
            "LOOKALIKE_ORPHAN_GRACE_S": "300",
        }
        with server(folder, "--worker", environment=environment) as (url, pid):
            found = asyncio.run(run(url, pid, folder, options))
    print(json.dumps(found, indent=2))
    if found["failures"]:
        sys.exit(1)


if __name__ == "__main__":
    main()
