"""Describe invalid requests in plain words: the wrong part, the expected value and the likely intention."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from typing import Any, Final, get_args

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel

from app.domain.errors import FieldError

_SHOWN_CHARACTERS: Final = 40
MAX_LISTED_ERRORS: Final = 100
"""Most errors that are described; the last one then gives their number."""
MAX_POINTER_CHARACTERS: Final = 256
"""Longer pointers are cut, as they contain names that the caller has chosen."""


class InvalidFields(RequestValidationError):
    """A body or form that does not match its schema; it contains the names that its sender may have meant."""

    def __init__(
        self,
        errors: Sequence[Any],
        *,
        schema: type[BaseModel],
        field: str = "",
        file_fields: Collection[str] = (),
    ) -> None:
        """Store the errors.

        Args:
            errors: The validator's errors, with locations that start with ``body``.
            schema: The schema of the body, or of the JSON in one form field.
            field: The name of that form field.
            file_fields: Names of form fields that are files, which the schema does not contain.
        """
        super().__init__(errors)
        self.schema = schema
        self.field = field
        self.file_fields = tuple(file_fields)


def field_errors(error: RequestValidationError, schema: type[BaseModel] | None) -> list[FieldError]:
    """Describe the errors of a request, the first ones if there are many.

    Args:
        error: The validator's errors.
        schema: The schema of the request's body, if it has one.
    """
    known: Callable[[Sequence[int | str]], Collection[str]] = partial(_fields_at, schema)
    if isinstance(error, InvalidFields):
        known = partial(_fields_of, error)
    entries = error.errors()
    errors = [
        FieldError(pointer_of(entry["loc"])[:MAX_POINTER_CHARACTERS], _described(entry, known))
        for entry in entries[:MAX_LISTED_ERRORS]
    ]
    return with_count(errors, len(entries))


def with_count(errors: Sequence[FieldError], count: int) -> list[FieldError]:
    """Return at most ``MAX_LISTED_ERRORS`` errors; the last one gives the ``count`` if it is greater."""
    if count <= MAX_LISTED_ERRORS:
        return list(errors)
    more = FieldError("", f"{count:,} errors; only the first are listed")
    return [*errors[: MAX_LISTED_ERRORS - 1], more]


def is_broken_json(error: RequestValidationError) -> bool:
    """Return whether the body is not JSON at all."""
    return any(entry["type"] == "json_invalid" for entry in error.errors())


def pointer_of(location: Sequence[int | str]) -> str:
    """Return the JSON pointer of a validator's location."""
    parts = location[1:] if location and location[0] == "body" else location
    if len(parts) == 1 and isinstance(parts[0], int):
        # A position in a text that is not JSON.
        parts = ()
    return "/" + "/".join(str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def summary_of(errors: Sequence[FieldError]) -> str:
    """Return one sentence on the first error, and how many more there are.

    >>> summary_of([FieldError("/query/limt", "is unknown; did you mean `limit`?")])
    'Query parameter `limt` is unknown; did you mean `limit`?'
    """
    first = errors[0]
    place = _place(first.pointer)
    colon = "" if first.detail.startswith(("is ", "must ")) else ":"
    text = f"{place}{colon} {first.detail}" if place else first.detail[:1].upper() + first.detail[1:]
    if not text.endswith(("?", ".")):
        text += "."
    more = len(errors) - 1
    return f"{text} ({more} more in `errors`)" if more else text


def did_you_mean(name: str, known: Collection[str]) -> str | None:
    """Return the known name that resembles ``name`` most; None if none does."""
    found = get_close_matches(name[:MAX_POINTER_CHARACTERS].lower(), sorted(known), n=1, cutoff=0.6)
    return found[0] if found else None


def unknown_name(name: str, known: Collection[str], *, kind: str) -> str:
    """Say that a name is unknown, and name the nearest known one, or all.

    Args:
        name: The unknown name.
        known: The known names.
        kind: Plural of what is named, such as "fields".
    """
    nearest = did_you_mean(name, known)
    if nearest is not None:
        return f"is unknown; did you mean `{nearest}`?"
    return (
        f"is unknown; the {kind} are {', '.join(sorted(known))}"
        if known
        else f"is unknown; there are no {kind}"
    )


def _place(pointer: str) -> str:
    parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:] if part]
    if not parts:
        return ""
    if len(parts) == 2 and parts[0] in _KINDS:
        return f"{_KINDS[parts[0]]} `{parts[1]}`"
    return f"Field `{parts[0] if len(parts) == 1 else pointer}`"


_KINDS: Final = {
    "query": "Query parameter",
    "path": "Path parameter",
    "header": "Header",
    "headers": "Header",
    "processes": "Process",
    "images": "Picture",
}


def _described(entry: Mapping[str, Any], fields_at: Callable[[Sequence[int | str]], Collection[str]]) -> str:
    kind, location = entry["type"], entry["loc"]
    if kind == "json_invalid":
        return _broken_json(entry)
    if location == ("body",):
        if kind == "missing":
            return "the body is missing; send JSON with Content-Type: application/json"
        if isinstance(entry.get("input"), bytes):
            return "send the body as JSON, with Content-Type: application/json"
        if kind in {"model_type", "model_attributes_type"}:
            return "the body must be a JSON object"
    if kind == "extra_forbidden":
        return unknown_name(str(location[-1]), fields_at(location[1:-1]), kind="fields")
    context = entry.get("ctx") or {}
    describe = _MESSAGES.get(kind)
    text = describe(context) if describe is not None else _unlisted(entry)
    return text + _shown(entry) if kind in _SHOWING else text + _nearest_value(entry, context)


def _broken_json(entry: Mapping[str, Any]) -> str:
    text = f"{entry['msg']} {(entry.get('ctx') or {}).get('error', '')}"
    if entry.get("input") in ("", b""):
        return "the body is empty; send JSON"
    found = re.search(r"line (\d+) column (\d+)", text)
    at = f"line {found[1]}, column {found[2]}" if found else f"character {entry['loc'][-1]}"
    if "number out of range" in text:
        return f"the number at {at} has too many digits; send such a number as text"
    return (
        f"the body is not valid JSON: it ends too early, at {at}"
        if "EOF" in text
        else (f"the body is not valid JSON: see {at}")
    )


def _fields_of(error: InvalidFields, location: Sequence[int | str]) -> set[str]:
    if error.field:
        location = location[1:]
    return _fields_at(error.schema, location) | (set() if location else set(error.file_fields))


def _fields_at(schema: type[BaseModel] | None, location: Sequence[int | str]) -> set[str]:
    """Return the names of the fields of the object at ``location`` below a schema."""
    if schema is None:
        return set()
    for part in location:
        if isinstance(part, int):
            continue
        field = schema.model_fields.get(part)
        below = None if field is None else _model_in(field.annotation)
        if below is None:
            return set()
        schema = below
    return {field.alias or name for name, field in schema.model_fields.items()}


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for one in get_args(annotation) if (found := _model_in(one)) is not None), None)


def _count(context: Mapping[str, Any], name: str, noun: str) -> str:
    number = context[name]
    return f"{number:,} {noun if number != 1 else _SINGULAR[noun]}"


_SINGULAR: Final = {"characters": "character", "entries": "entry"}


_MESSAGES: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "too_many_errors": lambda c: f"{c['count']:,} errors; compare the body with the documentation",
    "missing": lambda _: "is required",
    "int_parsing": lambda _: "must be a whole number",
    "int_type": lambda _: "must be a whole number",
    "int_from_float": lambda _: "must be a whole number",
    "int_parsing_size": lambda _: "must be a smaller whole number",
    "float_parsing": lambda _: "must be a number",
    "float_type": lambda _: "must be a number",
    "finite_number": lambda _: "must be a finite number",
    "bool_parsing": lambda _: "must be true or false",
    "bool_type": lambda _: "must be true or false",
    "string_type": lambda _: "must be text",
    "string_unicode": lambda _: "must be text in UTF-8",
    "string_too_short": lambda c: f"must have at least {_count(c, 'min_length', 'characters')}",
    "string_too_long": lambda c: f"must have at most {_count(c, 'max_length', 'characters')}",
    "string_pattern_mismatch": lambda c: f"must match the pattern {c['pattern']}",
    "too_short": lambda c: f"must have at least {_count(c, 'min_length', 'entries')}",
    "too_long": lambda c: f"must have at most {_count(c, 'max_length', 'entries')}",
    "greater_than_equal": lambda c: f"must be at least {c['ge']}",
    "greater_than": lambda c: f"must be greater than {c['gt']}",
    "less_than_equal": lambda c: f"must be at most {c['le']}",
    "less_than": lambda c: f"must be less than {c['lt']}",
    "literal_error": lambda c: f"must be {c['expected']}",
    "enum": lambda c: f"must be {c['expected']}",
    "list_type": lambda _: "must be a JSON array",
    "dict_type": lambda _: "must be a JSON object",
    "model_type": lambda _: "must be a JSON object",
    "model_attributes_type": lambda _: "must be a JSON object",
}

_BOUNDS: Final = frozenset({"greater_than_equal", "greater_than", "less_than_equal", "less_than"})
_SHOWING: Final = _BOUNDS | {"int_parsing", "int_from_float", "float_parsing", "bool_parsing"}
"""Errors whose message shows the value."""


def _unlisted(entry: Mapping[str, Any]) -> str:
    if entry["type"] in {"value_error", "assertion_error"}:
        # Written by our own validators, behind the validation library's prefix.
        return str(entry["msg"]).partition(", ")[2] or "is not valid"
    return "is not a valid value"


def _shown(entry: Mapping[str, Any]) -> str:
    value = entry.get("input")
    if isinstance(value, bool | int | float | str) and len(str(value)) <= _SHOWN_CHARACTERS:
        is_number = entry["type"] in _BOUNDS or not isinstance(value, str)
        return f", not {str(value).lower() if is_number else repr(value)}"
    return ""


def _nearest_value(entry: Mapping[str, Any], context: Mapping[str, Any]) -> str:
    if entry["type"] not in {"literal_error", "enum"} or not isinstance(entry.get("input"), str):
        return ""
    nearest = did_you_mean(entry["input"], re.findall(r"'([^']*)'", str(context["expected"])))
    return "" if nearest is None else f"; did you mean `{nearest}`?"
