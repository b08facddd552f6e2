"""Measure requests per second and latency of ``POST /search``, beside the sum of its parts.

The peers, in the same run on the same pictures: a bare loop that decodes and encodes in one process without a
server, and the same server stack (uvicorn, FastAPI, multipart) that only echoes the upload's length. The
service's p50 at one client is compared with the sum of the two, its throughput with the reciprocal of that sum.

    python benchmarks/service.py [--quick] [--data caltech101.zip] [--json FILE]

int8 is what is shipped; for a row in float32, build one first and name it:

    lookalike models build lite2-256 --fp32 --data FOLDER --out fp32
    python benchmarks/service.py --models model_artifacts/lite2-256 fp32/lite2-256
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx2
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
ECHO = """
import sys, uvicorn
from fastapi import FastAPI, File, UploadFile
app = FastAPI()
@app.post("/search")
async def search(file: UploadFile = File()):
    return {"bytes": len(await file.read())}
uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
"""


def load_pictures(data: str | None, count: int) -> list[bytes]:
    """Pictures of a zip, or of the sample gallery."""
    if data:
        with zipfile.ZipFile(data) as archive:
            names = [n for n in archive.namelist() if n.endswith(".jpg")]
            chosen = np.random.default_rng(0).permutation(len(names))[:count]
            return [archive.read(names[i]) for i in chosen]
    from tools.sample_gallery import draw_gallery  # noqa: PLC0415

    pictures = [picture.jpeg for picture in draw_gallery()]
    return [pictures[i % len(pictures)] for i in range(count)]


def bare_loop_ms(pictures: list[bytes], model: Path) -> list[float]:
    """Decode and encode in this process, without server and child process: the lower bound."""
    from app.encoding.artifact import load_artifact  # noqa: PLC0415
    from app.encoding.encoder import OnnxEncoder  # noqa: PLC0415
    from app.images.decode import decode_in_process  # noqa: PLC0415
    from app.images.sniff import Limits  # noqa: PLC0415

    encoder = OnnxEncoder(load_artifact(model), threads=1)
    took = []
    for content in pictures:
        start = time.perf_counter()
        pixels = decode_in_process(content, Limits()).pixels
        encoder.encode(encoder.prepare(pixels)[None])
        took.append((time.perf_counter() - start) * 1e3)
    return took


@contextlib.contextmanager
def pinned(command: list[str], core: int, env: dict[str, str], ready: str) -> Iterator[None]:
    """Run a server on one core until the block ends."""
    process = subprocess.Popen(command, env={**os.environ, **env}, cwd=ROOT, stdout=subprocess.DEVNULL)
    with contextlib.suppress(AttributeError, OSError):
        os.sched_setaffinity(process.pid, {core})
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx2.HTTPError):
                if httpx2.get(ready).status_code in {200, 404}:
                    break
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait()


async def measure(url: str, pictures: list[bytes], clients: int) -> dict[str, float]:
    """Closed loop: each client sends its next query when it has an answer."""
    took: list[float] = []
    statuses: dict[int, int] = {}
    left = iter(pictures)
    limits = httpx2.Limits(max_connections=clients, max_keepalive_connections=clients)
    async with httpx2.AsyncClient(timeout=60, limits=limits) as http:

        async def client() -> None:
            for content in left:
                start = time.perf_counter()
                answer = await http.post(url, files={"file": ("q.jpg", content)})
                took.append((time.perf_counter() - start) * 1e3)
                statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1

        await asyncio.gather(*(client() for _ in range(min(8, clients))))
        took.clear()
        left = iter(pictures)
        start = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(clients)))
        seconds = time.perf_counter() - start
    quantiles = statistics.quantiles(took, n=100)
    return {
        "clients": clients,
        "requests_per_s": len(took) / seconds,
        "p50_ms": quantiles[49],
        "p99_ms": quantiles[98],
        "errors": sum(count for status, count in statuses.items() if status != 200),
    }


def add_gallery(url: str, pictures: list[bytes]) -> None:
    """Fill the collection to search."""
    for i in range(0, len(pictures), 32):
        files = [("files", (f"{j}.jpg", c)) for j, c in enumerate(pictures[i : i + 32])]
        httpx2.post(f"{url}/index", files=files, timeout=120).raise_for_status()


def run(model: Path, pictures: list[bytes], gallery: list[bytes], client_counts: list[int]) -> list[dict]:
    """Measure one model."""
    server_core, client_core = (0, 1) if (os.cpu_count() or 1) > 1 else (0, 0)
    with contextlib.suppress(AttributeError):
        os.sched_setaffinity(0, {client_core})
    bare = statistics.median(bare_loop_ms(pictures, model))
    rows = []
    with pinned([sys.executable, "-c", ECHO, "8471"], server_core, {}, "http://127.0.0.1:8471/"):
        echo = [asyncio.run(measure("http://127.0.0.1:8471/search", pictures, n)) for n in client_counts]
    with tempfile.TemporaryDirectory() as folder:
        env = {
            "LOOKALIKE_DATA_DIR": folder,
            "LOOKALIKE_DEFAULT_MODEL": model.name,
            "LOOKALIKE_ARTIFACTS_DIR": str(model.parent),
            "LOOKALIKE_DECODE_CHILDREN": "1",
            "LOOKALIKE_LOG_LEVEL": "error",
        }
        command = [sys.executable, "-m", "app.cli.main", "serve", "--port", "8472"]
        with pinned(command, server_core, env, "http://127.0.0.1:8472/healthz"):
            url = "http://127.0.0.1:8472"
            while httpx2.get(f"{url}/readyz").status_code != 200:
                time.sleep(0.1)
            add_gallery(url, gallery)
            for n, peer in zip(client_counts, echo, strict=True):
                ours = asyncio.run(measure(f"{url}/search", pictures, n))
                floor_ms = bare + (1e3 / peer["requests_per_s"] if n > 1 else peer["p50_ms"])
                ours |= {
                    "model": f"{model.parent.name}/{model.name}",
                    "bare_ms": bare,
                    "echo_p50_ms": peer["p50_ms"],
                    "echo_requests_per_s": peer["requests_per_s"],
                    "floor_ms": floor_ms,
                    "p50_over_floor": ours["p50_ms"] / floor_ms if n == 1 else None,
                    "throughput_over_peer": ours["requests_per_s"] * floor_ms / 1e3,
                }
                rows.append(ours)
    return rows


def main() -> None:
    """Parse arguments, measure, print."""
    # As after Ctrl-C, so that servers are stopped.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="zip of JPEG pictures; the sample gallery without it")
    parser.add_argument("--models", nargs="+", type=Path, default=[ROOT / "model_artifacts" / "lite2-256"])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", help="write the rows here")
    arguments = parser.parse_args()
    count = 100 if arguments.quick else 600
    pictures = load_pictures(arguments.data, count * 2)
    queries, gallery = pictures[:count], pictures[count:]
    rows = []
    for model in arguments.models:
        rows += run(model.resolve(), queries, gallery, [1, 8] if arguments.quick else [1, 8, 32])
    for row in rows:
        ratio = f"p50/floor {row['p50_over_floor']:.2f}" if row["p50_over_floor"] else ""
        print(
            f"{row['model']:26} {row['clients']:3} clients  {row['requests_per_s']:6.1f}/s"
            f"  p50 {row['p50_ms']:6.1f} ms  p99 {row['p99_ms']:6.1f} ms  bare {row['bare_ms']:.1f} ms"
            f"  echo {row['echo_p50_ms']:.1f} ms  throughput/peer {row['throughput_over_peer']:.2f}  {ratio}"
            f"  errors {row['errors']}"
        )
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
