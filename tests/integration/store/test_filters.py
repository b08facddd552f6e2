"""A filter finds in SQL exactly the pictures that the domain lets pass."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.domain.errors import InvalidFilter
from app.domain.filters import Every, Filter, Match, Range, parse_filter, term_of, word_term
from app.store.engine import Database
from tests.integration.store.pictures import add, make_collection, new_image

# Few keys and values, so that conditions often hold; among them what databases compare in their own way.
KEYS = st.sampled_from(["brand", "Brand", "year", "é", "e\u0301", "", "a'b", "a", "b"])
PATHS = st.one_of(KEYS, st.sampled_from(["a.a", "a.b", "b.a", "a.b.a", "year.a", "a." + "k" * 300]))
TEXTS = st.sampled_from(
    [
        "acme",
        "ACME",
        "acme ",
        "",
        "1",
        "true",
        "é",
        "e\u0301",
        "%",
        "x" * 255 + "ab",
        "x" * 255 + "ac",
        "x" * 256,
        "o:",
    ]
)
NUMBERS = st.sampled_from(
    [
        *(0, -0.0, 1, 1.0, -1, 2020, 0.1, 0.1 + 0.2, 1e308, -1e308, 5e-324, 1e22, 1e23, 10**23),
        *(2**53, 2**53 + 1, -(2**53), -(2**53) - 1, float(2**53), 2**63 - 1, 2**63, 2**64 + 1, float(2**64)),
        *(10**300, 10**300 + 1, -(10**300), 1234567890123456789, 1234567890123456788),
    ]
)
SCALARS = st.one_of(TEXTS, NUMBERS, st.booleans())
VALUES = st.recursive(
    st.one_of(SCALARS, st.none()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(KEYS, st.just("k" * 300)), inner, max_size=2),
    ),
    max_leaves=6,
)
METADATA = st.dictionaries(KEYS, VALUES, max_size=4)
BOUNDS = st.dictionaries(st.sampled_from(["gt", "gte", "lt", "lte"]), NUMBERS, min_size=1, max_size=2)
CONDITIONS = st.one_of(
    st.builds(lambda key, value: Match(term_of(key, value)), PATHS, SCALARS),
    st.builds(lambda key, bounds: Range(key, **bounds), PATHS, BOUNDS),
    st.builds(
        lambda words: Every(tuple(Match(word_term(word)) for word in words)),
        st.lists(st.sampled_from(["acme", "é", "1", "true", "o", "x" * 256]), min_size=1, max_size=2),
    ),
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


@pytest.mark.slow
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
                assert sorted(await unit.images.numbers_among(collection.pk, numbers, wanted)) == expected
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


@pytest.mark.anyio
async def test_metadata_reads_back_as_it_was_written(database: Database):
    collection = await make_collection(database)
    document = {
        "ids": [2**53 + 1, 2**64 + 1, -(10**300) - 1, 1234567890123456789],
        "x": {"y": [1.0, -0.0, 5e-324]},
    }
    [number] = await add(database, collection, new_image("a", metadata=document))

    async with database.read() as unit:
        stored = (await unit.images.by_numbers(collection.pk, [number]))[number].metadata
    assert json.dumps(stored) == json.dumps(document)


@pytest.mark.anyio
@pytest.mark.parametrize("side", ["must", "must_not"])
async def test_a_key_that_only_holds_objects_is_refused(database: Database, side: str):
    collection = await make_collection(database)
    metadata = [{"camera": {"make": "acme"}, "mixed": "a"}, {"camera": [{}], "mixed": {"x": 1}}]
    await add(database, collection, *(new_image(f"{i}", metadata=m) for i, m in enumerate(metadata)))

    async def check(key: str) -> None:
        async with database.read() as unit:
            await unit.images.check_filter(
                collection.pk,
                parse_filter({side: [{"key": key, "match": "acme"}, {"key": "mixed", "match": 1}]}),
            )

    with pytest.raises(InvalidFilter) as refusal:
        await check("camera")
    assert [error.detail for error in refusal.value.errors] == [
        "'camera' is an object; use the path of a value in it, such as 'camera.name'"
    ]
    for key in ("camera.make", "mixed", "mixed.x", "unknown"):
        await check(key)
