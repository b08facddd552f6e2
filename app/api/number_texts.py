"""Numbers that come as text, in query parameters and form fields.

Pydantic also takes ``1_0`` as 10, ``5.0`` as 5, and spaces around a number. Numbers in JSON bodies are parsed
strictly, so texts are too.
"""

import re
from typing import Any, Final

from pydantic import BeforeValidator
from pydantic_core import PydanticKnownError

_WHOLE: Final = re.compile(r"-?[0-9]+")
_DECIMAL: Final = re.compile(r"-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def whole_number(value: Any) -> Any:
    """Return ``value``, unless it is a text other than a whole number in digits.

    Raises:
        PydanticKnownError: It is such a text.
    """
    if isinstance(value, str) and not _WHOLE.fullmatch(value):
        raise PydanticKnownError("int_parsing")
    return value


def decimal_number(value: Any) -> Any:
    """Return ``value``, unless it is a text other than a decimal number.

    Raises:
        PydanticKnownError: It is such a text.
    """
    if isinstance(value, str) and not _DECIMAL.fullmatch(value):
        raise PydanticKnownError("float_parsing")
    return value


WHOLE: Final = BeforeValidator(whole_number)
"""Annotation of a parameter that is a whole number; put it behind the parameter's bounds."""
DECIMAL: Final = BeforeValidator(decimal_number)
"""Annotation of a parameter that is a decimal number; put it behind the parameter's bounds."""
