"""Stop-watch of what a user waits for: the help, a start without cached kernels, and the starts after it.

Each start is ``lookalike serve --samples --worker`` on an empty data folder, as in ``make run``, until the
ready line. CPU seconds are of all its processes until then; wall seconds depend on other work of the machine.

    python benchmarks/first_start.py [--runs 3]
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMMAND = [sys.executable, "-m", "app.cli.main"]
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_of(pid: int) -> float:
    """CPU seconds of a process, its dead children, and its living descendants."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        children = [
            int(child)
            for path in Path(f"/proc/{pid}/task").glob("*/children")
            for child in path.read_text().split()
        ]
    except FileNotFoundError:
        return 0.0
    return sum(map(int, stat[11:15])) / TICKS + sum(map(cpu_of, children))


def start(data_dir: Path, kernels: Path) -> tuple[float, float]:
    """CPU and wall seconds of one start."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "LOOKALIKE_DATA_DIR": str(data_dir),
        "NUMBA_CACHE_DIR": str(kernels),
    }
    begun = time.perf_counter()
    with subprocess.Popen(
        [*COMMAND, "serve", "--port", "0", "--samples", "--worker"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        cwd=data_dir,
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        seconds = cpu_of(process.pid), time.perf_counter() - begun
        assert b"ready" in line, "the service did not get ready"
        process.send_signal(signal.SIGTERM)
    return seconds


def compile_all(kernels: Path) -> tuple[float, float]:
    """CPU and wall seconds of compiling every kernel, as the installation does."""
    return command([sys.executable, "-m", "app.index.warm_up"], {"NUMBA_CACHE_DIR": str(kernels)})


def command(words: list[str], env: dict[str, str]) -> tuple[float, float]:
    begun, before = time.perf_counter(), os.times()
    subprocess.run(
        words, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(ROOT), **env}
    )
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return cpu, time.perf_counter() - begun


def measure(runs: int) -> Iterator[tuple[str, list[tuple[float, float]]]]:
    yield "lookalike --help", [command([*COMMAND, "--help"], {}) for _ in range(runs)]
    cold, warm, compiled = [], [], []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            for name in ("kernels", "first", "second", "all"):
                (folder / name).mkdir()
            cold.append(start(folder / "first", folder / "kernels"))
            compiled.append(compile_all(folder / "all"))
            warm.append(start(folder / "second", folder / "all"))
    yield "first start, no kernels cached", cold
    yield "every kernel compiled", compiled
    yield "first start, kernels cached", warm


def main() -> None:
    # As after Ctrl-C, so that servers are stopped.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    print(f"{'':32}{'CPU s':>8}{'wall s':>8}  (medians of {options.runs})")
    for name, seconds in measure(options.runs):
        cpu, wall = (statistics.median(column) for column in zip(*seconds, strict=True))
        print(f"{name:32}{cpu:8.2f}{wall:8.2f}", flush=True)


if __name__ == "__main__":
    main()
