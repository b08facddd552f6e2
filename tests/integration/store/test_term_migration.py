"""The step to exact terms converts what an earlier version has stored."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from app.domain.filters import parse_filter
from app.store.driver.connections import parse_url
from app.store.engine import Database
from app.store.schema import migrate
from tests.fixtures.database import MIGRATIONS
from tests.integration.store.pictures import MODEL, add, make_collection, new_image

BEFORE = "2026_11_30_0650"
NOW = datetime(2026, 11, 25, tzinfo=UTC)

DOCUMENTS: list[dict[str, Any]] = [
    {"tweet": 1234567890123456789, "v": -0.0, "text": "x" * 300},
    {"tweet": 1234567890123456788, "v": 0, "text": "x" * 256 + "y"},
    {"camera": {"make": "acme", "lenses": [{"mm": 35}, {"mm": 50.5}]}, "flag": True, "n": [1, 1.0, None]},
    {"large": 2**64 + 1, "deep": {"k" * 300: 10**300}, "beyond": {"v": 10**400}},
    {"e\u0301": ["e\u0301"]},
    {},
]


def connect(url: str) -> sa.Engine:
    return sa.create_engine(parse_url(url, asynchronous=False), poolclass=sa.NullPool)


def write_as_before(url: str) -> None:
    """What the version before kept: numbers as doubles, texts cut off, and nothing of nested objects."""
    engine, tables = connect(url), sa.MetaData()
    tables.reflect(engine)
    rows: list[dict[str, Any]] = [
        {"collection_pk": 1, "key": "tweet", "term": f"n:{float(1234567890123456789)!r}", "number": n + 10}
        for n in (0, 1)
    ]
    rows = [row | {"value_number": float(1234567890123456789)} for row in rows]
    rows.append({"collection_pk": 1, "key": "v", "term": "n:-0.0", "number": 10, "value_number": -0.0})
    model = {"name": MODEL, "digest": "d", "bits": 16, "descriptor_bytes": 0, "origin": "shipped"}
    collection = {"pk": 1, "name": "default", "model": MODEL, "keeps": "copies"}
    image = {"collection_pk": 1, "sha256": "s", "width": 1, "height": 1, "media_type": "image/png"}
    image |= {"size_bytes": 1, "has_bytes": True, "revision": 1, "created_at": NOW, "updated_at": NOW}
    with engine.begin() as connection:
        connection.execute(
            sa.insert(tables.tables["models"]), model | {"document": {}, "location": "", "created_at": NOW}
        )
        connection.execute(
            sa.insert(tables.tables["collections"]), collection | {"created_at": NOW, "updated_at": NOW}
        )
        connection.execute(
            sa.insert(tables.tables["images"]),
            [
                image | {"number": n + 10, "change": n + 10, "image_id": f"{n}", "metadata": document}
                for n, document in enumerate(DOCUMENTS)
            ],
        )
        connection.execute(sa.insert(tables.tables["image_terms"]), rows)


def stored_terms(url: str) -> set[tuple[Any, ...]]:
    with connect(url).connect() as connection:
        query = sa.text("SELECT * FROM image_terms WHERE collection_pk = 1")
        return {
            tuple(bytes(v) if isinstance(v, memoryview) else v for v in row)
            for row in connection.execute(query)
        }


@pytest.mark.anyio
async def test_old_rows_are_found_by_exact_value(empty_database_url: str):
    migrate.upgrade(empty_database_url, MIGRATIONS, BEFORE)
    write_as_before(empty_database_url)

    migrate.upgrade(empty_database_url, MIGRATIONS)

    database = Database.open(empty_database_url)
    expected = {
        '{"key": "tweet", "match": 1234567890123456789}': [10],
        '{"key": "tweet", "range": {"lt": 1234567890123456789}}': [11],
        '{"key": "v", "match": 0}': [10, 11],
        '{"key": "text", "match": "' + "x" * 300 + '"}': [10],
        '{"key": "camera.make", "match": "acme"}': [12],
        '{"key": "camera.lenses.mm", "range": {"gt": 50}}': [12],
        '{"key": "flag", "match": true}': [12],
        '{"key": "flag", "match": 1}': [],
        '{"key": "n", "match": 1}': [12],
        '{"key": "é", "match": "é"}': [14],
        '{"key": "large", "match": 18446744073709551617}': [13],
        '{"key": "deep.' + "k" * 300 + '", "range": {"gte": 1' + "0" * 300 + "}}": [13],
    }
    async with database.read() as unit:
        found = {
            text: (await unit.images.numbers_matching(1, parse_filter({"must": [json.loads(text)]}))).tolist()
            for text in expected
        }
    assert found == expected
    await database.close()


@pytest.mark.anyio
async def test_the_step_writes_what_the_application_would(empty_database_url: str):
    migrate.upgrade(empty_database_url, MIGRATIONS, BEFORE)
    write_as_before(empty_database_url)
    migrate.upgrade(empty_database_url, MIGRATIONS)
    migrated = stored_terms(empty_database_url)
    with connect(empty_database_url).begin() as connection:
        for table in ("image_terms", "images", "collections", "models"):
            connection.execute(sa.text(f"DELETE FROM {table}"))

    database = Database.open(empty_database_url)
    collection = await make_collection(database)
    pictures = [new_image(f"{i}", metadata=document) for i, document in enumerate(DOCUMENTS)]
    numbers = await add(database, collection, *pictures)
    await database.close()
    with connect(empty_database_url).begin() as connection:
        connection.execute(
            sa.text("UPDATE image_terms SET collection_pk = 1, number = number - :less"),
            {"less": numbers[0] - 10},
        )
    assert stored_terms(empty_database_url) == migrated


def test_the_step_back_restores_the_rounded_terms(empty_database_url: str):
    migrate.upgrade(empty_database_url, MIGRATIONS, BEFORE)
    write_as_before(empty_database_url)
    migrate.upgrade(empty_database_url, MIGRATIONS)

    migrate.downgrade(empty_database_url, MIGRATIONS, BEFORE)

    terms = stored_terms(empty_database_url)
    rounded = float(1234567890123456789)
    assert {(1, "tweet", f"n:{rounded!r}", n, rounded) for n in (10, 11)} < terms
    assert not any(key.startswith("camera") for _, key, *_ in terms)
