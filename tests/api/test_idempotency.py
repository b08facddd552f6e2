"""``Idempotency-Key``: done once, answered alike."""

import errno
import sqlite3
import tempfile
from contextlib import closing
from functools import partial

import pytest

from app.domain.access import Scope as AccessScope
from app.domain.errors import DatabaseUnavailable
from app.services.access.idempotency import digest_of_body
from app.services.access.keys import Keys, Rights
from app.store.access.idempotency import IdempotentAnswers
from tests.api.conftest import assert_problem, draw

KEY = {"idempotency-key": "order-1"}


def test_the_same_write_again_gets_the_same_answer_again(api):
    first = api.add(draw(1), ids=["a"], headers=KEY)
    api.client.delete("/images/a")

    second = api.add(draw(1), ids=["a"], headers=KEY)

    assert (second.status_code, second.json()) == (first.status_code, first.json())
    assert second.headers["idempotency-replayed"] == "true"
    assert api.ids(api.search(draw(1))) == []


def test_a_key_with_another_request_is_refused(api):
    api.add(draw(1), ids=["a"], headers=KEY)

    assert_problem(api.add(draw(2), ids=["a"], headers=KEY), 422, "validation_failed")


def test_a_refusal_is_remembered_too(api):
    first = api.add(b"no picture", headers=KEY)

    second = api.add(b"no picture", headers=KEY)

    assert (second.status_code, second.json()["code"]) == (first.status_code, "not_an_image")


def test_a_key_that_cannot_be_one_is_refused(api):
    assert_problem(api.add(draw(1), headers={"idempotency-key": "x" * 256}), 422, "validation_failed")


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_the_digest_does_not_depend_on_boundary_or_chunks(size):
    def body(boundary: bytes) -> bytes:
        return b"--" + boundary + b"\r\nhead\r\n\r\ncontent\r\n--" + boundary + b"--\r\n"

    def chunks(whole: bytes):
        return [whole[i : i + size] for i in range(0, len(whole), size)]

    expected = digest_of_body([body(b"abcabd")], b"abcabd")
    assert digest_of_body(chunks(body(b"xyzzy-long-one")), b"xyzzy-long-one") == expected
    assert digest_of_body([body(b"abcabd").replace(b"content", b"other")], b"abcabd") != expected


def rows(settings) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(settings.storage.data_dir / "lookalike.db")) as connection:
        return connection.execute("SELECT state, path FROM idempotency").fetchall()


def test_a_request_whose_process_died_is_done_again_after_its_lease(api, settings):
    api.add(draw(1), ids=["a"], headers=KEY)
    with closing(sqlite3.connect(settings.storage.data_dir / "lookalike.db")) as connection, connection:
        connection.execute(
            "UPDATE idempotency SET state = 'in_flight', lease_until = '2999-01-01 00:00:00.000000'"
        )
    assert_problem(api.add(draw(1), ids=["a"], headers=KEY), 409, "request_in_flight")
    with closing(sqlite3.connect(settings.storage.data_dir / "lookalike.db")) as connection, connection:
        connection.execute("UPDATE idempotency SET lease_until = '2020-01-01 00:00:00.000000'")

    again = api.add(draw(1), ids=["a"], headers=KEY)

    assert again.json()["items"][0]["status"] == "unchanged"
    assert api.add(draw(1), ids=["a"], headers=KEY).headers["idempotency-replayed"] == "true"


@pytest.mark.parametrize("step", ["finish", "renew"])
def test_a_database_that_fails_after_the_answer_breaks_nothing(api, monkeypatch, step):
    async def fail(*_args, **_kwargs) -> None:
        raise DatabaseUnavailable(retry_after_s=1)

    monkeypatch.setattr("app.services.access.idempotency.RENEW_EVERY_S", 0.02)
    monkeypatch.setattr(IdempotentAnswers, step, fail)

    answer = api.add(draw(1), ids=["a"], headers=KEY)

    assert (answer.status_code, answer.json()["counts"]) == (201, {"created": 1})
    assert api.ids(api.search(draw(1))) == ["a"]


def test_a_refused_or_reading_request_stores_nothing(api, settings):
    api.client.post("/session", headers=KEY)
    api.client.post("/v1/session", headers=KEY)
    api.client.post("/healthz", headers=KEY)
    api.client.post("/page/x", headers=KEY)
    api.add(draw(1), ids=["a"])
    api.search(draw(1), headers=KEY)
    api.client.post("/v1/search", json={"image_id": "a"}, headers=KEY)

    assert rows(settings) == []


def test_strangers_store_nothing(api, settings):
    services = api.client.app.state.services
    made = api.client.portal.call(partial(Keys(services.database).create, "reader", Rights(AccessScope.SEARCH)))
    api.client.portal.call(services.keyring.refresh)

    for headers in ({}, {"authorization": "Bearer lk_wrong"}, {"authorization": f"Bearer {made.text}"}):
        for path in ("/session", "/index", "/images/delete", "/search", "/unknown", "/"):
            api.client.post(path, json={"ids": []}, headers=KEY | headers)

    assert rows(settings) == []


def test_a_full_temporary_disk_is_said_to_be_full(api, monkeypatch):
    def fail(_self):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "rollover", fail)
    content = draw(1) + bytes(100_000)

    assert_problem(api.add(content, ids=["a"], headers={"Idempotency-Key": "full"}), 507, "storage_full")
