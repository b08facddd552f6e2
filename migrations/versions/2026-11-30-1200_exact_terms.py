"""Make terms exact for large integers, long strings, Unicode forms, -0.0 and values in nested objects.

Derives the terms of all pictures from their metadata again. The rules are copied from the application, because
a migration must produce the same rows even if the application changes.
"""

import json
import math
import struct
import sys
import unicodedata
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "2026_11_30_1200"
down_revision = "2026_11_30_0650"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
BATCH = 2_000
MAX_CHARS = 256
LARGEST = int(sys.float_info.max)

Value = float | bytes | None
Terms = Callable[[dict[str, Any]], Iterator[tuple[str, str, Value]]]


def upgrade() -> None:
    _rebuild(sa.Column("number_order", sa.LargeBinary()), _exact_terms)


def downgrade() -> None:
    _rebuild(sa.Column("value_number", sa.Double()), _rounded_terms)


def _rebuild(value: sa.Column[Any], terms_of: Terms) -> None:
    op.drop_table("image_terms")
    table = op.create_table(
        "image_terms",
        sa.Column("collection_pk", NUMBER, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("term", sa.Text(), nullable=False),
        sa.Column("number", NUMBER, nullable=False),
        value,
        sa.PrimaryKeyConstraint("collection_pk", "key", "term", "number", name="pk_image_terms"),
        sqlite_with_rowid=False,
    )
    _fill(table, value.name, terms_of)
    op.create_index(
        f"ix_image_terms_collection_pk_key_{value.name}_number",
        "image_terms",
        ["collection_pk", "key", value.name, "number"],
        sqlite_where=sa.text(f"{value.name} IS NOT NULL"),
        postgresql_where=sa.text(f"{value.name} IS NOT NULL"),
    )
    op.create_index("ix_image_terms_number", "image_terms", ["number"])


def _fill(table: sa.Table, value: str, terms_of: Terms) -> None:
    images = sa.table("images", sa.column("number"), sa.column("collection_pk"), sa.column("metadata", sa.JSON))
    connection = op.get_bind()
    last = -1
    while True:
        page = sa.select(images).where(images.c.number > last).order_by(images.c.number).limit(BATCH)
        pictures = connection.execute(page).all()
        if not pictures:
            return
        last = pictures[-1].number
        rows = [
            {"collection_pk": pk, "key": key, "term": term, "number": number, value: order}
            for number, pk, metadata in pictures
            for key, term, order in dict.fromkeys(terms_of(metadata))
        ]
        if rows:
            connection.execute(sa.insert(table), rows)


def _exact_terms(metadata: dict[str, Any]) -> Iterator[tuple[str, str, Value]]:
    waiting = list(metadata.items())
    while waiting:
        path, value = waiting.pop()
        key = _bounded(path)
        if isinstance(value, dict):
            yield key, "o:", None
            waiting.extend((f"{path}.{inner}", below) for inner, below in value.items())
        elif isinstance(value, list):
            waiting.extend((path, element) for element in value)
        elif isinstance(value, bool):
            yield key, f"b:{json.dumps(value)}", None
        elif isinstance(value, str):
            yield key, f"s:{_bounded(value)}", None
        elif isinstance(value, int | float) and abs(value) <= LARGEST:
            number = float(value)
            exact = (number or 0.0) if number == value else value
            yield key, f"n:{exact!r}", _order(exact)


def _bounded(text: str) -> str:
    text = unicodedata.normalize("NFC", text)
    return text if len(text) <= MAX_CHARS else text[:MAX_CHARS] + sha256(text.encode()).hexdigest()


def _order(number: float) -> bytes:
    lower = float(number)
    if lower > number:
        lower = math.nextafter(lower, -math.inf)
    (bits,) = struct.unpack(">Q", struct.pack(">d", lower or 0.0))
    key = struct.pack(">Q", bits ^ (2**64 - 1) if bits >> 63 else bits | 2**63)
    if lower == number:
        return key
    distance = int(number) - int(lower)
    octets = distance.to_bytes((distance.bit_length() + 7) // 8, "big")
    return key + bytes([len(octets)]) + octets


def _rounded_terms(metadata: dict[str, Any]) -> Iterator[tuple[str, str, Value]]:
    """The terms of before: of scalars at the first level, with numbers as doubles and texts cut off."""
    for key, value in metadata.items():
        for element in value if isinstance(value, list) else [value]:
            if isinstance(element, bool):
                yield key, f"b:{json.dumps(element)}", None
            elif isinstance(element, int | float):
                yield key, f"n:{float(element)!r}", float(element)
            elif isinstance(element, str):
                yield key, f"s:{element[:MAX_CHARS]}", None
