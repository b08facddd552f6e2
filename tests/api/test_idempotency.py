"""``Idempotency-Key``: done once, answered alike."""

import pytest

from app.services.access.idempotency import digest_of_body
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
