"""Parse JSON from callers; an object that repeats a key is an error.

RFC 8259 leaves open what a repeated key means. Most parsers, Python's among them, silently use the last value.
A filter or a deletion could then mean one thing to the service and another to its sender.
"""

import json
from collections import Counter
from typing import Any, Final

_POINTER_CHARACTERS: Final = 256
"""Longer pointers are cut, as they contain names that the caller has chosen."""


class RepeatedKey(ValueError):
    """An object in a JSON text has a key twice."""

    def __init__(self, pointer: str) -> None:
        """Name the key by its JSON pointer."""
        super().__init__(f"the key {pointer} is given more than once")
        self.pointer = pointer


def parse_json(text: str | bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
        RepeatedKey: An object has a key twice.
        ValueError: The text is not JSON.
        RecursionError: It nests too deeply.
    """
    repeated: list[tuple[dict[str, Any], str]] = []

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        fields = dict(pairs)
        if len(fields) != len(pairs):
            counts = Counter(name for name, _ in pairs)
            repeated.append((fields, next(name for name, count in counts.items() if count > 1)))
        return fields

    document = json.loads(text, object_pairs_hook=unique)
    if repeated:
        # The outermost object is parsed last, so the last one was not dropped with the value of a repeated key.
        fields, name = repeated[-1]
        pointer = f"{_pointer_to(fields, document)}/{_escaped(name)}"
        raise RepeatedKey(pointer[:_POINTER_CHARACTERS])
    return document


def _pointer_to(wanted: dict[str, Any], document: Any) -> str:
    waiting: list[tuple[str, Any]] = [("", document)]
    while waiting:
        pointer, value = waiting.pop()
        if value is wanted:
            return pointer
        if isinstance(value, dict):
            waiting += [(f"{pointer}/{_escaped(name)}", below) for name, below in value.items()]
        elif isinstance(value, list):
            waiting += [(f"{pointer}/{i}", below) for i, below in enumerate(value)]
    raise AssertionError("the object is part of the document")


def _escaped(name: str) -> str:
    """Return a name as a part of a pointer that can be encoded and stored: no lone surrogate, no NUL."""
    shown = name.replace("\0", "\\0").encode(errors="backslashreplace").decode()
    return shown.replace("~", "~0").replace("/", "~1")
