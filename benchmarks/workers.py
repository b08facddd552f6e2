"""Let one worker process and several share an import on one Postgres, and compare the CPU time of a picture.

On a machine with free cores, the rate would grow with the workers as far as CPU time a picture stays the same.
Without ``--archive`` the pictures are small drawn JPEGs that all differ. ``--url`` names an empty Postgres;
by default one is started for the run.

    python benchmarks/workers.py [--archive cifar10.zip] [--count 60000] [--workers 1 4] [--model lite2-256]
"""

import argparse
import asyncio
import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psycopg
from PIL import Image

from app.bootstrap import open_serving
from app.services.importing.imports import ImportOptions, SourceKind
from app.settings import Settings
from benchmarks.postgres import postgres

ROOT = Path(__file__).resolve().parents[1]


def pictures_of(archive: Path | None, count: int) -> Iterator[tuple[str, bytes]]:
    if archive is None:
        rng = np.random.default_rng(0)
        for i in range(count):
            colours = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
            out = io.BytesIO()
            Image.fromarray(colours).resize((64, 64)).save(out, "JPEG")
            yield f"{i:07}.jpg", out.getvalue()
        return
    with zipfile.ZipFile(archive) as source:
        names = [name for name in source.namelist() if name.endswith((".jpg", ".png"))]
        for name in names[:count]:
            yield name, source.read(name)


def spent_s(pid: int) -> float:
    """CPU seconds of a process and its living children."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        children = [p.read_text().split() for p in Path(f"/proc/{pid}/task").glob("*/children")]
    except FileNotFoundError:
        return 0.0
    own = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return own + sum(spent_s(int(child)) for some in children for child in some)


def settings_of(folder: Path, url: str, model: str) -> dict[str, str]:
    return {
        "LOOKALIKE_DATA_DIR": str(folder / "data"),
        "LOOKALIKE_PICTURES_URL": (folder / "store").as_uri(),
        "LOOKALIKE_DATABASE_URL": url,
        "LOOKALIKE_DEFAULT_MODEL": model,
        "LOOKALIKE_DECODE_CHILDREN": "1",
        "LOOKALIKE_ENCODER_THREADS": "1",
        "LOOKALIKE_MAX_ARCHIVE_ENTRIES": "2000000",
        "LOOKALIKE_LOG_LEVEL": "warning",
    }


async def queue(archive: Path, collection: str) -> str:
    async with open_serving(Settings()) as services:
        # Not by the service of collections, which waits for indexes to be loaded.
        async with services.database.write() as unit:
            await unit.collections.create(
                collection, model=services.settings.models.default_model, keeps="copies"
            )
        view = await services.imports.from_upload(
            archive, SourceKind.ARCHIVE, ImportOptions(collection=collection)
        )
        return view.record.id


def state_of(url: str, job_id: str) -> tuple[str, int]:
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        row = connection.execute("SELECT state, done FROM jobs WHERE id = %s", (job_id,)).fetchone()
    assert row is not None
    return row


def parts_by_owner(url: str, job_id: str) -> int:
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        row = connection.execute("SELECT count(*) FROM job_parts WHERE job_id = %s", (job_id,)).fetchone()
    return 0 if row is None else row[0]


def run(archive: Path, folder: Path, url: str, workers: int, model: str) -> dict[str, float]:
    """Let workers share an import; measure from the first batch to the last."""
    os.environ.update(settings_of(folder, url, model))
    job_id = asyncio.run(queue(archive, f"by-{workers}"))
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "app.cli.main", "worker", "--until-stdin-ends"],
            cwd=ROOT, stdin=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT), "LOOKALIKE_DATA_DIR": str(folder / f"worker-{i}")},
        )
        for i in range(workers)
    ]  # fmt: skip
    try:
        begun: tuple[float, int, list[float]] | None = None
        spent = [0.0] * workers
        state, done = "queued", 0
        while state in {"queued", "running"}:
            time.sleep(0.2)
            spent = [spent_s(process.pid) or before for process, before in zip(processes, spent, strict=True)]
            state, done = state_of(url, job_id)
            if done and begun is None:
                begun = time.perf_counter(), done, spent
        seconds = time.perf_counter()
        assert state == "succeeded", state
        assert begun is not None
    finally:
        for process in processes:
            assert process.stdin is not None
            process.stdin.close()
        for process in processes:
            process.wait()
    count = done - begun[1]
    by_worker = [after - before for after, before in zip(spent, begun[2], strict=True)]
    return {
        "workers": workers,
        "pictures": done,
        "parts": parts_by_owner(url, job_id),
        "per_s": count / (seconds - begun[0]),
        "worker_ms": sum(by_worker) * 1e3 / count,
        "least_share": min(by_worker) / sum(by_worker),
        "cores": sum(by_worker) / (seconds - begun[0]),
    }


def main() -> None:
    # As after Ctrl-C, so that servers are stopped.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--archive", type=Path)
    parser.add_argument("--count", type=int, default=60_000)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--model", default="lite2-256")
    parser.add_argument("--url", help="an empty Postgres database, postgresql+psycopg://…")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
        folder = Path(scratch)
        archive = folder / "pictures.zip"
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as packed:
            for name, content in pictures_of(options.archive, options.count):
                packed.writestr(name, content)
        url = stack.enter_context(postgres(options.url))
        url = url if "+" in url.partition("://")[0] else url.replace("postgresql", "postgresql+psycopg", 1)
        results = []
        for workers in options.workers:
            # Each import has an archive and a collection of its own: nothing is stored before it.
            copy = folder / f"pictures-{workers}.zip"
            copy.write_bytes(archive.read_bytes())
            results.append(run(copy, folder, url, workers, options.model))
            print({name: round(value, 2) for name, value in results[-1].items()}, flush=True)
    first = results[0]
    for other in results[1:]:
        print(
            f"{other['workers']} workers: CPU time a picture {other['worker_ms'] / first['worker_ms']:.2f} "
            f"times that of {first['workers']}; load of the machine {os.getloadavg()[0]:.1f}"
        )
    if options.json:
        options.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
