"""Measure the cost of a bulk import, beside peers in the same run.

``rate``: pictures a second of a worker that imports an archive, against a bare loop of decode, prepare and
encode on the same cores, in turns. ``memory``: the worker's highest resident memory for few and for many
pictures. ``search``: the 99th percentile of searches while a worker imports or trains, against the server idle.

    python benchmarks/import.py --archive caltech101.zip rate --cores 1
    python benchmarks/import.py --archive cifar10.zip memory --counts 6000 60000
    python benchmarks/import.py memory --generated --counts 6000 600000
    python benchmarks/import.py --archive caltech101.zip search --count 9000
    python benchmarks/import.py --archive caltech101.zip search --count 400 --beside training
"""

import argparse
import asyncio
import contextlib
import io
import itertools
import json
import os
import re
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.bootstrap import open_serving
from app.encoding.artifact import Artifact, load_artifact
from app.encoding.encoder import EncoderOutput, OnnxEncoder
from app.encoding.preprocess import Preprocessing, prepare
from app.images.decode import decode_in_process
from app.images.sniff import Limits
from app.services.importing.imports import ImportOptions, SourceKind
from app.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
BATCH = 16


class FakeEncoder:
    """Takes bits from the first pixels of a picture, to measure everything except the network."""

    def __init__(self, artifact: Artifact) -> None:
        self.name, self.bits, self.digest = artifact.name, artifact.bits, artifact.digest
        self.input_size, self.descriptor_dim = 32, None

    def prepare(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """See ``Encoder``."""
        return prepare(pixels, Preprocessing(self.input_size))

    def encode(self, batch: NDArray[np.uint8]) -> EncoderOutput:
        """Encode immediately."""
        return EncoderOutput(batch.reshape(len(batch), -1)[:, : self.bits].astype(np.float32) - 127.5, None)


def pictures_of(archive: Path | None, count: int, *, shuffled: bool = True) -> Iterator[tuple[str, bytes]]:
    """Pictures of a zip, or small generated ones that all differ."""
    if archive is None:
        for i in range(count):
            colours = np.random.default_rng(i).integers(0, 256, (4, 4, 3), dtype=np.uint8)
            out = io.BytesIO()
            Image.fromarray(colours).save(out, "PNG")
            yield f"{i:07}.png", out.getvalue()
        return
    with zipfile.ZipFile(archive) as source:
        names = [name for name in source.namelist() if name.endswith((".jpg", ".png"))]
        order = np.random.default_rng(0).permutation(len(names)) if shuffled else range(len(names))
        for i in order[:count]:
            yield names[i], source.read(names[i])


def write_zip(path: Path, archive: Path | None, count: int) -> int:
    written = 0
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as target:
        for name, content in pictures_of(archive, count):
            target.writestr(name, content)
            written += 1
    return written


def environment(data_dir: Path, model: str, cores: int) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "LOOKALIKE_DATA_DIR": str(data_dir),
        "LOOKALIKE_DEFAULT_MODEL": model,
        "LOOKALIKE_ENCODER_THREADS": str(cores),
        "LOOKALIKE_DECODE_CHILDREN": str(cores),
        "LOOKALIKE_MAX_ARCHIVE_ENTRIES": "2000000",
        "LOOKALIKE_WORKER_NICE": "0",
        "LOOKALIKE_LOG_FORMAT": "json",
        "LOOKALIKE_PORT": "0",
    }


@contextlib.contextmanager
def set_environment(values: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


async def queue_import(archive: Path) -> str:
    async with open_serving(Settings()) as services:
        view = await services.imports.from_upload(archive, SourceKind.ARCHIVE, ImportOptions())
        return view.record.id


@dataclass
class Took:
    """Measurements of an import."""

    done: int
    per_s: float
    """Pictures per second from the first batch to the last, without the start of the worker and planning."""
    cpu_ms: float
    """CPU time per picture over the same span, including decoding children, in milliseconds."""
    peak: int
    """Peak resident memory of the worker, in bytes, without its decoding children, which have a limit of their
    own."""


def run_worker(env: dict[str, str], job_id: str, cores: int, *, fake: bool) -> Took:
    """Let one worker do a queued import."""
    code = (
        "import sys; sys.path.insert(0, 'benchmarks')\n"
        "import asyncio, importlib\n"
        "from app.cli.serving.worker import run_worker\n"
        "from app.settings import Settings\n"
        "fake = importlib.import_module('import').FakeEncoder\n"
        "asyncio.run(run_worker(Settings(), until_stdin_ends=True, make_encoder=fake))"
    )
    own = ["-c", code] if fake else ["-m", "app.cli.main", "worker", "--until-stdin-ends"]
    process = subprocess.Popen(
        ["taskset", "-c", f"0-{cores - 1}", sys.executable, *own],
        cwd=ROOT, env=env, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    begun, peak = (0.0, 0, 0.0), 0
    state, spent = "queued", 0.0
    while state in {"queued", "running"}:
        time.sleep(0.1)
        state, done = job_of(env, job_id)
        if done and not begun[1]:
            begun = time.perf_counter(), done, processor_ms(process.pid)
        spent = processor_ms(process.pid) or spent
        peak = max(peak, high_water(process.pid))
        if process.poll() is not None:
            raise SystemExit("the worker died")
    seconds = time.perf_counter() - begun[0]
    process.stdin.close()
    process.wait()
    assert state == "succeeded", state
    rest = done - begun[1]
    return Took(done, rest / seconds, (spent - begun[2]) / rest, peak)


def job_of(env: dict[str, str], job_id: str) -> tuple[str, int]:
    with contextlib.closing(sqlite3.connect(f"{env['LOOKALIKE_DATA_DIR']}/lookalike.db")) as database:
        return database.execute("SELECT state, done FROM jobs WHERE id = ?", (job_id,)).fetchone()


def processor_ms(pid: int) -> float:
    """CPU time of a process and its children, in milliseconds."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        started = [path.read_text().split() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except FileNotFoundError:
        return 0.0
    ticks = int(fields[11]) + int(fields[12])
    own = ticks * 1e3 / os.sysconf("SC_CLK_TCK")
    return own + sum(processor_ms(int(child)) for children in started for child in children)


def high_water(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return 0
    found = re.search(r"VmHWM:\s+(\d+) kB", text)
    return int(found.group(1)) * 1024 if found else 0


def one_import(
    folder: str, archive: Path | None, count: int, model: str, cores: int, *, fake: bool = False
) -> Took:
    """Import into a new store below ``folder``, which is kept: creating files is slow after deleting many."""
    place = Path(tempfile.mkdtemp(dir=folder))
    packed = place / "pictures.zip"
    write_zip(packed, archive, count)
    env = environment(place / "data", model, cores)
    with set_environment(env):
        job_id = asyncio.run(queue_import(packed))
    return run_worker(env, job_id, cores, fake=fake)


def bare_loop(archive: Path, count: int, model: str, cores: int) -> tuple[float, float]:
    """Pictures per second and CPU milliseconds of decoding, preparing and encoding alone."""
    os.sched_setaffinity(0, range(cores))
    encoder = OnnxEncoder(load_artifact(ROOT / "model_artifacts" / model), threads=cores)
    contents = [content for _, content in pictures_of(archive, count)]
    begun, spent = time.perf_counter(), time.process_time()
    for i in range(0, len(contents), BATCH):
        prepared = [
            encoder.prepare(decode_in_process(content, Limits()).pixels) for content in contents[i : i + BATCH]
        ]
        encoder.encode(np.stack(prepared))
    count = len(contents)
    return count / (time.perf_counter() - begun), (time.process_time() - spent) * 1e3 / count


def rate(args: argparse.Namespace, folder: str) -> None:
    bare, bare_cpu, imported, imported_cpu = [], [], [], []
    for _ in range(args.rounds):
        command = [sys.executable, __file__, "--archive", str(args.archive), "--model", args.model, "bare"]
        out = subprocess.run(
            [*command, "--count", str(args.count), "--cores", str(args.cores)],
            check=True, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        bare_per_s, bare_ms = map(float, out.stdout.split())
        bare.append(bare_per_s)
        bare_cpu.append(bare_ms)
        took = one_import(folder, args.archive, args.count, args.model, args.cores)
        imported.append(took.per_s)
        imported_cpu.append(took.cpu_ms)
        print(f"bare {bare_per_s:6.1f}/s {bare_ms:5.1f} ms   import {took.per_s:6.1f}/s {took.cpu_ms:5.1f} ms")
    ratios = [i / b for i, b in zip(imported, bare, strict=True)]
    by_cpu = [b / i for i, b in zip(imported_cpu, bare_cpu, strict=True)]
    print(
        f"{args.model}, {args.count:,} pictures of {args.archive.name}, {args.cores} cores: "
        f"median ratio by the clock {statistics.median(ratios):.2f} (aim 0.9), "
        f"by processor time {statistics.median(by_cpu):.2f}"
    )


def memory(args: argparse.Namespace, folder: str) -> None:
    peaks = []
    for count in args.counts:
        archive = None if args.generated else args.archive
        took = one_import(folder, archive, count, args.model, args.cores, fake=args.generated)
        peaks.append(took.peak)
        print(f"{took.done:9,} pictures: peak {took.peak / 1e6:6.1f} MB, {took.per_s:6.1f}/s")
    print(f"most against least: {max(peaks) / min(peaks):.3f} (aim 1.10)")


def search(args: argparse.Namespace, folder: str) -> None:
    """One client that searches by upload, one request after the other."""
    packed = Path(folder) / "pictures.zip"
    write_zip(packed, args.archive, args.count)
    queries = [content for _, content in pictures_of(args.archive, args.count + 200)][-200:]
    env = environment(Path(folder) / "data", args.model, 1) | {"LOOKALIKE_WORKER_NICE": str(args.nice)}
    with serving(env) as http:
        if args.beside == "training":
            wait_for(http, start_import(http, packed), lambda job: job["status"] == "succeeded")
        time.sleep(5)
        idle = latencies(http, itertools.islice(itertools.cycle(queries), args.queries))
        job = START[args.beside](http, packed)
        wait_for(http, job, lambda job: bool(job["progress"]["done"]))
        busy = latencies(http, itertools.islice(itertools.cycle(queries), args.queries))
        ended = http.get(f"/jobs/{job}").json()
        if ended["status"] != "running":
            raise SystemExit(f"the {args.beside} ended before the searches did: use a larger --count")
        print(json.dumps(ended["progress"]))
        http.post(f"/jobs/{job}/cancel")
    for name, found in (("idle", idle), (f"beside {args.beside}", busy)):
        p50, p99 = np.percentile(found, [50, 99])
        print(f"{name:15} p50 {p50:6.1f} ms   p99 {p99:6.1f} ms")
    print(f"p99 ratio {np.percentile(busy, 99) / np.percentile(idle, 99):.2f} (aim 2)")


@contextlib.contextmanager
def serving(env: dict[str, str]) -> Iterator[httpx2.Client]:
    """A server and a worker."""
    server = subprocess.Popen(
        [sys.executable, "-m", "app.cli.main", "serve", "--worker", "--samples"],
        cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        url = re.search(r"http://\S+", server.stdout.readline()).group()
        with httpx2.Client(base_url=url, timeout=60) as http:
            yield http
    finally:
        server.terminate()
        server.wait()


def start_import(http: httpx2.Client, packed: Path) -> str:
    return http.post("/index", files={"archive": ("a.zip", packed.read_bytes())}).json()["id"]


def start_training(http: httpx2.Client, packed: Path) -> str:
    """Train the paper's network on the imported pictures, for longer than the searches take."""
    del packed
    ask = {"name": "trained", "collection": "default", "method": "autoencoder", "bits": 32, "epochs": 1_000}
    return http.post("/admin/jobs/train", json=ask).json()["id"]


START = {"import": start_import, "training": start_training}


def wait_for(http: httpx2.Client, job: str, is_so: Callable[[dict], bool]) -> None:
    while not is_so(seen := http.get(f"/jobs/{job}").json()):
        if seen["status"] == "failed":
            raise SystemExit(f"the job failed: {seen}")
        time.sleep(0.1)


def latencies(http: httpx2.Client, queries: Iterator[bytes]) -> list[float]:
    taken = []
    for content in queries:
        begun = time.perf_counter()
        answer = http.post("/search", files={"file": content})
        taken.append((time.perf_counter() - begun) * 1e3)
        assert answer.status_code == 200, answer.text
    return taken


def main() -> None:
    # As after Ctrl-C, so that servers are stopped.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--archive", type=Path)
    parser.add_argument("--model", default="lite2-256")
    parts = parser.add_subparsers(dest="part", required=True)
    for name, count in (("rate", 1000), ("bare", 1000)):
        part = parts.add_parser(name)
        part.add_argument("--count", type=int, default=count)
        part.add_argument("--cores", type=int, default=1)
        part.add_argument("--rounds", type=int, default=3)
    part = parts.add_parser("memory")
    part.add_argument("--counts", type=int, nargs="+", default=[6_000, 60_000])
    part.add_argument("--generated", action="store_true", help="made-up pictures and a fake encoder")
    part.add_argument("--cores", type=int, default=2)
    part = parts.add_parser("search")
    part.add_argument("--count", type=int, default=6_000)
    part.add_argument("--queries", type=int, default=500)
    part.add_argument("--nice", type=int, default=10)
    part.add_argument("--beside", choices=sorted(START), default="import", help="what the worker does")
    args = parser.parse_args()
    if args.part == "bare":
        print(*bare_loop(args.archive, args.count, args.model, args.cores))
    else:
        with tempfile.TemporaryDirectory() as folder:
            {"rate": rate, "memory": memory, "search": search}[args.part](args, folder)


if __name__ == "__main__":
    main()
