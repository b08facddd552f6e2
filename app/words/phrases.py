"""Split a text query into phrases: "dog, grass", "dog -cat", "crane (bird)"."""

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

MAX_PHRASES: Final = 8

_SEPARATOR: Final = re.compile(r"[,;\n]|(?:^|(?<=\s))(?=[-+]\S)")
_HINT: Final = re.compile(r"(.+?)\s*(?:\(([^()]*)\)|:\s*([^:]+))$")


@dataclass(frozen=True, slots=True)
class Phrase:
    """One thing that the pictures should show, or should not show."""

    words: str
    """In lower case, separated by single spaces."""
    hint: str | None = None
    """A word that tells which meaning is meant."""
    is_wanted: bool = True

    def __str__(self) -> str:
        """Return the phrase as a query would have it."""
        return f"{'' if self.is_wanted else '-'}{self.words}{f' ({self.hint})' if self.hint else ''}"


def parse_phrases(text: str) -> list[Phrase]:
    """Split a text query at commas, and before words with a leading ``+`` or ``-``.

    Raises:
        ValueError: There is no phrase, no wanted phrase, or too many.
    """
    found = [phrase for part in _SEPARATOR.split(text) if (phrase := _phrase(part)) is not None]
    if not any(phrase.is_wanted for phrase in found):
        raise ValueError('must name something that the pictures show, such as "dog" or "dog -cat"')
    if len(found) > MAX_PHRASES:
        raise ValueError(f"must have at most {MAX_PHRASES} phrases")
    return found


def _phrase(part: str) -> Phrase | None:
    part = part.strip()
    is_wanted = not part.startswith("-")
    part = part.lstrip("+-")
    hinted = _HINT.fullmatch(part)
    words = plain(hinted[1] if hinted else part)
    if not words:
        return None
    return Phrase(words, (plain(hinted[2] or hinted[3]) or None) if hinted else None, is_wanted)


def plain(text: str) -> str:
    """Return text in lower case, with single spaces and without punctuation at word ends."""
    folded = unicodedata.normalize("NFKC", text).casefold().replace("_", " ")
    words = (re.sub(r"^[^\w]+|[^\w]+$", "", word) for word in folded.split())
    return " ".join(word for word in words if word)
