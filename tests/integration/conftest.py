"""What every integration test needs."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """Asynchronous tests run on asyncio, which is what the service runs on."""
    return "asyncio"
