"""Measure searches per second with one and with several serving processes, by wrk.

The peer of N processes on N cores is one process on one core, in the same run. wrk costs little, but with N
processes it shares their cores. Its CPU time is measured, and ``per_core_second`` is the searches for each
second of a core that the service got, whoever else used the machine.

    python benchmarks/processes.py [--processes 2] [--seconds 8] [--connections 32] [--json FILE]
"""

import argparse
import asyncio
import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2

from app.settings import Settings
from benchmarks.request_cost import ROOT, cpu_ms, fill

SCRIPT = """
local n = tonumber(os.getenv("PICTURES"))
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
request = function()
  return wrk.format(nil, "/search", nil, '{"image_id": "p' .. math.random(0, n - 1) .. '"}')
end
"""


def tree(pid: int) -> list[int]:
    """A process and its descendants."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(found for child in children for found in tree(int(child)))]


@contextmanager
def serving(data_dir: Path, processes: int, port: int, cores: set[int]) -> Iterator[int]:
    """Run the service on some cores until the block ends; yields its process id."""
    command = [
        sys.executable,
        "-m",
        "app.cli.main",
        "serve",
        "--port",
        str(port),
        "--processes",
        str(processes),
    ]
    env = {**os.environ, "LOOKALIKE_DATA_DIR": str(data_dir), "LOOKALIKE_LOG_LEVEL": "warning"}
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    process = subprocess.Popen(command, env=env, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    os.sched_setaffinity(0, before)
    try:
        assert process.stdout is not None
        print(process.stdout.readline().strip(), file=sys.stderr)
        with suppress(httpx2.HTTPError):
            httpx2.get(f"http://127.0.0.1:{port}/readyz")
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def run(data_dir: Path, processes: int, arguments: argparse.Namespace, script: Path) -> dict[str, Any]:
    """Measure the service with so many processes."""
    with serving(data_dir, processes, arguments.port, set(range(processes))) as pid:
        command = [
            *["wrk", "-t", "1", "-c", str(arguments.connections), "-d", f"{arguments.seconds}s", "--latency"],
            *["-s", str(script), f"http://127.0.0.1:{arguments.port}"],
        ]
        env = {**os.environ, "PICTURES": str(arguments.pictures)}
        subprocess.run([*command[:6], "2s", *command[7:]], env=env, check=True, capture_output=True)
        server_before, start = sum(map(cpu_ms, tree(pid))), time.perf_counter()
        client_before = _children_s()
        done = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
        wall_s = time.perf_counter() - start
        server_s = (sum(map(cpu_ms, tree(pid))) - server_before) / 1e3
        client_s = _children_s() - client_before
    answered = int(re.search(r"(\d+) requests in", done.stdout)[1])
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", done.stdout)
    p50, p99 = (re.search(rf"{q}%\s+(\S+)", done.stdout)[1] for q in (50, 99))
    return {
        "processes": processes,
        "connections": arguments.connections,
        "requests_per_s": round(answered / wall_s, 1),
        "p50": p50,
        "p99": p99,
        "failed": int(failed[1]) if failed else 0,
        "server_cpu_ms_per_request": round(1e3 * server_s / answered, 3),
        "server_cores": round(server_s / wall_s, 2),
        "client_cores": round(client_s / wall_s, 2),
        "per_core_second": round(answered / server_s, 1),
    }


def _children_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Parse arguments, measure, print."""
    # As after Ctrl-C, so that servers are stopped.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--port", type=int, default=8475)
    parser.add_argument("--json", help="write the rows here")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "search.lua"
        script.write_text(SCRIPT)
        settings = Settings(data_dir=Path(folder) / "data")
        asyncio.run(fill(settings, arguments.pictures))
        for processes in (1, arguments.processes):
            rows.append(run(settings.storage.data_dir, processes, arguments, script))
            print(json.dumps(rows[-1]), flush=True)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
