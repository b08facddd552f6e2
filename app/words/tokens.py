"""Split the values of metadata into words: labels, lists of tags, captions."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from app.words.phrases import plain

MAX_TAG_WORDS: Final = 3
"""A text with more words between separators is a caption, and each of its words counts."""
MAX_CHARS: Final = 60
"""Longer words are ignored."""
MIN_CAPTION_CHARS: Final = 3
"""Shorter words of captions are ignored."""
STOP_WORDS: Final = frozenset(
    [
        "about",
        "above",
        "after",
        "all",
        "also",
        "and",
        "any",
        "are",
        "been",
        "before",
        "being",
        "below",
        "but",
        "can",
        "did",
        "does",
        "for",
        "from",
        "had",
        "has",
        "have",
        "her",
        "here",
        "him",
        "his",
        "how",
        "into",
        "its",
        "just",
        "more",
        "most",
        "near",
        "next",
        "not",
        "off",
        "one",
        "our",
        "out",
        "over",
        "own",
        "she",
        "some",
        "such",
        "than",
        "that",
        "the",
        "their",
        "them",
        "then",
        "there",
        "these",
        "they",
        "this",
        "those",
        "through",
        "too",
        "two",
        "under",
        "until",
        "very",
        "was",
        "were",
        "what",
        "when",
        "where",
        "which",
        "while",
        "who",
        "why",
        "will",
        "with",
        "you",
        "your",
    ]
)

_SEPARATOR: Final = re.compile(r"[,;|\n]")
_CAPTION_WORD: Final = re.compile(r"[^\W\d_][\w'-]*")


def words_of(metadata: Mapping[str, Any], keys: Sequence[str]) -> set[str]:
    """Return the words that a picture has under these keys, in the form that ``plain`` returns.

    Texts are split at ``,``, ``;``, ``|`` and line ends. A part of up to three words is one tag ("red car"); a
    longer part is a caption, of which each word counts, without stop words and words of one or two letters.
    Elements of lists are texts. Numbers, booleans and objects are ignored.

    Args:
        metadata: The picture's metadata.
        keys: Keys to read; a key in nested objects is a dotted path.
    """
    return {
        word
        for key in keys
        for text in _texts(_value_under(metadata, key))
        for part in _SEPARATOR.split(text)
        for word in _words(part)
        if len(word) <= MAX_CHARS
    }


def _value_under(metadata: Mapping[str, Any], key: str) -> Any:
    if key in metadata:
        return metadata[key]
    head, _, rest = key.partition(".")
    inner = metadata.get(head)
    return _value_under(inner, rest) if rest and isinstance(inner, dict) else None


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        yield from (element for element in value if isinstance(element, str))


def _words(part: str) -> Iterator[str]:
    tag = plain(part)
    if len(tag.split()) <= MAX_TAG_WORDS:
        if any(char.isalpha() for char in tag):
            yield tag
        return
    for word in _CAPTION_WORD.findall(tag):
        if len(word) >= MIN_CAPTION_CHARS and word not in STOP_WORDS:
            yield word


def forms_of(words: str) -> tuple[str, ...]:
    """Return a word as asked for, and its regular singular and plural forms."""
    forms = [words, words.removesuffix("s"), words.removesuffix("es"), f"{words}s", f"{words}es"]
    if words.endswith("ies"):
        forms.append(f"{words[:-3]}y")
    return tuple(dict.fromkeys(form for form in forms if form))
