"""Additions are refused while storage fails; searches go on, and additions work again without a restart."""

import sqlite3
from contextlib import closing

import pytest

from app.api.app import create_app
from app.domain.errors import StorageFull, StorageUnavailable
from app.store.driver.connections import WITHOUT_TRANSACTION
from tests.api.conftest import Api, assert_problem, draw, local_client


def assert_searches_go_on(api: Api) -> None:
    assert api.ids(api.search(draw(1), limit=1)) == ["a"]


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (StorageUnavailable("the picture store cannot be written to"), 503, "storage_unavailable"),
        (StorageFull("the disk under the pictures is full"), 507, "storage_full"),
    ],
)
def test_a_store_that_takes_no_files_refuses_additions_only(api, monkeypatch, error, status, code):
    api.add(draw(1), draw(2), ids=["a", "b"])
    preparation = api.client.app.state.services.add_images._preparation

    async def fail(_contents):
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(preparation._pictures, "put_many", fail)
        refused = api.add(draw(3), ids=["c"])
        assert_problem(refused, status, code)
        assert ("retry-after" in refused.headers) == (status == 503)
        assert_searches_go_on(api)
        assert api.client.delete("/images/b").status_code == 204
        assert api.client.get("/images/c").status_code == 404

    assert api.add(draw(3), ids=["c"]).status_code == 201


def test_a_read_only_database_refuses_additions_only(api, settings):
    api.add(draw(1), ids=["a"])
    engines = api.client.app.state.services.database._engines
    writers = engines.writers.execution_options(**{WITHOUT_TRANSACTION: True})

    async def set_read_only(is_on: bool) -> None:
        async with writers.connect() as connection:
            await connection.exec_driver_sql(f"PRAGMA query_only = {int(is_on)}")

    api.client.portal.call(set_read_only, True)
    refused = api.add(draw(3), ids=["c"])
    assert "read-only" in assert_problem(refused, 503, "database_unavailable")["detail"]
    assert "retry-after" in refused.headers
    assert_searches_go_on(api)

    api.client.portal.call(set_read_only, False)
    assert api.add(draw(3), ids=["c"]).status_code == 201


def test_a_locked_database_refuses_writes_after_a_while_only(settings):
    impatient = settings.replace(busy_timeout_s=1)
    with local_client(create_app(impatient, load_first=True)) as client:
        api = Api(client)
        api.add(draw(1), ids=["a"])
        with closing(
            sqlite3.connect(settings.storage.data_dir / "lookalike.db", isolation_level=None)
        ) as other:
            other.execute("BEGIN IMMEDIATE")
            for refused in (api.add(draw(3), ids=["c"]), client.delete("/images/a")):
                assert_problem(refused, 503, "database_unavailable")
                assert "retry-after" in refused.headers
            assert_searches_go_on(api)
            other.execute("ROLLBACK")
        assert api.add(draw(3), ids=["c"]).status_code == 201
