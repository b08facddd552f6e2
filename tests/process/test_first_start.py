"""A start without cached kernels: a search answers, and the next start finds all of them compiled."""

import json
import os
import shutil
from pathlib import Path

import pytest

from app.index.kernel_cache import ensure_kernel_cache, kernel_cache
from tests.api.conftest import draw
from tests.fixtures.kernels import compile_kernels
from tests.process.workers import wait_for

pytestmark = pytest.mark.slow


def events(server) -> list[str]:
    return [json.loads(line)["event"] for line in server.log.read_text().splitlines()]


def fill_in_part(folder: Path) -> None:
    """Copy the kernels of this process without those of scans and groups: compiling all takes half a minute."""
    compile_kernels()
    ensure_kernel_cache()
    shutil.copytree(kernel_cache(), folder / kernel_cache().name)
    for path in folder.rglob("*"):
        if path.name.startswith(("complete-", "scan_kernels.", "pairs.")):
            path.unlink()


def test_the_first_start_compiles_and_the_second_does_not(start, tmp_path):
    env = {
        "NUMBA_CACHE_DIR": str(tmp_path / "kernels"),
        "LOOKALIKE_DEFAULT_MODEL": "paper-32",
    }
    if not os.environ.get("LOOKALIKE_SOAK"):
        fill_in_part(tmp_path / "kernels")
    first = start(env=env)
    with first.client() as http:
        http.put("/images/a", content=draw(1))
        # Among them kernels that a plain search does not use, which may not be compiled yet.
        turned = http.post("/search", files={"file": draw(1)}, data={"orientations": "8"})
        groups = http.get("/duplicates", params={"max_distance": 1})
    assert (turned.status_code, turned.json()["items"][0]["id"]) == (200, "a")
    assert groups.status_code == 200
    assert events(first).count("kernels_compiling") == 1
    wait_for(lambda: list((tmp_path / "kernels").glob("kernels-*/complete-*")))
    first.stop()

    assert "kernels_compiling" not in events(start(env=env))
