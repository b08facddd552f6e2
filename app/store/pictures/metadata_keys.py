"""Read which metadata keys and values the pictures of a collection have."""

from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.filters import MAX_TERM_CHARS, OBJECT_TAG, WORDS_KEY, Scalar
from app.domain.numbers import Number
from app.store.schema.tables import image_terms

_TAG_CHARS: Final = 2


@dataclass(frozen=True, slots=True)
class MetadataKey:
    """A metadata key and what its pictures have under it."""

    key: str
    values: tuple[Scalar, ...]
    """Distinct values in the order of the index, at most as many as were asked for."""
    has_more: bool
    """Whether there are further values."""
    least: Number | None
    """The smallest number; None where no value is a number."""
    greatest: Number | None


class MetadataReader:
    """Reads keys and values from the inverted index, with one look-up for each of them."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def keys(self, collection_pk: int, *, max_keys: int, max_values: int) -> list[MetadataKey]:
        """Return the first keys in alphabetical order, each with its first values."""
        in_collection = sa.and_(image_terms.c.collection_pk == collection_pk, image_terms.c.key != WORDS_KEY)
        names = await self._connection.scalars(_distinct(image_terms.c.key, in_collection, max_keys))
        # A path that was shortened cannot be asked for.
        known = [name for name in names.all() if len(name) <= MAX_TERM_CHARS]
        found = [await self._key(collection_pk, name, max_values) for name in known]
        return [key for key in found if key.values]

    async def _key(self, collection_pk: int, name: str, max_values: int) -> MetadataKey:
        of_key = sa.and_(image_terms.c.collection_pk == collection_pk, image_terms.c.key == name)
        terms = (await self._connection.scalars(_distinct(image_terms.c.term, of_key, max_values + 2))).all()
        values = [_value_of(term) for term in terms if term != OBJECT_TAG and not _is_shortened(term)]
        numbers = sa.select(image_terms.c.term).where(of_key, image_terms.c.number_order.is_not(None)).limit(1)
        least = await self._connection.scalar(numbers.order_by(image_terms.c.number_order))
        greatest = await self._connection.scalar(numbers.order_by(image_terms.c.number_order.desc()))
        return MetadataKey(
            key=name,
            values=tuple(values[:max_values]),
            has_more=len(values) > max_values,
            least=None if least is None else _number_of(least),
            greatest=None if greatest is None else _number_of(greatest),
        )


def _distinct(column: sa.Column[str], condition: sa.ColumnElement[bool], limit: int) -> sa.Select[str]:
    """Select the first distinct values of an indexed column, with one index look-up for each."""
    first = sa.select(sa.func.min(column).label("value"), sa.literal(1).label("place")).where(condition)
    step = first.cte("step", recursive=True)
    following = sa.select(sa.func.min(column)).where(condition, column > step.c.value).scalar_subquery()
    step = step.union_all(
        sa.select(following, step.c.place + 1).where(step.c.value.is_not(None), step.c.place < limit)
    )
    return sa.select(step.c.value).where(step.c.value.is_not(None)).order_by(step.c.place)


def _is_shortened(term: str) -> bool:
    """Whether the term holds only the start of a long text and a digest, which no search could match."""
    return term.startswith("s:") and len(term) > MAX_TERM_CHARS + _TAG_CHARS


def _value_of(term: str) -> Scalar:
    tag, text = term[:_TAG_CHARS], term[_TAG_CHARS:]
    if tag == "b:":
        return text == "true"
    return _number_of(term) if tag == "n:" else text


def _number_of(term: str) -> Number:
    text = term[_TAG_CHARS:]
    try:
        return int(text)
    except ValueError:
        return float(text)
