"""Two servers on one database: what one acknowledges, the other finds soon."""

import os
import time

import pytest

from app.settings import Settings
from tests.process.gallery import labelled_pictures
from tests.process.oracle import Oracle, ranking
from tests.process.test_real_pictures import add_all, found, search

MANY = bool(os.environ.get("LOOKALIKE_SOAK"))


@pytest.fixture(scope="module")
def pictures():
    return labelled_pictures(290 if MANY else 90, 20 if MANY else 10)


@pytest.fixture(scope="module")
def expected(pictures):
    """The answer to each query, (id, distance) of the nearest 20."""
    gallery, queries = pictures
    oracle = Oracle(Settings().models.default_model)
    codes = oracle.codes([p.content for p in gallery])
    return [
        [(gallery[i].name, d) for i, d in ranking(codes, code, 20)]
        for code in oracle.codes([q.content for q in queries])
    ]


def until_equal(read, expected, within_s: float = 60.0) -> None:
    """Return when ``read()`` gives ``expected``; fail at the deadline with what it gave last.

    The deadline leaves room for a busy machine; polls come several times a second.
    """
    begun = time.monotonic()
    while (last := read()) != expected:
        assert time.monotonic() - begun < within_s, f"still {last!r} instead of {expected!r}"
        time.sleep(0.01)


def test_each_process_reads_the_feed_several_times_a_second():
    assert Settings().search.poll_interval_s <= 0.5


def check_two_servers(first, second, pictures, expected) -> None:
    gallery, queries = pictures
    with first.client() as one, second.client() as two:
        add_all(one, gallery)
        version = one.get("/info").json()["index_version"]
        until_equal(lambda: two.get("/readyz").json()["index_version"], version)

        for query, answer in zip(queries, expected, strict=True):
            assert found(search(one, query.content)) == answer
            assert found(search(two, query.content)) == answer

        two.delete(f"/images/{gallery[0].name}")
        until_equal(lambda: gallery[0].name in search(one, gallery[0].content)["exact_matches"], expected=False)
        until_equal(lambda: gallery[0].name in dict(found(search(one, gallery[0].content))), expected=False)
        one.post("/collections", json={"name": "second"})
        until_equal(lambda: two.get("/collections/second").status_code, 200)
        two.put("/images/x?collection=second", content=queries[0].content)
        until_equal(lambda: found(search(one, queries[0].content, collection="second")), [("x", 0)])


@pytest.mark.slow
@pytest.mark.postgres
def test_on_postgres(start, tmp_path, postgres_url, pictures, expected):
    env = {"LOOKALIKE_DATABASE_URL": postgres_url, "LOOKALIKE_PICTURES_URL": (tmp_path / "pictures").as_uri()}
    first = start(data_dir=tmp_path / "one", env=env)
    second = start(data_dir=tmp_path / "two", env=env)

    check_two_servers(first, second, pictures, expected)


@pytest.mark.slow
def test_on_sqlite(start, pictures, expected):
    check_two_servers(start(), start(), pictures, expected)
