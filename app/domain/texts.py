"""Texts in the one form in which they are kept, compared and shown.

Source: Unicode Standard Annex 15, "Unicode Normalization Forms".
"""

import re
import unicodedata
from typing import Any, Final

_NOT_KEPT: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]")
"""Control characters, line separators and lone surrogates."""
_ESCAPE: Final = re.compile(r"\\(?:[nrt]|x[0-9a-f]{2}|u[0-9a-f]{4})")


def nfc(text: str) -> str:
    """The text in Normalization Form C, so that "é" is one text whether a Mac or Windows wrote it."""
    return unicodedata.normalize("NFC", text)


def nfd(text: str) -> str:
    """The text in Normalization Form D, as a Mac's older file systems keep names."""
    return unicodedata.normalize("NFD", text)


def nfc_values(value: Any) -> Any:
    """A JSON value with every text in it, keys included, in Normalization Form C."""
    if isinstance(value, str):
        return nfc(value)
    if isinstance(value, list):
        return [nfc_values(element) for element in value]
    if isinstance(value, dict):
        return {nfc(key): nfc_values(element) for key, element in value.items()}
    return value


def escaped(text: str) -> str:
    r"""The text with each character that cannot be kept or shown as an escape such as ``\n`` or ``\xe4``.

    A byte that ``surrogateescape`` let through is shown as that byte.
    """
    return _NOT_KEPT.sub(lambda found: _escape(found[0]), text)


def unescaped(text: str) -> str:
    """The text that ``escaped`` made this one of."""
    return _ESCAPE.sub(lambda found: _unescape(found[0]), text)


def _unescape(escape: str) -> str:
    character = escape.encode("ascii").decode("unicode_escape")
    is_byte = escape.startswith("\\x") and character >= "\x80"
    return chr(ord(character) + 0xDC00) if is_byte else character


def _escape(character: str) -> str:
    number = ord(character)
    if 0xDC80 <= number <= 0xDCFF:
        return f"\\x{number - 0xDC00:02x}"
    return f"\\u{number:04x}" if number >= 0x80 else character.encode("unicode_escape").decode("ascii")


def shortened(text: str, length: int) -> str:
    """At most ``length`` characters of a text: its beginning and its end, where the file's name stands."""
    if len(text) <= length:
        return text
    head = length // 2
    return f"{text[:head]}…{text[len(text) - (length - head - 1) :]}"
