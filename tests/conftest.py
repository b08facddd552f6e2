"""Fixtures that every test may use, and how tests are shared among parallel workers."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    # Before anything loads a BLAS: the workers fill the processors, so threads would only wait for one another.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")

from pathlib import Path

import pytest
import structlog

pytest_plugins = ["tests.fixtures.database", "tests.fixtures.server"]

HERE = Path(__file__).parent
LONGEST_FIRST = ("process", "learning", "browser", "cli")
"""Folders whose tests start servers, train or share what takes long to make, in the order that workers begin
them: a long module that began last would have the other workers wait for it."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep each module of the slow folders with one worker, and begin with those."""
    for item in items:
        folder = item.path.relative_to(HERE).parts[0]
        if folder in LONGEST_FIRST:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
    order = {folder: place for place, folder in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: order.get(item.path.relative_to(HERE).parts[0], len(order)))


@pytest.fixture(autouse=True)
def _default_logging() -> None:
    """Undo the log level of an earlier test in this process; it would hide events from ``capture_logs``."""
    structlog.reset_defaults()


@pytest.fixture
def anyio_backend() -> str:
    """The service runs on asyncio, so its tests do."""
    return "asyncio"
