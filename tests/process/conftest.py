"""What several tests of real processes share."""

import pytest

from tests.fixtures.database import BOTH
from tests.process.several import service_on


@pytest.fixture(params=BOTH)
def service(request, tmp_path, start):
    """Servers and workers on a database of either kind."""
    if request.param == "postgres":
        database_url = request.getfixturevalue("postgres_url")
    else:
        database_url = f"sqlite:///{tmp_path / 'shared.db'}"
    yield from service_on(database_url, tmp_path, start)
