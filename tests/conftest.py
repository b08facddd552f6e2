"""Fixtures that every test may use, and how tests are shared among parallel workers."""

import gc
import os
import sys

if "PYTEST_XDIST_WORKER" in os.environ:
    # Before anything loads a BLAS: the workers fill the processors, so threads would only wait for one another.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")

import pytest
import structlog

from tests.fixtures.environment import remove_settings
from tests.fixtures.order import turn_of

# Before a module under test reads its settings, and before a process is started.
remove_settings(os.environ)
sys.dont_write_bytecode = False

pytest_plugins = ["tests.fixtures.database", "tests.fixtures.decoder", "tests.fixtures.server"]


def pytest_configure() -> None:
    """Import the modules of all tests without collecting garbage: they create millions of objects that stay."""
    gc.disable()


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    """Collect garbage from here on, without traversing those objects."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the modules that take longest."""
    items.sort(key=lambda item: turn_of(item.path))


@pytest.fixture(autouse=True)
def _default_logging() -> None:
    """Undo the log level of an earlier test in this process; it would hide events from ``capture_logs``."""
    structlog.reset_defaults()


@pytest.fixture
def anyio_backend() -> str:
    """The service runs on asyncio, so its tests do."""
    return "asyncio"
