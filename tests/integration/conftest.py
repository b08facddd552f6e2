"""What every integration test needs."""

import pytest

from tests.fixtures.shared_models import shared_models  # noqa: F401


@pytest.fixture
def anyio_backend() -> str:
    """Asynchronous tests run on asyncio, which is what the service runs on."""
    return "asyncio"
