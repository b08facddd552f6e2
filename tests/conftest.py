"""Fixtures that every test may use, and how tests are shared among parallel workers."""

import gc
import os
import sys

if "PYTEST_XDIST_WORKER" in os.environ:
    # Before anything loads a BLAS: the workers fill the processors, so threads would only wait for one another.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")

from pathlib import Path

import pytest
import structlog

from tests.fixtures.environment import remove_settings

# Before a module under test reads its settings, and before a process is started.
remove_settings(os.environ)
sys.dont_write_bytecode = False

pytest_plugins = ["tests.fixtures.database", "tests.fixtures.decoder", "tests.fixtures.server"]

HERE = Path(__file__).parent
LONGEST_FIRST = ("process", "learning", "browser", "cli")
"""Folders whose tests start servers or train, in the order that workers begin them; what begins
last should be short."""
LONGEST_MODULES = ("test_model_life", "test_import_faults", "test_real_pictures", "test_backup_faults")


def pytest_configure() -> None:
    """Import the modules of all tests without collecting garbage: they create millions of objects that stay."""
    gc.disable()


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    """Collect garbage from here on, without traversing those objects."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the modules that take longest; a parallel run keeps each module with one worker."""
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> tuple[int, int]:
    folder, module = item.path.relative_to(HERE).parts[0], item.path.stem
    return _place(folder, LONGEST_FIRST), _place(module, LONGEST_MODULES)


def _place(name: str, names: tuple[str, ...]) -> int:
    return names.index(name) if name in names else len(names)


@pytest.fixture(autouse=True)
def _default_logging() -> None:
    """Undo the log level of an earlier test in this process; it would hide events from ``capture_logs``."""
    structlog.reset_defaults()


@pytest.fixture
def anyio_backend() -> str:
    """The service runs on asyncio, so its tests do."""
    return "asyncio"
