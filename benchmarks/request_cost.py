"""Measure what each kind of request costs the server: CPU milliseconds of its process, without its children.

CPU time, read from the kernel before and after a round of requests, changes little on a machine that has other
work; each figure is the least of several rounds. One client sends one request at a time over one connection.

The peers, in the same run: a bare FastAPI application that answers a small JSON document (the cost of uvicorn
and FastAPI), and for uploads a loop in one process that scales and encodes the same pictures without a server.

    python benchmarks/request_cost.py [--pictures 20000] [--url postgresql://…] [--json FILE] [--only TEXT]
        [--profile FILE]

With ``--profile`` the server runs under cProfile and writes its event loop's statistics to the file; times are
then not comparable.
"""

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import httpx2

from app.bootstrap import open_serving
from app.domain.access import Scope
from app.encoding.artifact import load_artifact
from app.encoding.encoder import OnnxEncoder
from app.images.decode import decode_in_process
from app.images.sniff import Limits
from app.services.access.keys import Keys, Rights
from app.settings import Settings
from benchmarks.collection import PIECE, new_images
from tools.sample_gallery import draw_gallery

ROOT = Path(__file__).resolve().parent.parent
BARE = """
import sys, uvicorn
from fastapi import FastAPI
app = FastAPI()
@app.get("/healthz")
async def health():
    return {"status": "ok"}
uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
"""
WARM_UP = 50


def cpu_ms(pid: int) -> float:
    """CPU time of a process so far, over all its living threads, in milliseconds."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e6


async def fill(settings: Settings, pictures: int) -> None:
    """Write the rows of a collection, without files."""
    async with open_serving(settings) as services:
        async with services.database.read() as unit:
            record = await unit.collections.get("default")
            model = await unit.models.get(record.model)
            have = await unit.images.count(record.pk)
        for start in range(have, pictures, PIECE):
            made = new_images(record.model, model.bits, start, min(PIECE, pictures - start))
            new = [replace(image, has_bytes=True) for image in made]
            async with services.database.write() as writing:
                await writing.images.add(record.pk, new)
        await services.load()


async def make_key(settings: Settings) -> str:
    """Make a key; from then on picture addresses are signed."""
    async with open_serving(settings) as services:
        return (await Keys(services.database).create("benchmark", Rights(Scope.SEARCH))).text


@contextlib.contextmanager
def serving(command: list[str], url: str, env: dict[str, str]) -> Iterator[int]:
    """Run a server until the block ends; yields its process id."""
    process = subprocess.Popen(command, env={**os.environ, **env}, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx2.HTTPError):
                if httpx2.get(url).status_code == 200:
                    break
            time.sleep(0.1)
        yield process.pid
    finally:
        # cProfile writes its file after KeyboardInterrupt; SIGTERM would end the process before.
        process.send_signal(signal.SIGINT)
        process.wait()


def cost(pid: int, send: Callable[[], httpx2.Response], requests: int, rounds: int) -> dict[str, float]:
    """Least CPU and median wall milliseconds of one request."""
    for _ in range(WARM_UP):
        send().raise_for_status()
    cpus, walls = [], []
    for _ in range(rounds):
        before = cpu_ms(pid)
        for _ in range(requests):
            start = time.perf_counter()
            send()
            walls.append((time.perf_counter() - start) * 1e3)
        cpus.append((cpu_ms(pid) - before) / requests)
    walls.sort()
    return {"cpu_ms": min(cpus), "p50_ms": walls[len(walls) // 2]}


def decode_and_encode_ms(pictures: list[bytes], model: Path) -> float:
    """CPU milliseconds to encode one picture and to scale it, without decoding, which is a child's work."""
    encoder = OnnxEncoder(load_artifact(model), threads=1)
    decoded = [decode_in_process(content, Limits()).pixels for content in pictures]
    encoder.encode(encoder.prepare(decoded[0])[None])
    rounds = []
    for _ in range(5):
        before = time.process_time()
        for pixels in decoded:
            encoder.encode(encoder.prepare(pixels)[None])
        rounds.append((time.process_time() - before) * 1e3 / len(decoded))
    return min(rounds)


def measure(settings: Settings, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []

    def note(what: str, **figures: float) -> None:
        rows.append({"what": what, **{name: round(value, 3) for name, value in figures.items()}})
        print(f"{what:44} " + "  ".join(f"{k} {v:7.3f}" for k, v in figures.items()), flush=True)

    asyncio.run(fill(settings, arguments.pictures))
    gallery = [picture.jpeg for picture in draw_gallery()][:60]
    port = arguments.port
    bare = f"http://127.0.0.1:{port}/healthz"
    with serving([sys.executable, "-c", BARE, str(port)], bare, {}) as pid, httpx2.Client() as http:
        note("bare FastAPI, GET", **cost(pid, lambda: http.get(bare), arguments.requests, arguments.rounds))
    floor = decode_and_encode_ms(gallery, settings.models.artifacts_dir / settings.models.default_model)
    note("scale and encode, in a loop", cpu_ms=floor)
    env = {
        "LOOKALIKE_LOG_LEVEL": arguments.log_level,
        "LOOKALIKE_DATA_DIR": str(settings.storage.data_dir),
        "LOOKALIKE_DATABASE_URL": settings.resolved_database_url,
    }
    url = f"http://127.0.0.1:{port + 1}"
    profiled = ["-m", "cProfile", "-o", arguments.profile] if arguments.profile else []
    command = [sys.executable, *profiled, "-m", "app.cli.main", "serve", "--port", str(port + 1)]
    key = None
    for named in ("",) if arguments.profile else ("", ", with a key"):
        if named:
            key = asyncio.run(make_key(settings))
        headers = {} if key is None else {"X-API-Key": key}
        with (
            serving(command, f"{url}/readyz", env) as pid,
            httpx2.Client(base_url=url, headers=headers) as http,
        ):
            requested = kinds(http, gallery, arguments.pictures, keyed=bool(named))
            for what, send in requested.items():
                if arguments.only not in what:
                    continue
                requests = arguments.requests // (5 if "upload" in what else 1)
                note(what + named, **cost(pid, send, requests, arguments.rounds))
    return rows


def kinds(
    http: httpx2.Client, gallery: list[bytes], pictures: int, *, keyed: bool
) -> dict[str, Callable[[], httpx2.Response]]:
    """The requests to measure."""
    position, upload = count(1_000, 997), count()

    def next_id() -> str:
        return f"p{next(position) % pictures}"

    codes = [
        http.post("/search", json={"image_id": next_id(), "limit": 1}).json()["query"]["code"]
        for _ in range(64)
    ]

    def by_code(limit: int) -> httpx2.Response:
        code = codes[next(position) % 64]
        return http.post("/search", json={"code": code, "model": "lite2-256", "limit": limit})

    def by_words(text: str) -> httpx2.Response:
        return http.post("/search", json={"text": text})

    def by_id(**options: Any) -> httpx2.Response:
        return http.post("/search", json={"image_id": next_id(), **options})

    def by_upload(**options: Any) -> httpx2.Response:
        picture = ("q.jpg", gallery[next(upload) % len(gallery)])
        return http.post("/search", files={"file": picture}, data=options)

    if keyed:
        return {"search by code, 20": lambda: by_code(20)}
    return {
        "GET /healthz": lambda: http.get("/healthz"),
        "GET /images/{id}": lambda: http.get(f"/images/{next_id()}"),
        "search by code, 1": lambda: by_code(1),
        "search by code, 20": lambda: by_code(20),
        "search by id, 1": lambda: by_id(limit=1),
        "search by id, 20": by_id,
        "search by id, 20, rank hamming": lambda: by_id(rank="hamming"),
        "search by a word, 20": lambda: by_words("accordion"),
        "search by two words, 20": lambda: by_words("accordion -dog"),
        "search by a broad word, 20": lambda: by_words("dog"),
        "search by upload, 20": by_upload,
        "search by upload, 20, rank hamming": lambda: by_upload(rank="hamming"),
    }


def main() -> None:
    """Parse arguments, measure, print."""
    # As after Ctrl-C, so that servers are stopped.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--url", help="database; SQLite in a new folder without it")
    parser.add_argument("--data-dir", type=Path, help="data folder to copy, instead of writing the rows")
    parser.add_argument("--requests", type=int, default=300, help="requests in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--port", type=int, default=8473)
    parser.add_argument("--log-level", default="info")
    parser.add_argument("--profile", help="file for cProfile's statistics")
    parser.add_argument("--only", default="", help="measure only requests whose name contains this")
    parser.add_argument("--json", help="write the rows here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder) / "data"
        if arguments.data_dir:
            shutil.copytree(arguments.data_dir, data_dir)
        settings = Settings(data_dir=data_dir, database_url=arguments.url)
        rows = measure(settings, arguments)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
