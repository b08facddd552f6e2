"""Fixtures that every test may use."""

import pytest

pytest_plugins = ["tests.fixtures.database", "tests.fixtures.server"]


@pytest.fixture
def anyio_backend() -> str:
    """The service runs on asyncio, so its tests do."""
    return "asyncio"
