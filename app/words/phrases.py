"""Split a text query into phrases: "dog, beach", "dog -cat", "crane (bird)", "dog without a cat"."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

MAX_PHRASES: Final = 8

JOINING: Final = frozenset(
    ("and", "with", "plus", "but", "in", "on", "at", "near", "by", "beside", "behind", "under", "over")
)
"""Words between two things that pictures show together."""
NEGATING: Final = frozenset(["without", "no", "not", "minus", "except", "excluding"])
"""Words before a thing that pictures should not show."""
ARTICLES: Final = frozenset(("a", "an", "the"))

_SIGN: Final = re.compile(r"(?:^|(?<=[\s,;]))([-+\u2010-\u2015\u2212])\s*(?=[^\s,;])")
"""A sign before a phrase, with any of the dashes that keyboards put in the place of a minus."""
_SEPARATOR: Final = re.compile(r"[,;\n]|(?:^|(?<=\s))(?=[-+]\S)")
_HINT: Final = re.compile(r"(.+?)\s*(?:\(([^()]*)\)|:\s*([^:]+))$")


@dataclass(frozen=True, slots=True)
class Phrase:
    """One thing that the pictures should show, or should not show."""

    words: str
    """In lower case, separated by single spaces."""
    hint: str | None = None
    """A word that selects the meaning."""
    is_wanted: bool = True
    original: str = field(default="", compare=False)
    """As it was written, without its sign; a text tower may tell upper from lower case."""

    @property
    def is_joined(self) -> bool:
        """Whether it may name several things."""
        return any(word in JOINING or word in NEGATING or word == "or" for word in self.words.split())

    def __str__(self) -> str:
        """Return the phrase as a query would have it."""
        return f"{'' if self.is_wanted else '-'}{self.words}{f' ({self.hint})' if self.hint else ''}"


def parse_phrases(text: str) -> list[Phrase]:
    """Split a text query at commas, and before words with a leading ``+`` or ``-``.

    Raises:
        ValueError: There is no phrase, no wanted phrase, or too many.
    """
    signed = _SIGN.sub(lambda match: "+" if match[1] == "+" else "-", unicodedata.normalize("NFKC", text))
    found = [phrase for part in _SEPARATOR.split(signed) if (phrase := _phrase(part)) is not None]
    check_phrases(found)
    return found


def check_phrases(phrases: Sequence[Phrase]) -> None:
    """Check that phrases make a query.

    Raises:
        ValueError: No phrase is wanted, or there are too many.
    """
    if not any(phrase.is_wanted for phrase in phrases):
        raise ValueError('must name something that the pictures show, such as "dog" or "dog -cat"')
    if len(phrases) > MAX_PHRASES:
        raise ValueError(f"must have at most {MAX_PHRASES} phrases")


def joined_phrases(phrase: Phrase) -> Iterator[Phrase]:
    """Split a phrase at words such as "and" and "without"; a negation holds to the end of the phrase.

    Raises:
        ValueError: The phrase contains "or".
    """
    words: list[str] = []
    is_wanted = phrase.is_wanted
    for word in phrase.words.split():
        if word == "or":
            raise ValueError('names things that the pictures show together; for "or", search for one at a time')
        if word not in JOINING and word not in NEGATING:
            words += [] if not words and word in ARTICLES else [word]
            continue
        if words:
            yield Phrase(" ".join(words), is_wanted=is_wanted)
        words = []
        is_wanted = is_wanted and word not in NEGATING
    if words:
        yield replace(phrase, words=" ".join(words), is_wanted=is_wanted)


def without_negations(phrase: Phrase) -> Iterator[Phrase]:
    """Split a phrase at words such as "without"; what follows is unwanted."""
    pieces: list[list[str]] = [[]]
    for word in phrase.original.split():
        if plain(word) in NEGATING:
            pieces.append([])
        else:
            pieces[-1].append(word)
    for i, piece in enumerate(pieces):
        original = " ".join(piece)
        if plain(original):
            yield replace(
                phrase, words=plain(original), is_wanted=phrase.is_wanted and i == 0, original=original
            )


def _phrase(part: str) -> Phrase | None:
    part = part.strip()
    is_wanted = not part.startswith("-")
    part = part.lstrip("+-")
    hinted = _HINT.fullmatch(part)
    words = plain(hinted[1] if hinted else part)
    if not words:
        return None
    hint = (plain(hinted[2] or hinted[3] or "") or None) if hinted else None
    return Phrase(words, hint, is_wanted, part.strip())


def plain(text: str) -> str:
    """Return text in lower case, with single spaces and without punctuation at word ends."""
    folded = unicodedata.normalize("NFKC", text).casefold().replace("_", " ").replace("&", " and ")
    words = (re.sub(r"^[^\w]+|[^\w]+$", "", word) for word in folded.split())
    return " ".join(word for word in words if word)
