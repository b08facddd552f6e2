"""Filters on metadata: parse one, name it canonically, decide it on one picture's metadata.

A picture's metadata is reduced to *terms*: (key, type-tagged value) pairs, one for a scalar and one for each
element of a list. A ``match`` asks for a term, a ``range`` for a number among the key's terms. The store keeps
the same terms in a table, so that SQLite, Postgres and this module decide alike.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from app.domain.errors import FieldError, InvalidFilter, InvalidRequest
from app.domain.texts import nfc, nfc_values

MAX_CONDITIONS: Final = 32
MAX_METADATA_BYTES: Final = 16_384
MAX_TERM_CHARS: Final = 256

Scalar = str | int | float | bool


@dataclass(frozen=True, slots=True, order=True)
class Term:
    """One value of one metadata key, in the form that is compared."""

    key: str
    tagged: str
    """``s:text``, ``b:true`` or ``n:`` and the shortest repr of the number (1 and 1.0 are one term)."""
    number: float | None = None
    """The value itself where it is a number, for ranges."""


def term_of(key: str, value: Scalar) -> Term:
    """The term of a scalar; texts are compared by their first 256 characters."""
    if isinstance(value, bool):
        return Term(key, f"b:{str(value).lower()}")
    if isinstance(value, int | float):
        number = float(value)
        return Term(key, f"n:{number!r}", number)
    return Term(key, f"s:{value[:MAX_TERM_CHARS]}")


def terms_of(metadata: Mapping[str, Any]) -> Iterator[Term]:
    """The distinct terms of a picture's metadata; nested objects and nulls have none."""
    seen = set()
    for key, value in metadata.items():
        for element in value if isinstance(value, list) else [value]:
            if isinstance(element, str | int | float | bool):
                term = term_of(key, element)
                if term not in seen:
                    seen.add(term)
                    yield term


def check_metadata(metadata: object, pointer: str = "/metadata") -> dict[str, Any]:
    """Return ``metadata`` as a picture may carry it: its texts in Unicode's Normalization Form C.

    Raises:
        InvalidRequest: It is no JSON object, larger than 16 KiB, or holds a number that JSON cannot.
    """
    if not isinstance(metadata, dict):
        raise InvalidRequest("metadata is a JSON object", errors=[FieldError(pointer, "not an object")])
    try:
        text = json.dumps(metadata, allow_nan=False, ensure_ascii=False)
        size = len(text.encode())
        storable = "\\u0000" not in text and all(len(key) <= MAX_TERM_CHARS for key in metadata)
        list(terms_of(metadata))
    except (ValueError, OverflowError, RecursionError, UnicodeEncodeError):
        storable = False
    if not storable:
        detail = "a number that JSON cannot hold, a NUL, a lone surrogate or a key over 256 characters"
        raise InvalidRequest("metadata holds what cannot be stored", errors=[FieldError(pointer, detail)])
    if size > MAX_METADATA_BYTES:
        raise InvalidRequest(
            f"metadata may take {MAX_METADATA_BYTES} bytes", errors=[FieldError(pointer, f"{size} bytes")]
        )
    return _normalised(metadata, pointer)


def _normalised(metadata: dict[str, Any], pointer: str) -> dict[str, Any]:
    """Texts in one form, so that a label is the same whether a Mac or Windows wrote it."""
    try:
        normalised: dict[str, Any] = nfc_values(metadata)
    except RecursionError as error:
        raise InvalidRequest(errors=[FieldError(pointer, "nested too deeply")]) from error
    if len(normalised) != len(metadata):
        raise InvalidRequest(errors=[FieldError(pointer, "two keys are the same text in Unicode's form NFC")])
    return normalised


@dataclass(frozen=True, slots=True)
class Match:
    """The key has this value, or a list that holds it."""

    term: Term

    def holds(self, terms: frozenset[Term]) -> bool:
        """Whether a picture with these terms matches."""
        return self.term in terms


@dataclass(frozen=True, slots=True)
class Range:
    """The key has a number within the bounds, each of which may be absent."""

    key: str
    gt: float | None = None
    gte: float | None = None
    lt: float | None = None
    lte: float | None = None

    def holds(self, terms: frozenset[Term]) -> bool:
        """Whether a picture with these terms matches."""
        return any(t.key == self.key and t.number is not None and self._contains(t.number) for t in terms)

    def _contains(self, number: float) -> bool:
        return (
            (self.gt is None or number > self.gt)
            and (self.gte is None or number >= self.gte)
            and (self.lt is None or number < self.lt)
            and (self.lte is None or number <= self.lte)
        )


Condition = Match | Range


@dataclass(frozen=True, slots=True)
class Filter:
    """All of ``must`` and none of ``must_not``."""

    must: tuple[Condition, ...] = ()
    must_not: tuple[Condition, ...] = ()

    def matches(self, metadata: Mapping[str, Any]) -> bool:
        """Whether a picture with this metadata passes."""
        terms = frozenset(terms_of(metadata))
        return all(c.holds(terms) for c in self.must) and not any(c.holds(terms) for c in self.must_not)

    @property
    def key(self) -> str:
        """A name that equal filters share whatever the order of their conditions."""
        return repr((sorted(map(repr, self.must)), sorted(map(repr, self.must_not))))


def parse_filter(document: object) -> Filter:
    """Parse ``{"must": [{"key": …, "match": …}, {"key": …, "range": {"gte": …}}], "must_not": […]}``.

    Raises:
        InvalidFilter: With a pointer to each offending part.
    """
    if not isinstance(document, dict) or not document.keys() <= {"must", "must_not"}:
        raise InvalidFilter(errors=[FieldError("/filter", 'an object with "must" and "must_not"')])
    must = _parse_conditions(document.get("must", []), "/filter/must")
    must_not = _parse_conditions(document.get("must_not", []), "/filter/must_not")
    if len(must) + len(must_not) > MAX_CONDITIONS:
        raise InvalidFilter(errors=[FieldError("/filter", f"more than {MAX_CONDITIONS} conditions")])
    return Filter(must, must_not)


def _parse_conditions(entries: object, pointer: str) -> tuple[Condition, ...]:
    if not isinstance(entries, list):
        raise InvalidFilter(errors=[FieldError(pointer, "a list of conditions")])
    return tuple(_parse_condition(entry, f"{pointer}/{i}") for i, entry in enumerate(entries))


def _parse_condition(entry: object, pointer: str) -> Condition:
    if not isinstance(entry, dict) or not isinstance(entry.get("key"), str):
        raise InvalidFilter(errors=[FieldError(pointer, 'an object with a "key" and "match" or "range"')])
    key = nfc(entry["key"])
    if entry.keys() == {"key", "match"}:
        value = nfc(entry["match"]) if isinstance(entry["match"], str) else entry["match"]
        if not isinstance(value, str | int | float | bool) or not _storable(value) or not _storable(key):
            raise InvalidFilter(errors=[FieldError(f"{pointer}/match", "a text, a number, true or false")])
        return Match(term_of(key, value))
    if entry.keys() == {"key", "range"} and isinstance(entry["range"], dict) and _storable(key):
        return _parse_range(key, entry["range"], f"{pointer}/range")
    raise InvalidFilter(errors=[FieldError(pointer, 'an object with a "key" and "match" or "range"')])


def _storable(value: Scalar) -> bool:
    if isinstance(value, str):
        return "\x00" not in value and not any("\ud800" <= c <= "\udfff" for c in value)
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def _parse_range(key: str, bounds: dict[str, Any], pointer: str) -> Range:
    if not bounds or not bounds.keys() <= {"gt", "gte", "lt", "lte"}:
        raise InvalidFilter(errors=[FieldError(pointer, "one or more of gt, gte, lt, lte")])
    for name, bound in bounds.items():
        if isinstance(bound, bool) or not isinstance(bound, int | float) or not _storable(bound):
            raise InvalidFilter(errors=[FieldError(f"{pointer}/{name}", "a finite number")])
    return Range(key, **{name: float(bound) for name, bound in bounds.items()})
