"""Keys, shared secrets and idempotency keys."""

from datetime import UTC, timedelta

import pytest

from app.domain.access import KeyRecord, Scope
from app.domain.changes import ChangeKind
from app.domain.errors import InvalidRequest, RequestInFlight, UnknownKey
from app.domain.idempotency import IdempotencyClaim, StoredAnswer
from app.store.engine import Database

pytestmark = pytest.mark.anyio


async def create_key(database: Database, key_id: str = "k1") -> KeyRecord:
    async with database.write() as unit:
        return await unit.keys.create(
            key_id=key_id, name="page", prefix="lk_abc", secret_hash="a" * 64, scope="write"
        )


async def test_a_key_reads_back_as_it_was_created(database: Database):
    created = await create_key(database)

    async with database.read() as unit:
        assert await unit.keys.get("k1") == created
        assert await unit.keys.get("k2") is None
        assert await unit.keys.list() == [created]
    assert (created.scope, created.revoked_at, created.last_used_at) == (Scope.WRITE, None, None)


async def test_a_revoked_key_stays(database: Database):
    await create_key(database)

    async with database.write() as unit:
        revoked = await unit.keys.revoke("k1")
    async with database.write() as unit:
        again = await unit.keys.revoke("k1")

    async with database.read() as unit:
        assert await unit.keys.list() == [revoked]
    assert revoked.revoked_at is not None
    assert again == revoked
    with pytest.raises(UnknownKey):
        async with database.write() as unit:
            await unit.keys.revoke("k2")


async def test_creating_and_revoking_a_key_is_told_in_the_feed(database: Database):
    await create_key(database)
    async with database.write() as unit:
        await unit.keys.revoke("k1")
        last = unit.last_change

    async with database.read() as unit:
        changes = await unit.feed.since(0)
    assert [change.kind for change in changes] == [ChangeKind.KEYS, ChangeKind.KEYS]
    assert changes[-1].change == last


async def test_using_a_key_is_remembered_without_a_change(database: Database):
    await create_key(database)

    async with database.write() as unit:
        await unit.keys.touch(["k1", "unknown"])
        assert unit.last_change == 0

    async with database.read() as unit:
        [key] = await unit.keys.list()
    assert key.last_used_at is not None
    assert key.last_used_at.tzinfo is UTC


async def test_a_secret_is_made_once(database: Database):
    async with database.write() as unit:
        assert await unit.secrets.get("signing") is None
        made = await unit.secrets.get_or_create("signing")
        other = await unit.secrets.get_or_create("other")
    async with database.write() as unit:
        again = await unit.secrets.get_or_create("signing")

    assert made == again != other
    assert len(made) == 32


LEASE = timedelta(minutes=1)
ANSWER = StoredAnswer(201, {"Location": "/images/ä"}, b"\0\xff{}")


async def begin(
    database: Database, lease: timedelta = LEASE, **changes: str
) -> StoredAnswer | IdempotencyClaim:
    request = {"scope_id": "me", "key": "k", "method": "POST", "path": "/index", "request_digest": "d" * 64}
    async with database.write() as unit:
        return await unit.idempotency.begin(**request | changes, lease=lease)


async def claim(database: Database, lease: timedelta = LEASE, **changes: str) -> IdempotencyClaim:
    begun = await begin(database, lease, **changes)
    assert isinstance(begun, IdempotencyClaim)
    return begun


async def finish(database: Database, begun: IdempotencyClaim, answer: StoredAnswer = ANSWER) -> None:
    async with database.write() as unit:
        await unit.idempotency.finish(begun, answer)


async def test_the_same_request_again_gets_the_same_answer(database: Database):
    await finish(database, await claim(database))

    assert await begin(database) == ANSWER
    await claim(database, scope_id="someone else")


async def test_a_key_in_flight_or_of_another_request_is_refused(database: Database):
    await begin(database)

    with pytest.raises(RequestInFlight):
        await begin(database)
    for difference in ({"request_digest": "e" * 64}, {"path": "/search"}, {"method": "PUT"}):
        with pytest.raises(InvalidRequest):
            await begin(database, **difference)


async def test_a_released_key_can_be_used_again(database: Database):
    begun = await claim(database)

    async with database.write() as unit:
        await unit.idempotency.release(begun)

    await claim(database, request_digest="e" * 64)


async def test_a_request_whose_process_died_is_taken_over(database: Database):
    dead = await claim(database, -LEASE)

    successor = await claim(database)
    with pytest.raises(RequestInFlight):
        await begin(database)
    # The first was only frozen: it changes nothing of its successor's.
    await finish(database, dead, StoredAnswer(500, {}, b""))
    async with database.write() as unit:
        await unit.idempotency.release(dead)
    await finish(database, successor)

    assert await begin(database) == ANSWER


async def test_a_renewed_lease_holds(database: Database):
    begun = await claim(database, -LEASE)

    async with database.sign_of_life() as unit:
        await unit.idempotency.renew(begun, LEASE)

    with pytest.raises(RequestInFlight):
        await begin(database)


async def prune(database: Database, before: timedelta, *, max_answers: int = 100, max_bytes: int = 100) -> int:
    async with database.write() as unit:
        return await unit.idempotency.prune(unit.now + before, max_answers=max_answers, max_bytes=max_bytes)


async def test_old_and_abandoned_idempotency_keys_are_forgotten(database: Database):
    await begin(database)
    await begin(database, -LEASE, key="abandoned")

    assert await prune(database, timedelta(hours=-1)) == 1
    with pytest.raises(RequestInFlight):
        await begin(database)
    assert await prune(database, timedelta(hours=1)) == 1
    await claim(database)


@pytest.mark.parametrize("bounds", [{"max_answers": 2}, {"max_bytes": 2 * len(ANSWER.body) + 1}])
async def test_the_newest_answers_are_kept_within_bounds(database: Database, bounds: dict[str, int]):
    for key in "abcd":
        await finish(database, await claim(database, key=key))
    await begin(database, key="in flight")

    assert await prune(database, timedelta(hours=-1), **bounds) == 2

    assert [await begin(database, key=key) == ANSWER for key in "abcd"] == [False, False, True, True]
    with pytest.raises(RequestInFlight):
        await begin(database, key="in flight")


async def test_an_ended_session_is_remembered_until_it_would_have_expired(database: Database):
    async with database.write() as unit:
        past, future = unit.now - timedelta(seconds=1), unit.now + timedelta(hours=1)
        await unit.keys.end_session("old", past)
        await unit.keys.end_session("one", future)
        await unit.keys.end_session("one", future)

    async with database.read() as unit:
        assert await unit.keys.ended_sessions() == {"one"}
        assert {change.kind for change in await unit.feed.since(0)} == {ChangeKind.KEYS}
