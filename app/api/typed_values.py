"""Numbers and booleans of requests, checked against their documented types.

In query parameters and form fields they come as text. Pydantic then also takes ``1_0`` as 10, ``05`` as 5 and
``yes`` as true. In JSON it takes texts, ``true`` as 1, and 0 as false.
"""

import re
from collections.abc import Hashable
from functools import cache
from types import NoneType, UnionType
from typing import Any, Final, Literal, Union, cast, get_args, get_origin

from pydantic import BeforeValidator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticKnownError


def _text_of(pattern: re.Pattern[str], error: Literal["int_parsing", "float_parsing"]) -> BeforeValidator:
    """Return a validator that refuses texts other than ``pattern``."""

    def check(value: Any) -> Any:
        if isinstance(value, str) and not pattern.fullmatch(value):
            raise PydanticKnownError(error)
        return value

    return BeforeValidator(check)


def _boolean(value: Any) -> Any:
    """Return ``value``, or a text in lower case, unless that is neither ``true`` nor ``false``.

    Generated clients in Python, and its HTTP libraries, write ``True`` and ``False``.

    Raises:
        PydanticKnownError: It is such a text.
    """
    if not isinstance(value, str):
        return value
    if value.lower() not in {"true", "false"}:
        raise PydanticKnownError("bool_parsing")
    return value.lower()


WHOLE: Final = _text_of(re.compile(r"-?(?:0|[1-9][0-9]*)"), "int_parsing")
"""Annotation of a whole number in digits, without leading zeros; put it behind the parameter's bounds."""
DECIMAL: Final = _text_of(
    re.compile(r"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"), "float_parsing"
)
"""Annotation of a decimal number, without leading zeros; put it behind the parameter's bounds."""
BOOLEAN: Final = BeforeValidator(_boolean)
"""Annotation of a parameter that is true or false."""


def check_type(value: Any, field: FieldInfo) -> None:
    """Check a value of a JSON body, of which pydantic would convert texts, numbers and booleans.

    Args:
        value: The value before validation.
        field: The field; only numbers and booleans, optional or not, are checked. Fields of forms have one of
            the annotations above, and are skipped.

    Raises:
        PydanticKnownError: The field is a number, and the value a boolean or a text; or the field is a boolean,
            and the value a number or a text.
    """
    if any(one in field.metadata for one in (WHOLE, DECIMAL, BOOLEAN)):
        return
    kind = _scalar(cast(Hashable, field.annotation))
    if kind is bool and isinstance(value, int | float | str) and not isinstance(value, bool):
        raise PydanticKnownError("bool_parsing")
    if kind is int and isinstance(value, bool | str):
        raise PydanticKnownError("int_parsing")
    if kind is float and isinstance(value, bool | str):
        raise PydanticKnownError("float_parsing")


@cache
def _scalar(annotation: Any) -> type | None:
    """Return the type of a field that is a number or a boolean, optional or not; None for others."""
    if get_origin(annotation) is Literal:
        kinds = {type(choice) for choice in get_args(annotation)}
        return int if kinds == {int} else None
    is_union = get_origin(annotation) in {Union, UnionType}
    kinds = set(get_args(annotation) if is_union else (annotation,)) - {NoneType}
    return next((kind for kind in (bool, int, float) if kinds == {kind}), None)
