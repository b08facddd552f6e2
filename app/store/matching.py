"""Filters as SQL on the inverted index, in agreement with ``Filter.matches`` on every picture."""

import operator
from typing import Final

import sqlalchemy as sa

from app.domain.filters import Condition, Filter, Match
from app.store.tables import image_terms, images

Numbers = sa.Select[tuple[int]]

_COMPARISONS: Final = {"gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le}


def matching_numbers(collection_pk: int, wanted: Filter) -> Numbers:
    """Select the insertion numbers of the pictures that pass, each once, in no particular order.

    The first condition of ``must`` is scanned; every other condition is a look-up in its own set.
    """
    if wanted.must:
        first, *others = wanted.must
        numbers = holders(collection_pk, first)
        if not isinstance(first, Match):  # a list may hold several numbers within the range
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
    """Select the insertion numbers of the pictures for which a condition holds; a range may give one twice."""
    terms = image_terms.alias()  # a name of its own: the same table stands in the select around it
    in_collection = sa.select(terms.c.number).where(terms.c.collection_pk == collection_pk)
    if isinstance(condition, Match):
        return in_collection.where(terms.c.key == condition.term.key, terms.c.term == condition.term.tagged)
    numbers = in_collection.where(terms.c.key == condition.key, terms.c.value_number.is_not(None))
    for name, compare in _COMPARISONS.items():
        bound = getattr(condition, name)
        if bound is not None:
            numbers = numbers.where(compare(terms.c.value_number, bound))
    return numbers
