"""Requests that wait for the turn to write are written together, each with its own outcome."""

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager

import pytest

from app.domain.duplicates import OnDuplicate
from app.domain.errors import DatabaseUnavailable, ModelMismatch, PreconditionFailed, UnknownImage
from app.domain.ids import sha256_hex
from app.services.pictures.grouped_writes import GroupedAdditions, GroupedChanges
from app.services.pictures.preparing import PreparedImage
from app.store.engine import Database
from tests.integration.store.pictures import MODEL, code_for, make_collection, new_image

pytestmark = pytest.mark.anyio


class CountedWrites:
    """A database that counts its write units, and may refuse them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.units = 0
        self.error: Exception | None = None
        self.on_unit: Callable[[int], object] = lambda _: None

    @asynccontextmanager
    async def write(self):
        self.units += 1
        self.on_unit(self.units)
        if self.error is not None:
            raise self.error
        async with self._database.write() as unit:
            yield unit

    freeing = write


def prepared(*ids: str, **changes) -> list[PreparedImage]:
    return [PreparedImage(new_image(image_id, **changes), image_id.encode()) for image_id in ids]


async def stored(database: Database, pk: int) -> list[str]:
    async with database.read() as unit:
        return [record.image_id for record in await unit.images.page(pk, 0, 100)]


async def test_requests_that_wait_for_a_turn_share_one_and_get_their_own_outcomes(database: Database):
    pk = (await make_collection(database)).pk
    counted = CountedWrites(database)
    writes = GroupedAdditions(counted)

    async with database.write():
        waiting = [
            asyncio.create_task(writes.write(pk, prepared(f"{i}a", f"{i}b"), OnDuplicate.SKIP))
            for i in range(20)
        ]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert counted.units == 1
    written = await asyncio.gather(*waiting)

    assert counted.units == 1
    assert [[one.image_id for one in each.outcomes] for each in written] == [
        [f"{i}a", f"{i}b"] for i in range(20)
    ]
    assert {one.outcome for each in written for one in each.outcomes} == {"created"}
    assert len({each.change for each in written}) == 1
    assert len(await stored(database, pk)) == 40


async def test_requests_about_one_picture_see_each_other(database: Database):
    pk = (await make_collection(database)).pk
    writes = GroupedAdditions(database)

    first, same, other = await asyncio.gather(
        writes.write(pk, prepared("a"), OnDuplicate.REPLACE),
        writes.write(pk, prepared("a"), OnDuplicate.REPLACE),
        writes.write(pk, prepared("a", content=b"other"), OnDuplicate.REPLACE),
    )

    outcomes = [one.outcomes[0].outcome for one in (first, same, other)]
    assert outcomes == ["created", "unchanged", "replaced"]


@pytest.mark.parametrize("is_stored", [False, True])
async def test_of_several_pictures_with_one_id_the_last_remains(database: Database, is_stored):
    pk = (await make_collection(database)).pk
    writes = GroupedAdditions(database)
    if is_stored:
        await writes.write(pk, prepared("a"), OnDuplicate.SKIP)

    written = await writes.write(pk, prepared("a", content=b"other") + prepared("a"), OnDuplicate.REPLACE)

    async with database.read() as unit:
        record = await unit.images.get(pk, "a")
        codes = await unit.images.codes_of(pk, MODEL, [record.number])
    assert record.sha256 == sha256_hex(b"a")
    assert codes == {record.number: code_for(b"a")}
    assert [one.outcome for one in written.outcomes] == ["replaced" if is_stored else "created", "replaced"]


async def test_a_request_prepared_for_another_model_spoils_no_other(database: Database):
    pk = (await make_collection(database)).pk
    writes = GroupedAdditions(database)

    results = await asyncio.gather(
        writes.write(pk, prepared("a"), OnDuplicate.SKIP),
        writes.write(pk, prepared("b", codes=()), OnDuplicate.SKIP),
        writes.write(pk, prepared("c"), OnDuplicate.SKIP),
        return_exceptions=True,
    )

    assert isinstance(results[1], ModelMismatch)
    assert await stored(database, pk) == ["a", "c"]


async def test_a_request_that_cannot_be_written_fails_alone(database: Database):
    pk = (await make_collection(database)).pk
    writes = GroupedAdditions(database)

    results = await asyncio.gather(
        writes.write(pk, prepared("a"), OnDuplicate.SKIP),
        writes.write(pk, prepared("b", uri="half of a pair: \ud800"), OnDuplicate.SKIP),
        writes.write(pk, prepared("c"), OnDuplicate.SKIP),
        return_exceptions=True,
    )

    assert isinstance(results[1], Exception)
    assert await stored(database, pk) == ["a", "c"]


async def test_a_database_that_is_away_fails_all_who_wait_and_the_next_write_works(database: Database):
    pk = (await make_collection(database)).pk
    counted = CountedWrites(database)
    writes = GroupedAdditions(counted)
    counted.error = DatabaseUnavailable()

    results = await asyncio.gather(
        *(writes.write(pk, prepared(f"{i}"), OnDuplicate.SKIP) for i in range(3)), return_exceptions=True
    )
    counted.error = None
    await writes.write(pk, prepared("later"), OnDuplicate.SKIP)

    assert [type(one) for one in results] == [DatabaseUnavailable] * 3
    assert await stored(database, pk) == ["later"]


async def test_a_request_that_is_cancelled_before_its_turn_writes_nothing(database: Database):
    pk = (await make_collection(database)).pk
    writes = GroupedAdditions(database)

    async with database.write():
        left = asyncio.create_task(writes.write(pk, prepared("left"), OnDuplicate.SKIP))
        stays = asyncio.create_task(writes.write(pk, prepared("stays"), OnDuplicate.SKIP))
        await asyncio.sleep(0)
        left.cancel()
    await stays

    assert await stored(database, pk) == ["stays"]
    with pytest.raises(asyncio.CancelledError):
        await left


async def test_a_request_that_is_cancelled_while_each_is_written_alone_writes_nothing(database: Database):
    pk = (await make_collection(database)).pk
    counted = CountedWrites(database)
    writes = GroupedAdditions(counted)
    one, other, left, stays = (
        asyncio.create_task(writes.write(pk, pictures, OnDuplicate.SKIP))
        for pictures in (
            prepared("one"),
            prepared("other", codes=()),
            prepared("left"),
            prepared("stays"),
        )
    )
    # The first unit is the group's.
    counted.on_unit = lambda unit: unit == 2 and left.cancel()

    results = await asyncio.gather(one, other, left, stays, return_exceptions=True)

    assert [type(result) for result in results[1:3]] == [ModelMismatch, asyncio.CancelledError]
    assert await stored(database, pk) == ["one", "stays"]


async def test_a_database_that_goes_away_while_each_is_written_alone_is_not_asked_for_each(database: Database):
    pk = (await make_collection(database)).pk
    counted = CountedWrites(database)
    writes = GroupedAdditions(counted)

    def leave(unit: int) -> None:
        counted.error = DatabaseUnavailable() if unit == 3 else None

    counted.on_unit = leave
    results = await asyncio.gather(
        writes.write(pk, prepared("a"), OnDuplicate.SKIP),
        writes.write(pk, prepared("b", codes=()), OnDuplicate.SKIP),
        writes.write(pk, prepared("c"), OnDuplicate.SKIP),
        return_exceptions=True,
    )

    assert [type(one) for one in results[1:]] == [DatabaseUnavailable] * 2
    assert await stored(database, pk) == ["a"]


async def with_pictures(database: Database, *ids: str):
    record = await make_collection(database)
    await GroupedAdditions(database).write(record.pk, prepared(*ids), OnDuplicate.SKIP)
    return record


@pytest.mark.parametrize("is_deletion", [True, False])
async def test_changes_that_wait_for_a_turn_share_one_and_get_their_own_outcomes(
    database: Database, is_deletion
):
    record = await with_pictures(database, *(f"{i}" for i in range(20)))
    counted = CountedWrites(database)
    changes = GroupedChanges(counted)

    def change(image_id: str, revision: int | None = None):
        if is_deletion:
            return changes.delete(record, image_id, revision=revision)
        return changes.patch(record, image_id, {"metadata": {"new": image_id}}, revision=revision)

    async with database.write():
        waiting = [asyncio.create_task(change(f"{i}")) for i in range(18)]
        waiting += [asyncio.create_task(change("missing")), asyncio.create_task(change("19", revision=7))]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    results = await asyncio.gather(*waiting, return_exceptions=True)

    assert counted.units == 1
    assert [type(one) for one in results[-2:]] == [UnknownImage, PreconditionFailed]
    assert not any(isinstance(one, Exception) for one in results[:-2])
    assert repr(record.name) in results[-2].detail
    async with database.read() as unit:
        left = {one.image_id: one.metadata for one in await unit.images.page(record.pk, 0, 100)}
    if is_deletion:
        assert set(left) == {"18", "19"}
    else:
        assert {name for name, metadata in left.items() if metadata == {"new": name}} == {
            f"{i}" for i in range(18)
        }


async def test_two_deletions_of_one_picture_delete_it_once(database: Database):
    record = await with_pictures(database, "a")
    changes = GroupedChanges(database)

    results = await asyncio.gather(
        changes.delete(record, "a", revision=None),
        changes.delete(record, "a", revision=None),
        return_exceptions=True,
    )

    assert isinstance(results[0], int)
    assert isinstance(results[1], UnknownImage)


async def test_two_changes_of_one_revision_change_it_once(database: Database):
    record = await with_pictures(database, "a")
    changes = GroupedChanges(database)

    results = await asyncio.gather(
        *(changes.patch(record, "a", {"uri": f"u{i}"}, revision=1) for i in range(2)), return_exceptions=True
    )

    assert results[0][0].uri == "u0"
    assert isinstance(results[1], PreconditionFailed)
