"""Normalize, escape and shorten strings for storage, comparison and display.

Source: Unicode Standard Annex 15, "Unicode Normalization Forms".
"""

import re
import unicodedata
from typing import Any, Final

_NOT_KEPT: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]")
"""Control characters, line separators and lone surrogates."""
_ESCAPE: Final = re.compile(r"\\(?:[nrt]|x[0-9a-f]{2}|u[0-9a-f]{4})")


def nfc(text: str) -> str:
    """Return the text in Normalization Form C, so that "é" from macOS equals "é" from Windows."""
    return unicodedata.normalize("NFC", text)


def nfd(text: str) -> str:
    """Return the text in Normalization Form D, which older macOS file systems use for names."""
    return unicodedata.normalize("NFD", text)


def nfc_values(value: Any) -> Any:
    """Return a JSON value with all strings, including keys, in Normalization Form C."""
    if isinstance(value, str):
        return nfc(value)
    if isinstance(value, list):
        return [nfc_values(element) for element in value]
    if isinstance(value, dict):
        return {nfc(key): nfc_values(element) for key, element in value.items()}
    return value


def escaped(text: str) -> str:
    r"""Escape characters that cannot be stored or displayed, as ``\n`` or ``\xe4``.

    Surrogates from ``surrogateescape`` become the escape of their byte.
    """
    return _NOT_KEPT.sub(lambda found: _escape(found[0]), text)


def unescaped(text: str) -> str:
    """Inverse of ``escaped``."""
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
    """Shorten a text to ``length`` characters; keep its start and its end, which contains the file name."""
    if len(text) <= length:
        return text
    head = length // 2
    return f"{text[:head]}…{text[len(text) - (length - head - 1) :]}"
