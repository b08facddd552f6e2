"""Filters on metadata: parse them, normalize them, and evaluate them on one picture's metadata.

A picture's metadata is reduced to *terms*: (key, type-tagged value) pairs, one for each string, number and
boolean. The key of a value in nested objects is its dotted path; the elements of a list have the key of the
list. A ``match`` requires a term, a ``range`` a number among the key's terms. The store keeps the same terms in
a table, so that SQLite, Postgres and this module give the same results.
"""

import json
import re
import unicodedata
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
"""Strings and paths up to this length are stored unchanged; longer ones as their start and a digest."""

Scalar = str | Number | bool

OBJECT_TAG: Final = "o:"
WORD_TAG: Final = "w:"
WORDS_KEY: Final = "\u212b"
"""Key of the terms that hold the words of all texts; in Normalization Form C, no key of metadata equals it."""
_WORD: Final = re.compile(r"[^\W_]+")
_NUL: Final = "\\u0000"


@dataclass(frozen=True, slots=True, order=True)
class Term:
    """One value of one metadata key, in the form used for comparison."""

    key: str
    tagged: str
    """``s:text``, ``b:true``, ``n:`` and the canonical number, ``o:`` for an object, ``w:`` and a word."""
    number: Number | None = None
    """The value if it is a number, for ranges."""


def term_of(key: str, value: Scalar) -> Term:
    """Return the term of a scalar; terms are equal if and only if the values are. Numbers must be in range."""
    key = as_compared(key)
    if isinstance(value, bool):
        return Term(key, f"b:{str(value).lower()}")
    if isinstance(value, int | float):
        number = canonical(value)
        return Term(key, f"n:{number!r}", number)
    return Term(key, f"s:{as_compared(value)}")


def as_compared(text: str) -> str:
    """Return the form of a string for comparison: NFC, with the end of a long string replaced with a digest.

    It has at most 320 characters, because database indexes limit the length of a key.
    """
    text = nfc(text)
    if len(text) <= MAX_TERM_CHARS:
        return text
    return text[:MAX_TERM_CHARS] + sha256(text.encode()).hexdigest()


def terms_of(metadata: Mapping[str, Any]) -> Iterator[Term]:
    """Yield the distinct terms of a picture's metadata; null values have none.

    The words of all texts, under whatever key, have terms under ``WORDS_KEY``. A key whose value is an object
    has a term that matches no condition; it shows which keys need a longer path.
    """
    seen = set()
    for path, value in _values(metadata):
        for term in _terms(path, value):
            if term not in seen:
                seen.add(term)
                yield term


def _terms(path: str, value: Any) -> Iterator[Term]:
    if isinstance(value, dict):
        yield Term(as_compared(path), OBJECT_TAG)
    elif isinstance(value, str | bool) or in_range(value):
        yield term_of(path, value)
    if isinstance(value, str):
        yield from (word_term(word) for word in words_in(value))


def words_in(text: str) -> list[str]:
    """Return the words of a text, runs of letters and digits, in the form used for comparison."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def word_term(word: str) -> Term:
    """Return the term of pictures whose metadata contain a word that ``words_in`` returns."""
    return Term(WORDS_KEY, f"{WORD_TAG}{as_compared(word)}")


def _values(metadata: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield (dotted path, value) for each scalar and object in ``metadata``."""
    stack: list[tuple[str, Any]] = list(reversed(list(metadata.items())))
    while stack:
        path, value = stack.pop()
        if isinstance(value, dict):
            yield path, value
            stack.extend((f"{path}.{key}", inner) for key, inner in reversed(value.items()))
        elif isinstance(value, list):
            stack.extend((path, element) for element in reversed(value))
        elif isinstance(value, str | int | float):
            yield path, value


def same_document(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two documents are the same JSON; unlike in Python, ``1``, ``1.0`` and ``true`` differ."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def check_metadata(metadata: object, pointer: str = "/metadata") -> dict[str, Any]:
    """Validate metadata, and return it with all strings in Unicode Normalization Form C.

    Raises:
        InvalidRequest: The metadata is not a JSON object, exceeds 16 KiB, or cannot be stored.
    """
    if not isinstance(metadata, dict):
        raise InvalidRequest("metadata must be a JSON object", errors=[FieldError(pointer, "not an object")])
    try:
        text = json.dumps(metadata, allow_nan=False, ensure_ascii=False)
        size = len(text.encode())
        fault = _fault(metadata, text)
    except (ValueError, RecursionError):
        fault = "NaN, Infinity, a lone surrogate, a number of thousands of digits, or too many levels"
    if fault is not None:
        raise InvalidRequest("the metadata cannot be stored", errors=[FieldError(pointer, fault)])
    if size > MAX_METADATA_BYTES:
        raise InvalidRequest(
            f"metadata may have at most {MAX_METADATA_BYTES} bytes",
            errors=[FieldError(pointer, f"{size} bytes")],
        )
    return _normalised(metadata, pointer)


def _normalised(metadata: dict[str, Any], pointer: str) -> dict[str, Any]:
    """Return the metadata in NFC, so that strings from macOS and Windows are equal."""
    try:
        normalised: dict[str, Any] = nfc_values(metadata)
    except RecursionError as error:
        raise InvalidRequest(errors=[FieldError(pointer, "must be nested less deeply")]) from error
    if len(normalised) != len(metadata):
        raise InvalidRequest(
            errors=[FieldError(pointer, "two keys are equal after Unicode normalization (NFC)")]
        )
    return normalised


def _fault(metadata: dict[str, Any], text: str) -> str | None:
    """Return why metadata cannot be stored, or None; ``text`` is its JSON."""
    if _NUL in text:
        return "a NUL character"
    if any(len(key) > MAX_KEY_CHARS for key in metadata):
        return f"a key with more than {MAX_KEY_CHARS} characters"
    if not all(in_range(v) for _, v in _values(metadata) if isinstance(v, int | float)):
        return "a number beyond the range of a double, about 1.8e308"
    return None


@dataclass(frozen=True, slots=True)
class Match:
    """Condition that a key has a value, or a list that contains it."""

    term: Term

    @property
    def keys(self) -> tuple[str, ...]:
        """The key, in the form used for comparison."""
        return (self.term.key,)

    def holds(self, terms: frozenset[Term]) -> bool:
        """Return whether a picture with these terms meets the condition."""
        return self.term in terms


@dataclass(frozen=True, slots=True)
class Range:
    """Condition that a key has a number within bounds, each of which is optional."""

    key: str
    gt: Number | None = None
    gte: Number | None = None
    lt: Number | None = None
    lte: Number | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """The key, in the form used for comparison."""
        return (as_compared(self.key),)

    def holds(self, terms: frozenset[Term]) -> bool:
        """Return whether a picture with these terms meets the condition."""
        key = as_compared(self.key)
        return any(t.key == key and t.number is not None and self._contains(t.number) for t in terms)

    def _contains(self, number: Number) -> bool:
        return (
            (self.gt is None or number > self.gt)
            and (self.gte is None or number >= self.gte)
            and (self.lt is None or number < self.lt)
            and (self.lte is None or number <= self.lte)
        )


@dataclass(frozen=True, slots=True)
class Every:
    """Condition that several others hold together; requests cannot contain it."""

    matches: tuple[Match, ...]
    """At least one."""

    def holds(self, terms: frozenset[Term]) -> bool:
        """Return whether a picture with these terms meets the condition."""
        return all(match.holds(terms) for match in self.matches)

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys, in the form used for comparison."""
        return tuple(match.term.key for match in self.matches)


Condition = Match | Range | Every


@dataclass(frozen=True, slots=True)
class Filter:
    """Passes pictures that meet all conditions of ``must`` and none of ``must_not``."""

    must: tuple[Condition, ...] = ()
    must_not: tuple[Condition, ...] = ()

    def matches(self, metadata: Mapping[str, Any]) -> bool:
        """Return whether a picture with this metadata passes."""
        terms = frozenset(terms_of(metadata))
        return all(c.holds(terms) for c in self.must) and not any(c.holds(terms) for c in self.must_not)

    @property
    def is_empty(self) -> bool:
        """Whether the filter has no conditions, so that every picture passes."""
        return not self.must and not self.must_not

    @property
    def keys(self) -> frozenset[str]:
        """The keys of all conditions, in the form used for comparison."""
        return frozenset(key for condition in (*self.must, *self.must_not) for key in condition.keys)

    @property
    def key(self) -> str:
        """Cache key that is equal for filters with the same conditions in any order."""
        return repr((sorted(map(repr, self.must)), sorted(map(repr, self.must_not))))


_FILTER_FORM: Final = (
    'must be an object with "must" and "must_not", such as {"must": [{"key": "brand", "match": "acme"}]}'
)
_CONDITION_FORM: Final = 'must be an object with a "key" and "match" or "range"'


def parse_filter(document: object) -> Filter:
    """Parse ``{"must": [{"key": …, "match": …}, {"key": …, "range": {"gte": …}}], "must_not": […]}``.

    Raises:
        InvalidFilter: The filter is invalid; the errors point to the offending parts.
    """
    if not isinstance(document, dict) or not document.keys() <= {"must", "must_not"}:
        raise InvalidFilter(errors=[FieldError("/filter", _FILTER_FORM)])
    must, must_not = (_entries(document, name) for name in ("must", "must_not"))
    # Counted before any is parsed: a body may have tens of thousands.
    if len(must) + len(must_not) > MAX_CONDITIONS:
        raise InvalidFilter(errors=[FieldError("/filter", f"must have at most {MAX_CONDITIONS} conditions")])
    return Filter(_parse_conditions(must, "/filter/must"), _parse_conditions(must_not, "/filter/must_not"))


def _entries(document: dict[str, Any], name: str) -> list[Any]:
    entries = document.get(name, [])
    if not isinstance(entries, list):
        raise InvalidFilter(errors=[FieldError(f"/filter/{name}", "must be a JSON array of conditions")])
    return entries


def _parse_conditions(entries: list[Any], pointer: str) -> tuple[Condition, ...]:
    return tuple(_parse_condition(entry, f"{pointer}/{i}") for i, entry in enumerate(entries))


def _parse_condition(entry: object, pointer: str) -> Condition:
    if not isinstance(entry, dict) or not isinstance(entry.get("key"), str):
        raise InvalidFilter(errors=[FieldError(pointer, _CONDITION_FORM)])
    key = nfc(entry["key"])
    if entry.keys() == {"key", "match"}:
        value = nfc(entry["match"]) if isinstance(entry["match"], str) else entry["match"]
        if not isinstance(value, str | int | float | bool) or not _storable(value) or not _storable(key):
            raise InvalidFilter(
                errors=[FieldError(f"{pointer}/match", "must be a string, a number, true or false")]
            )
        return Match(term_of(key, value))
    if entry.keys() == {"key", "range"} and isinstance(entry["range"], dict) and _storable(key):
        return _parse_range(key, entry["range"], f"{pointer}/range")
    raise InvalidFilter(errors=[FieldError(pointer, _CONDITION_FORM)])


def _storable(value: Scalar) -> bool:
    if isinstance(value, str):
        return "\x00" not in value and not any("\ud800" <= c <= "\udfff" for c in value)
    return in_range(value)


def _parse_range(key: str, bounds: dict[str, Any], pointer: str) -> Range:
    if not bounds or not bounds.keys() <= {"gt", "gte", "lt", "lte"}:
        raise InvalidFilter(errors=[FieldError(pointer, "must have one or more of gt, gte, lt, lte")])
    for name, bound in bounds.items():
        if isinstance(bound, bool) or not isinstance(bound, int | float) or not _storable(bound):
            raise InvalidFilter(errors=[FieldError(f"{pointer}/{name}", "must be a finite number")])
    return Range(key, **{name: canonical(bound) for name, bound in bounds.items()})
