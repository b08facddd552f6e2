"""What a database does wrong is told in words that say what to mend."""

import contextlib
import sqlite3

import pytest
import sqlalchemy as sa

from app.domain.errors import DatabaseUnavailable, InvalidRequest
from app.store.driver.faults import domain_faults
from app.store.engine import Database
from tests.integration.store.pictures import make_collection


def test_a_database_that_is_read_only_says_so(tmp_path):
    file = tmp_path / "a.db"
    with sa.create_engine(f"sqlite:///{file}").begin() as connection:
        connection.execute(sa.text("create table t (x)"))
    engine = sa.create_engine(f"sqlite:///file:{file}?mode=ro&uri=true")

    with pytest.raises(DatabaseUnavailable, match="read-only"), domain_faults(), engine.begin() as connection:
        connection.execute(sa.text("insert into t values (1)"))
    engine.dispose()


def test_a_database_file_that_cannot_be_opened_says_so(tmp_path):
    engine = sa.create_engine(f"sqlite:///{tmp_path}/none/a.db")

    with pytest.raises(DatabaseUnavailable, match="cannot be opened"), domain_faults(), engine.connect():
        pass


@pytest.mark.anyio
async def test_a_lookup_tells_of_a_file_that_cannot_be_opened_and_makes_none(tmp_path):
    file = tmp_path / "a.db"
    database = Database.open(f"sqlite:///{file}")

    with pytest.raises(DatabaseUnavailable, match="cannot be opened"):
        await database.lookups.image(1, "a")

    assert not file.exists()
    await database.close()


@pytest.mark.anyio
async def test_a_lookup_waits_for_a_lock_no_longer_than_it_may(sqlite_url):
    database = Database.open(sqlite_url, busy_timeout_s=0.1)
    other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")

    with pytest.raises(DatabaseUnavailable):
        await database.lookups.image(1, "a")
    other.execute("ROLLBACK")
    other.close()

    assert await database.lookups.image(1, "a") is None
    await database.close()


@pytest.mark.anyio
async def test_an_id_with_nul_is_no_fault_of_the_database(database: Database):
    collection = await make_collection(database)
    found = []
    with contextlib.suppress(InvalidRequest):
        found += await database.lookups.by_ids(collection.pk, ["a\0b"])
    with contextlib.suppress(InvalidRequest):
        async with database.read() as unit:
            found += await unit.images.get_many(collection.pk, ["a\0b"])

    assert found == []
