"""A database file that is deleted, moved or replaced under the service takes no writes."""

import sqlite3

import pytest

from app.domain.errors import DatabaseUnavailable
from app.store.engine import Database

pytestmark = pytest.mark.anyio


@pytest.fixture
def file(sqlite_url: str):
    from app.store.driver.connections import sqlite_file

    return sqlite_file(sqlite_url)


async def write(database: Database) -> None:
    async with database.write() as unit:
        await unit.secrets.get_or_create("x")


@pytest.mark.parametrize("is_replaced", [False, True])
async def test_nothing_is_written_to_a_file_that_is_gone(sqlite_url: str, file, is_replaced):
    database = Database.open(sqlite_url)
    await write(database)
    aside = file.with_name("aside.db")
    file.rename(aside)
    if is_replaced:
        sqlite3.connect(file).close()
        file.touch()

    for attempt in (database.write, database.freeing, database.sign_of_life):
        with pytest.raises(DatabaseUnavailable, match=r"gone|not the one"):
            async with attempt():
                pass
    with pytest.raises(DatabaseUnavailable):
        await database.check_room()
    with pytest.raises(DatabaseUnavailable):
        database.check_identity()

    aside.rename(file)
    await write(database)
    await database.close()


async def test_a_write_during_which_the_file_goes_is_not_confirmed(sqlite_url: str, file):
    database = Database.open(sqlite_url)

    async def write_and_lose() -> None:
        async with database.write() as unit:
            await unit.secrets.get_or_create("x")
            file.unlink()

    with pytest.raises(DatabaseUnavailable, match="gone"):
        await write_and_lose()
    await database.close()


async def test_a_connection_creates_no_file(sqlite_url: str, file):
    database = Database.open(sqlite_url)
    file.rename(file.with_name("aside.db"))

    with pytest.raises(DatabaseUnavailable):
        async with database.read() as unit:
            await unit.keys.list()

    assert not file.exists()
    await database.close()
