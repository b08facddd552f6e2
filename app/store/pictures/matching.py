"""Translate filters to SQL on the inverted index; the results agree with ``Filter.matches``."""

import operator
from typing import Final

import sqlalchemy as sa

from app.domain.filters import OBJECT_TAG, Condition, Every, Filter, Match, as_compared
from app.domain.numbers import order_key
from app.store.schema.tables import image_terms, images

Numbers = sa.Select[tuple[int]]

_COMPARISONS: Final = {"gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le}


def matching_numbers(collection_pk: int, wanted: Filter) -> Numbers:
    """Select the distinct insertion numbers of the pictures that pass a filter, unordered.

    Scans the first condition of ``must``; every other condition is a subquery.
    """
    if wanted.must:
        first, *others = wanted.must
        numbers = holders(collection_pk, first)
        if not isinstance(first, Match):  # a list may contain several numbers in the range
            numbers = numbers.distinct()
    else:
        others = []
        numbers = sa.select(images.c.number).where(images.c.collection_pk == collection_pk)
    number = numbers.selected_columns[0]
    for condition in others:
        numbers = numbers.where(number.in_(holders(collection_pk, condition)))
    for condition in wanted.must_not:
        numbers = numbers.where(number.not_in(holders(collection_pk, condition)))
    return numbers


def holders(collection_pk: int, condition: Condition) -> Numbers:
    """Select the insertion numbers of the pictures for which a condition holds; a range may repeat numbers."""
    if isinstance(condition, Every):
        first, *others = condition.matches
        numbers = holders(collection_pk, first)
        for other in others:
            numbers = numbers.where(numbers.selected_columns[0].in_(holders(collection_pk, other)))
        return numbers
    terms = image_terms.alias()  # the enclosing select uses the same table
    in_collection = sa.select(terms.c.number).where(terms.c.collection_pk == collection_pk)
    if isinstance(condition, Match):
        return in_collection.where(terms.c.key == condition.term.key, terms.c.term == condition.term.tagged)
    numbers = in_collection.where(terms.c.key == as_compared(condition.key), terms.c.number_order.is_not(None))
    for name, compare in _COMPARISONS.items():
        bound = getattr(condition, name)
        if bound is not None:
            numbers = numbers.where(compare(terms.c.number_order, order_key(bound)))
    return numbers


def object_keys(collection_pk: int, wanted: Filter) -> sa.CompoundSelect[str]:
    """Select the keys of a filter that contain objects but no values. The filter must have at least one key.

    Each key costs a few index look-ups, regardless of the number of pictures.
    """
    return sa.union_all(*(_if_object_key(collection_pk, key) for key in sorted(wanted.keys)))


def _if_object_key(collection_pk: int, key: str) -> sa.Select[str]:
    terms = image_terms.alias()
    of_key = (terms.c.collection_pk == collection_pk, terms.c.key == key)
    holds_object = sa.exists().where(*of_key, terms.c.term == OBJECT_TAG)
    # Two ranges of the primary key; "!=" would read every picture that contains an object.
    before = sa.exists().where(*of_key, terms.c.term < OBJECT_TAG)
    after = sa.exists().where(*of_key, terms.c.term > OBJECT_TAG)
    return sa.select(sa.literal(key).label("key")).where(holds_object, ~before, ~after)
