"""Filters on metadata: parse one, name it canonically, decide it on one picture's metadata.

A picture's metadata is reduced to *terms*: (key, type-tagged value) pairs, one for each text, number and truth
value in it. The key of a value in nested objects is the dotted path to it; the elements of a list have the key
of the list. A ``match`` asks for a term, a ``range`` for a number among the key's terms. The store keeps the
same terms in a table, so that SQLite, Postgres and this module decide alike.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from app.domain.errors import FieldError, InvalidFilter, InvalidRequest
from app.domain.numbers import Number, canonical, in_range
from app.domain.texts import nfc, nfc_values

MAX_CONDITIONS: Final = 32
MAX_METADATA_BYTES: Final = 16_384
MAX_KEY_CHARS: Final = 256
MAX_TERM_CHARS: Final = 256
"""Texts and paths up to this length are kept whole; of longer ones their start and digest."""

Scalar = str | Number | bool

OBJECT_TAG: Final = "o:"
_NUL: Final = "\\u0000"


@dataclass(frozen=True, slots=True, order=True)
class Term:
    """One value of one metadata key, in the form that is compared."""

    key: str
    tagged: str
    """``s:text``, ``b:true``, ``n:`` and the canonical number, or ``o:`` for a key that holds an object."""
    number: Number | None = None
    """The value itself where it is a number, for ranges."""


def term_of(key: str, value: Scalar) -> Term:
    """The term of a scalar: equal values, and only these, have equal terms. A number must be in range."""
    key = as_compared(key)
    if isinstance(value, bool):
        return Term(key, f"b:{str(value).lower()}")
    if isinstance(value, int | float):
        number = canonical(value)
        return Term(key, f"n:{number!r}", number)
    return Term(key, f"s:{as_compared(value)}")


def as_compared(text: str) -> str:
    """What equal texts share: their Normalization Form C, and of a long one the start and digest.

    At most 320 characters, because the index of a database takes no longer text.
    """
    text = nfc(text)
    if len(text) <= MAX_TERM_CHARS:
        return text
    return text[:MAX_TERM_CHARS] + sha256(text.encode()).hexdigest()


def terms_of(metadata: Mapping[str, Any]) -> Iterator[Term]:
    """The distinct terms of a picture's metadata; a null has none.

    A key that holds an object has a term that no condition asks for; it tells which keys need a longer path.
    """
    seen = set()
    for path, value in _values(metadata):
        if isinstance(value, dict):
            term = Term(as_compared(path), OBJECT_TAG)
        elif isinstance(value, str | bool) or in_range(value):
            term = term_of(path, value)
        else:
            continue
        if term not in seen:
            seen.add(term)
            yield term


def _values(metadata: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Each scalar and object below ``metadata`` with the dotted path of its key."""
    waiting: list[tuple[str, Any]] = list(reversed(list(metadata.items())))
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, dict):
            yield path, value
            waiting.extend((f"{path}.{key}", inner) for key, inner in reversed(value.items()))
        elif isinstance(value, list):
            waiting.extend((path, element) for element in reversed(value))
        elif isinstance(value, str | int | float):
            yield path, value


def same_document(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two documents are the same JSON; unlike Python, JSON tells ``1``, ``1.0`` and ``true`` apart."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def check_metadata(metadata: object, pointer: str = "/metadata") -> dict[str, Any]:
    """Return ``metadata`` as a picture may carry it: its texts in Unicode's Normalization Form C.

    Raises:
        InvalidRequest: It is no JSON object, is larger than 16 KiB, or holds something that cannot be stored.
    """
    if not isinstance(metadata, dict):
        raise InvalidRequest("metadata is a JSON object", errors=[FieldError(pointer, "not an object")])
    try:
        text = json.dumps(metadata, allow_nan=False, ensure_ascii=False)
        size = len(text.encode())
        fault = _fault(metadata, text)
    except (ValueError, RecursionError):
        fault = "NaN, Infinity, a lone surrogate, a number of thousands of digits, or too many levels"
    if fault is not None:
        raise InvalidRequest("metadata holds what cannot be stored", errors=[FieldError(pointer, fault)])
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


def _fault(metadata: dict[str, Any], text: str) -> str | None:
    """What keeps metadata, which is ``text`` as JSON, from being stored."""
    if _NUL in text:
        return "a NUL"
    if any(len(key) > MAX_KEY_CHARS for key in metadata):
        return f"a key over {MAX_KEY_CHARS} characters"
    if not all(in_range(v) for _, v in _values(metadata) if isinstance(v, int | float)):
        return "a number beyond the range of a double, about 1.8e308"
    return None


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
    gt: Number | None = None
    gte: Number | None = None
    lt: Number | None = None
    lte: Number | None = None

    def holds(self, terms: frozenset[Term]) -> bool:
        """Whether a picture with these terms matches."""
        key = as_compared(self.key)
        return any(t.key == key and t.number is not None and self._contains(t.number) for t in terms)

    def _contains(self, number: Number) -> bool:
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
    def is_empty(self) -> bool:
        """Whether there is no condition, so that every picture passes."""
        return not self.must and not self.must_not

    @property
    def keys(self) -> frozenset[str]:
        """The keys that its conditions name, as terms hold them."""
        conditions = (*self.must, *self.must_not)
        return frozenset(c.term.key if isinstance(c, Match) else as_compared(c.key) for c in conditions)

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
    return in_range(value)


def _parse_range(key: str, bounds: dict[str, Any], pointer: str) -> Range:
    if not bounds or not bounds.keys() <= {"gt", "gte", "lt", "lte"}:
        raise InvalidFilter(errors=[FieldError(pointer, "one or more of gt, gte, lt, lte")])
    for name, bound in bounds.items():
        if isinstance(bound, bool) or not isinstance(bound, int | float) or not _storable(bound):
            raise InvalidFilter(errors=[FieldError(f"{pointer}/{name}", "a finite number")])
    return Range(key, **{name: canonical(bound) for name, bound in bounds.items()})
