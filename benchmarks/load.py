"""Load the service with clients that search, add and delete, and say what they were answered.

Locust runs the clients against a server on a fresh folder, first 64, then 128. A client that gets 429 or 503
waits as long as ``Retry-After`` says. Any answer but 2xx and these two is a failure. Meanwhile a probe sends
heads of uploads whose bodies never come: it measures how soon those that are refused get their answer.

    pip install -r requirements/bench.lock
    python benchmarks/load.py [--quick | --seconds 300] [--clients 64 128] [--places 64] [--json FILE]
"""

import argparse
import contextlib
import csv
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
PICTURES = "LOAD_PICTURES"
"""Environment variable: folder of the pictures that clients send."""

if PICTURES in os.environ:
    import gevent
    from locust import FastHttpUser, constant, task

    CONTENTS = [path.read_bytes() for path in sorted(Path(os.environ[PICTURES]).iterdir())]

    class LoadClient(FastHttpUser):
        """Searches six times for each addition, and deletes half of what it adds."""

        wait_time = constant(0)
        network_timeout = 60.0
        connection_timeout = 60.0

        def on_start(self) -> None:
            """Begin with nothing added."""
            self.added = []

        @task(6)
        def search_by_upload(self) -> None:
            """Search with a picture."""
            self.ask("search by upload", "POST", "/search", files={"file": random.choice(CONTENTS)})

        @task(6)
        def search_by_id(self) -> None:
            """Search with a stored picture."""
            number = random.randrange(len(CONTENTS))
            self.ask("search by id", "POST", "/search", json={"image_id": f"kept-{number}"})

        @task(2)
        def add(self) -> None:
            """Add a picture under a new id."""
            name = f"load-{random.getrandbits(64):x}"
            form = {"files": random.choice(CONTENTS)}
            if self.ask("add", "POST", "/index", files=form, data={"ids": json.dumps([name])}):
                self.added.append(name)

        @task(1)
        def delete(self) -> None:
            """Delete a picture that this client added."""
            if self.added:
                self.ask("delete", "DELETE", f"/images/{self.added.pop()}")

        def ask(
            self,
            name: str,
            method: str,
            path: str,
            *,
            files: dict[str, bytes] | None = None,
            data: dict[str, str] | None = None,
            json: dict[str, str] | None = None,
        ) -> bool:
            """Send one request; return whether it was done."""
            body, headers = (None, {}) if files is None else form_of(files, data or {})
            with self.client.request(
                method, path, name=name, data=body, json=json, headers=headers, catch_response=True
            ) as answer:
                wait = answer.headers.get("retry-after") if answer.headers else None
                if answer.status_code in {429, 503} and wait is not None:
                    # Told to wait: an answer of its own kind, beside those that were served.
                    answer.request_meta["name"] = f"{answer.status_code}"
                    answer.success()
                    gevent.sleep(float(wait) * random.uniform(0.8, 1.2))
                    return False
                if 200 <= answer.status_code < 300:
                    answer.success()
                    return True
                answer.failure(f"{answer.status_code}")
                return False


def form_of(files: dict[str, bytes], data: dict[str, str]) -> tuple[bytes, dict[str, str]]:
    """A multipart body and its head."""
    parts = [
        f'--b0\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'.encode() for k, v in data.items()
    ]
    for name, content in files.items():
        head = f'--b0\r\nContent-Disposition: form-data; name="{name}"; filename="a.jpg"\r\n\r\n'
        parts.append(head.encode() + content + b"\r\n")
    return b"".join([*parts, b"--b0--\r\n"]), {"Content-Type": "multipart/form-data; boundary=b0"}


@contextlib.contextmanager
def server(
    folder: Path, *arguments: str, environment: Mapping[str, str] | None = None
) -> Iterator[tuple[str, int]]:
    """Run a server on the folder ``data`` below ``folder``; yields its URL and process id."""
    environment = {
        **os.environ, "LOOKALIKE_DATA_DIR": str(folder / "data"), "LOOKALIKE_PORT": "0", **(environment or {})
    }  # fmt: skip
    log = (folder / "server.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "app.cli.main", "serve", *arguments],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=log, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found is not None, (folder / "server.log").read_text()[-2000:]
        yield found.group(), process.pid
    finally:
        process.terminate()
        process.wait(30)


def resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def fill(url: str, pictures: list[bytes]) -> None:
    for i, content in enumerate(pictures):
        body, headers = form_of({"files": content}, {"ids": json.dumps([f"kept-{i}"])})
        urllib.request.urlopen(urllib.request.Request(f"{url}/index", body, headers), timeout=60).close()


class RefusalProbe:
    """Sends heads of uploads, without a byte of their bodies, and measures how soon refusals come."""

    GIVEN_UP_S = 0.3
    """A request that is not refused by then was admitted, and waits for its body."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname, parts.port)
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._probe)
        self.taken_ms: list[float] = []
        self.admitted = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _probe(self) -> None:
        while not self._is_over.wait(0.05):
            for path in ("/search", "/index"):
                taken = self._ask(path)
                if taken is None:
                    self.admitted += 1
                else:
                    self.taken_ms.append(taken)

    def _ask(self, path: str) -> float | None:
        head = (
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000000\r\n"
            "Content-Type: multipart/form-data; boundary=b0\r\n\r\n"
        )
        with socket.create_connection(self._address) as connection:
            begun = time.perf_counter()
            connection.sendall(head.encode())
            connection.settimeout(self.GIVEN_UP_S)
            try:
                line = connection.recv(65_536).partition(b"\r\n")[0]
            except TimeoutError:
                return None
            taken = (time.perf_counter() - begun) * 1e3
        assert line.split()[1] in {b"429", b"503"}, line
        return taken

    def result(self) -> dict[str, float]:
        """The number of refusals, and their times in milliseconds."""
        ordered = sorted(self.taken_ms)
        found: dict[str, float] = {"refused": len(ordered), "admitted": self.admitted}
        if ordered:
            found["p50_ms"] = round(ordered[len(ordered) // 2], 1)
            found["p99_ms"] = round(ordered[int(len(ordered) * 0.99)], 1)
            found["within_50_ms"] = round(sum(one <= 50 for one in ordered) / len(ordered), 3)
        return found


def run(url: str, pid: int, clients: int, seconds: int, folder: Path) -> dict:
    """Run the clients; return rates, latencies in milliseconds and memory in megabytes."""
    prefix = folder / f"load-{clients}"
    command = [
        sys.executable, "-m", "locust", "-f", __file__, "--headless", "--only-summary", "--host", url,
        "--users", str(clients), "--spawn-rate", str(clients), "--run-time", f"{seconds}s",
        "--csv", str(prefix), "--exit-code-on-error", "0", "--loglevel", "ERROR",
    ]  # fmt: skip
    environment = {**os.environ, PICTURES: str(folder / "pictures")}
    load = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with RefusalProbe(url) as probe:
        time.sleep(min(60, seconds / 2))
        early = resident_mb(pid)
        load.wait()
    with Path(f"{prefix}_stats.csv").open() as file:
        rows = {row["Name"]: row for row in csv.DictReader(file)}
    rows.pop("Aggregated")
    kinds = {
        name: {
            "requests": int(row["Request Count"]),
            "failures": int(row["Failure Count"]),
            "p50_ms": float(row["50%"]),
            "p99_ms": float(row["99%"]),
        }
        for name, row in rows.items()
    }
    served = sum(one["requests"] - one["failures"] for name, one in kinds.items() if not name.isdigit())
    return {
        "clients": clients,
        "served_per_s": round(served / seconds, 1),
        "early_mb": round(early),
        "end_mb": round(resident_mb(pid)),
        "machine_load": round(os.getloadavg()[0], 1),
        "refusals_without_body": probe.result(),
        "kinds": kinds,
    }


def main() -> None:
    # As after Ctrl-C, so that servers are stopped.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="20 seconds instead of 5 minutes")
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--places", type=int, help="requests in flight in each lane; 503 beyond them")
    parser.add_argument("--clients", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    from tools.sample_gallery import draw_gallery  # noqa: PLC0415

    places = {} if options.places is None else {
        "LOOKALIKE_MAX_REQUESTS_IN_FLIGHT": str(options.places),
        "LOOKALIKE_MAX_REQUESTS_IN_FLIGHT_PER_CALLER": str(options.places),
    }  # fmt: skip
    results = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "pictures").mkdir()
        pictures = [picture.jpeg for picture in draw_gallery()]
        for i, content in enumerate(pictures):
            (folder / "pictures" / f"{i:04}.jpg").write_bytes(content)
        for clients in options.clients:
            run_folder = folder / str(clients)
            run_folder.mkdir()
            with server(run_folder, environment=places) as (url, pid):
                fill(url, pictures)
                result = run(url, pid, clients, 20 if options.quick else options.seconds, folder)
            results.append(result)
            print(
                f"{clients} clients: {result['served_per_s']} served/s, "
                f"{result['early_mb']} MB half-way, {result['end_mb']} MB at the end, "
                f"load of the machine {result['machine_load']}"
            )
            print(f"  refused without a body: {result['refusals_without_body']}")
            for name, one in sorted(result["kinds"].items()):
                print(f"  {name}: {one}")
    first, *others = results
    for other in others:
        share = other["served_per_s"] / first["served_per_s"]
        print(f"{other['clients']} clients are served {share:.0%} of what {first['clients']} are")
    if options.json:
        options.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
