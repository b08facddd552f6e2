"""Add a term for each word of the texts in metadata.

The rules are copied from the application, because a migration must produce the same rows even if the
application changes.
"""

import re
import unicodedata
from collections.abc import Iterator
from hashlib import sha256
from itertools import islice
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "2026_11_30_1812"
down_revision = "2026_11_30_1810"
branch_labels = None
depends_on = None

BATCH = 2_000
ROWS = 20_000
"""Rows inserted at a time: the texts of one picture may have thousands of words."""
MAX_CHARS = 256
KEY = "\u212b"
WORD = re.compile(r"[^\W_]+")

TERMS = sa.table(
    "image_terms",
    sa.column("collection_pk"),
    sa.column("key", sa.Text),
    sa.column("term", sa.Text),
    sa.column("number"),
)
IMAGES = sa.table("images", sa.column("number"), sa.column("collection_pk"), sa.column("metadata", sa.JSON))


def upgrade() -> None:
    connection = op.get_bind()
    last = -1
    while True:
        page = sa.select(IMAGES).where(IMAGES.c.number > last).order_by(IMAGES.c.number).limit(BATCH)
        pictures = connection.execute(page).all()
        if not pictures:
            return
        last = pictures[-1].number
        rows = (
            {"collection_pk": pk, "key": KEY, "term": f"w:{word}", "number": number}
            for number, pk, metadata in pictures
            for word in {_bounded(word) for text in _texts(metadata) for word in _words(text)}
        )
        while some := list(islice(rows, ROWS)):
            connection.execute(sa.insert(TERMS), some)


def downgrade() -> None:
    op.execute(sa.delete(TERMS).where(TERMS.c.key == KEY))


def _texts(metadata: dict[str, Any]) -> Iterator[str]:
    waiting: list[Any] = [metadata]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, str):
            yield value


def _words(text: str) -> list[str]:
    return WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def _bounded(text: str) -> str:
    text = unicodedata.normalize("NFC", text)
    return text if len(text) <= MAX_CHARS else text[:MAX_CHARS] + sha256(text.encode()).hexdigest()
