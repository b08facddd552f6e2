"""What a statement costs on SQLite, and what it leaves behind."""

import logging

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from app.store.driver.connections import Timeouts, open_engines

pytestmark = pytest.mark.anyio

PLACES = sa.Table(
    "places", sa.MetaData(), sa.Column("number", sa.Integer, primary_key=True), sa.Column("name", sa.Text)
)


@pytest.fixture
async def connection(tmp_path):
    (tmp_path / "a.db").touch()  # as the migration does
    engines = open_engines(
        f"sqlite:///{tmp_path / 'a.db'}",
        sqlite_synchronous="FULL",
        pool_size=1,
        timeouts=Timeouts(busy_s=5, statement_s=5, idle_in_transaction_s=5),
    )
    async with engines.writers.begin() as connection:
        await connection.execute(sa.schema.CreateTable(PLACES))
        await connection.execute(sa.insert(PLACES), [{"number": i, "name": f"n{i}"} for i in range(5)])
        yield connection
    await engines.dispose()


async def test_a_statement_takes_one_turn_of_its_connections_thread(connection, caplog):
    # The driver tells of each turn.
    with caplog.at_level(logging.DEBUG, "aiosqlite"):
        await connection.execute(sa.insert(PLACES), [{"number": 7, "name": "a"}, {"number": 8, "name": "b"}])
        rows = await connection.execute(sa.select(PLACES).order_by(PLACES.c.number.desc()).limit(2))
        changed = await connection.execute(sa.update(PLACES).where(PLACES.c.number > 6).values(name="c"))
        turns = [record for record in caplog.records if record.message.startswith("executing")]

    assert [tuple(row) for row in rows] == [(8, "b"), (7, "a")]
    assert changed.rowcount == 2
    assert len(turns) == 3


async def test_rows_that_are_not_read_keep_nothing_locked(connection):
    rows = await connection.execute(sa.select(PLACES))
    assert rows.fetchone() == (0, "n0")

    await connection.execute(sa.schema.DropTable(PLACES))

    assert [row.number for row in rows] == [1, 2, 3, 4]


async def test_a_statement_that_fails_leaves_its_connection_usable(connection):
    with pytest.raises(IntegrityError):
        await connection.execute(sa.insert(PLACES), [{"number": 0, "name": "again"}])

    returned = await connection.execute(
        sa.insert(PLACES).values(number=9, name="new").returning(PLACES.c.number)
    )
    assert returned.scalar_one() == 9
    assert await connection.scalar(sa.select(sa.func.count()).select_from(PLACES)) == 6
