"""Metadata and filters in the engine: terms of a picture as arrays of strings, conditions as SQL on them.

They give the results of ``Filter.matches``. A term is its key, a NUL, which no key contains, and its tagged
value. A number has a second entry: its key, a NUL, and the hex of bytes that sort in numeric order.
"""

from collections.abc import Mapping
from typing import Any, Final

from app.domain.filters import Condition, Every, Filter, Match, as_compared, terms_of
from app.domain.numbers import Number, order_key

_SEPARATOR: Final = "\0"
_ABOVE_HEX: Final = "g"
"""Sorts after every hex digit."""


def term_arrays(metadata: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return the terms of a picture, and the sortable entries of its numbers."""
    found = list(terms_of(metadata))
    terms = [f"{term.key}{_SEPARATOR}{term.tagged}" for term in found]
    ranges = [_sortable(term.key, term.number) for term in found if term.number is not None]
    return terms, ranges


def filter_sql(wanted: Filter) -> str:
    """Return a condition on the columns ``terms`` and ``ranges`` for the pictures that pass a filter."""
    conditions = [_condition_sql(one) for one in wanted.must]
    conditions += [f"NOT {_condition_sql(one)}" for one in wanted.must_not]
    return " AND ".join(conditions) or "1"


def _condition_sql(condition: Condition) -> str:
    if isinstance(condition, Match):
        return f"has(terms, {text_sql(condition.term.key + _SEPARATOR + condition.term.tagged)})"
    if isinstance(condition, Every):
        return f"({' AND '.join(_condition_sql(match) for match in condition.matches)})"
    key = as_compared(condition.key)
    bounds = [
        f"x {comparison} {text_sql(_sortable(key, bound))}"
        for comparison, bound in (
            (">", condition.gt),
            (">=", condition.gte),
            ("<", condition.lt),
            ("<=", condition.lte),
        )
        if bound is not None
    ]
    if condition.gt is None and condition.gte is None:
        bounds.append(f"x >= {text_sql(key + _SEPARATOR)}")
    if condition.lt is None and condition.lte is None:
        bounds.append(f"x < {text_sql(key + _SEPARATOR + _ABOVE_HEX)}")
    return f"arrayExists(x -> {' AND '.join(bounds)}, ranges)"


def _sortable(key: str, number: Number) -> str:
    return f"{key}{_SEPARATOR}{order_key(number).hex()}"


def text_sql(text: str) -> str:
    """Return a string literal; in hex, so that nothing in it has a meaning to the parser."""
    return f"unhex('{text.encode().hex()}')"
