"""A filter finds in SQL exactly the pictures that the domain lets pass."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.domain.filters import Filter, Match, Range, parse_filter, term_of
from app.store.engine import Database
from tests.integration.store.pictures import add, make_collection, new_image

# Few keys and values, so that conditions often hold; among them what databases compare in their own way.
KEYS = st.sampled_from(["brand", "Brand", "year", "é", "e\u0301", "", "a'b"])
TEXTS = st.sampled_from(
    ["acme", "ACME", "acme ", "", "1", "true", "é", "e\u0301", "%", "x" * 255 + "ab", "x" * 256]
)
NUMBERS = st.sampled_from(
    [0, -0.0, 1, 1.0, -1, 2020, 0.1, 0.1 + 0.2, 1e308, -1e308, 5e-324, 2**53, 2**53 + 1, 1e22]
)
SCALARS = st.one_of(TEXTS, NUMBERS, st.booleans())
VALUES = st.one_of(SCALARS, st.none(), st.lists(st.one_of(SCALARS, st.none()), max_size=4), st.just({"in": 1}))
METADATA = st.dictionaries(KEYS, VALUES, max_size=4)
BOUNDS = st.dictionaries(
    st.sampled_from(["gt", "gte", "lt", "lte"]), NUMBERS.map(float), min_size=1, max_size=2
)
CONDITIONS = st.one_of(
    st.builds(lambda key, value: Match(term_of(key, value)), KEYS, SCALARS),
    st.builds(lambda key, bounds: Range(key, **bounds), KEYS, BOUNDS),
)
FILTERS = st.builds(
    Filter,
    must=st.lists(CONDITIONS, max_size=3).map(tuple),
    must_not=st.lists(CONDITIONS, max_size=2).map(tuple),
)


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """One event loop for every example, because a pool's connections belong to their loop."""
    with asyncio.Runner() as one:
        yield one


def test_sql_and_domain_agree_on_every_picture(database_url: str, runner: asyncio.Runner):
    database = Database.open(database_url)
    collection = runner.run(make_collection(database))
    other = runner.run(make_collection(database, "other"))

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(METADATA, min_size=1, max_size=8), st.lists(FILTERS, min_size=1, max_size=6))
    def agree(documents: list[dict[str, Any]], filters: list[Filter]) -> None:
        runner.run(compare(documents, filters))

    async def compare(documents: list[dict[str, Any]], filters: list[Filter]) -> None:
        pictures = [new_image(f"{i}", metadata=document) for i, document in enumerate(documents)]
        numbers = await add(database, collection, *pictures)
        await add(database, other, *pictures)
        async with database.read() as unit:
            for wanted in filters:
                expected = [n for n, d in zip(numbers, documents, strict=True) if wanted.matches(d)]
                found = await unit.images.numbers_matching(collection.pk, wanted)
                page = await unit.images.page(collection.pk, 0, 100, wanted)
                assert found.tolist() == expected, wanted
                assert [image.number for image in page] == expected
                assert await unit.images.count(collection.pk, wanted) == len(expected)
        async with database.write() as unit:
            for pk in (collection.pk, other.pk):
                every = await unit.images.numbers_matching(pk, Filter())
                await unit.images.delete(pk, every.tolist())

    agree()
    runner.run(database.close())


@pytest.mark.anyio
async def test_a_filter_pages_by_cursor(database: Database):
    collection = await make_collection(database)
    numbers = await add(
        database, collection, *(new_image(f"{i}", metadata={"odd": bool(i % 2)}) for i in range(9))
    )
    odd = parse_filter({"must": [{"key": "odd", "match": True}]})

    async with database.read() as unit:
        first = await unit.images.page(collection.pk, 0, 3, odd)
        second = await unit.images.page(collection.pk, first[-1].number, 3, odd)

    assert [image.number for image in first + second] == numbers[1::2]


@pytest.mark.anyio
async def test_many_conditions_at_once_are_no_problem(database: Database):
    collection = await make_collection(database)
    document = {f"k{i}": i for i in range(16)}
    [number, _] = await add(database, collection, new_image("a", metadata=document), new_image("b"))
    wanted = parse_filter(
        {
            "must": [{"key": f"k{i}", "match": i} for i in range(16)],
            "must_not": [{"key": f"k{i}", "range": {"gt": i}} for i in range(16)],
        }
    )

    async with database.read() as unit:
        assert (await unit.images.numbers_matching(collection.pk, wanted)).tolist() == [number]
