"""Kernels are made ready whether or not a child process can compile them."""

import os
import sys

import pytest
from structlog.testing import capture_logs

from app.index import warm_up
from app.services.index_sync import kernels
from app.services.index_sync.kernels import Kernels

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def nothing_cached(monkeypatch):
    """As on a first start; this process has the kernels, or gets them from the cache."""
    warm_up.warm_up()
    monkeypatch.setattr(kernels, "are_kernels_loaded", lambda: False)
    monkeypatch.setattr(kernels, "all_cached", lambda: False)


@pytest.fixture
async def made():
    opened = Kernels()
    yield opened
    await opened.close()


async def test_a_child_process_compiles_on_a_first_start(made):
    with capture_logs() as logs:
        await made.ready()
        await made.ready()

    assert [line["event"] for line in logs] == ["kernels_compiling"]


async def test_without_a_child_process_this_one_compiles(made, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")

    with capture_logs() as logs:
        await made.ready()

    assert [line["event"] for line in logs] == ["kernels_compiling", "kernel_compiler_not_started"]


async def test_a_child_process_that_fails_is_replaced_by_this_one(made, monkeypatch, tmp_path):
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))

    with capture_logs() as logs:
        await made.ready()

    assert [(line["event"], line.get("status")) for line in logs] == [
        ("kernels_compiling", None),
        ("kernel_compiler_failed", 3),
    ]


async def test_closing_ends_a_child_process_that_is_still_compiling(made, monkeypatch, tmp_path):
    slow = tmp_path / "python"
    slow.write_text(f"#!/bin/sh\necho {warm_up.SEARCH_READY}\nexec sleep 600\n")
    slow.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(slow))
    await made.ready()
    # Signals of a terminal go to the whole group of this process.
    assert os.getpgid(made._child.pid) != os.getpgid(0)

    await made.close()

    assert made._child.returncode == -9
