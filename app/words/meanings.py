"""Meanings of a word, and the classes of the encoder that stand for each."""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

from app.words.vocabulary import Vocabulary, vocabulary

MAX_CLASSES: Final = 400
"""A synset with more classes below it says too little to rank by, such as "thing"."""
COMMON_SENSES: Final = 5
"""Rarer senses of a word are used only if a hint selects them."""
LIVING: Final = "00004475"
"""The synset "organism"; the tree of organisms relates what looks alike."""
PERSON: Final = "00007846"
"""The synset "person"; people of different roles do not look alike."""
HUMAN: Final = "02472293"
"""The synset "human being", an animal; its relatives are apes, which no query means."""
RELATED_CLASSES: Final = 40
"""A nearest common ancestor with more classes below it relates nothing that looks alike."""
MAX_KINDS: Final = 100
"""A thing with more kinds, none of them a class, is a large group unlike its relatives, such as "tree"."""
LIVING_STEPS: Final = 3
OTHER_STEPS: Final = 1
"""Most steps up to the common ancestor; above, artifacts share a purpose at best."""
SUGGESTIONS: Final = 5
SPELLING: Final = 2
"""Most letters that a suggested word is longer or shorter."""


class Relation(StrEnum):
    """How classes stand for a meaning."""

    KINDS = "kinds"
    """They are the thing itself or kinds of it."""
    KIND_OF = "kind_of"
    """The thing is a kind of a class."""
    RELATED = "related"
    """They are the thing's nearest relatives; the thing itself is no class."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """One meaning of a word, with the classes that stand for it."""

    word: str
    """The form of the word that is known."""
    synset: str
    """Offset in WordNet 3.0."""
    label: str
    """A more general word, which distinguishes this meaning from others of the same word."""
    relation: Relation
    classes: tuple[int, ...]


def meanings_of(words: str, hint: str | None = None) -> tuple[Meaning, ...]:
    """Return the meanings of a phrase or its last words, as ``find_meanings`` does."""
    return find_meanings(words, hint)[1]


@lru_cache(1024)
def find_meanings(words: str, hint: str | None = None) -> tuple[str, tuple[Meaning, ...]]:
    """Return the meanings of a phrase that classes stand for, the most likely first.

    Args:
        words: As ``plain`` returns them. Of an unknown phrase, its last words are tried: "red car" is a car.
        hint: A word; only meanings are returned that are kinds of it.

    Returns:
        The first words, which were ignored, and the meanings of the others.
    """
    known = vocabulary()
    parts = words.split()
    for i in range(len(parts)):
        for form in _forms(known, " ".join(parts[i:])):
            found = list(_meanings(known, form, hint))
            if found:
                limit = None if hint else COMMON_SENSES
                return " ".join(parts[:i]), tuple(found[:limit])
    return "", ()


def nearest_words(words: str) -> list[str]:
    """Return words that are understood: near relatives of an unknown one, or words of a similar spelling."""
    known = vocabulary()
    found: dict[str, None] = {}
    for form in _forms(known, words):
        for sense in known.senses.get(form.replace(" ", "_"), ())[:1]:
            general = known.above(sense.synset)
            if PERSON in general or HUMAN in general:
                continue
            for above in general:
                classes = sorted(known.below.get(above, ()))
                if classes:
                    if len(classes) <= RELATED_CLASSES:
                        found |= dict.fromkeys(known.class_names[i] for i in classes[:SUGGESTIONS])
                    break
    # Comparing with every word would take a second.
    alike = {word for word in known.words() if word[0] == words[0] and abs(len(word) - len(words)) <= SPELLING}
    for near in difflib.get_close_matches(words, sorted(alike), 2 * SUGGESTIONS, 0.75):
        if meanings_of(near):
            found[near] = None
    return list(found)[:SUGGESTIONS]


def _forms(known: Vocabulary, words: str) -> Iterator[str]:
    """Yield the spellings of a phrase that are known."""
    joined = (words, words.replace(" ", "-"), words.replace(" ", ""), words.replace("-", " "))
    tried = [form for one in dict.fromkeys(joined) for form in (one, *_singulars(known, one))]
    for form in dict.fromkeys(tried):
        if form in known.named or form.replace(" ", "_") in known.senses:
            yield form
    # A class may be named by a plural only, such as "binoculars".
    if f"{words}s" in known.named:
        yield f"{words}s"


def _singulars(known: Vocabulary, word: str) -> Iterator[str]:
    if word in known.plurals:
        yield known.plurals[word].replace("_", " ")
    for ending, singular in (("ies", "y"), ("ves", "f"), ("es", ""), ("s", "")):
        if word.endswith(ending) and len(word) > len(ending) + 2:
            yield word.removesuffix(ending) + singular


def _meanings(known: Vocabulary, form: str, hint: str | None) -> Iterator[Meaning]:
    """Yield the meanings of a known form that a hint allows: classes of that name, then senses of WordNet."""
    for one in _placed_senses(known, form, is_hinted=hint is not None):
        if hint is None or _is_a(known, one, hint):
            yield one


def _placed_senses(known: Vocabulary, form: str, *, is_hinted: bool) -> Iterator[Meaning]:
    senses = known.senses.get(form.replace(" ", "_"), ())
    ranks = {sense.synset: sense.rank for sense in senses}
    named = sorted(known.named.get(form, ()), key=lambda i: (ranks.get(known.class_synsets[i], 99), i))
    for i in named:
        synset = known.class_synsets[i]
        yield Meaning(form, synset, _label(known, synset, form), Relation.KINDS, (i,))
    found = {known.class_synsets[i] for i in named}
    kinds = [
        Meaning(form, sense.synset, _label(known, sense.synset, form), *placed)
        for sense in senses
        if sense.synset not in found and (placed := _placed(known, sense.synset)) is not None
    ]
    # A related class answers only if nothing stands for a sense, and only if it is related to the usual sense:
    # relatives of a man at chess would be a surprise.
    yield from (one for one in kinds if one.relation is not Relation.RELATED)
    if not named and all(one.relation is Relation.RELATED for one in kinds):
        is_usual = bool(kinds) and kinds[0].synset == senses[0].synset
        yield from kinds if is_usual or is_hinted else ()


def _placed(known: Vocabulary, synset: str) -> tuple[Relation, tuple[int, ...]] | None:
    """Return the classes that stand for a synset."""
    below = known.below.get(synset)
    if synset == PERSON:
        return None
    if below:
        return (Relation.KINDS, tuple(sorted(below))) if len(below) <= MAX_CLASSES else None
    above = known.above(synset)
    kind_of = [i for one in above for i in known.below.get(one, ()) if known.class_synsets[i] == one]
    if kind_of:
        return Relation.KIND_OF, tuple(sorted(kind_of))
    if PERSON in above or HUMAN in above or known.has_more_kinds(synset, MAX_KINDS):
        return None
    most = LIVING_STEPS if LIVING in above else OTHER_STEPS
    for one, steps in above.items():
        classes = known.below.get(one)
        if classes:
            is_near = steps <= most and len(classes) <= RELATED_CLASSES
            return (Relation.RELATED, tuple(sorted(classes))) if is_near else None
    return None


def _label(known: Vocabulary, synset: str, form: str) -> str:
    """Return the usual word of the nearest more general synset that is not the word itself."""
    for above in known.above(synset):
        label = known.label(above)
        if above != synset and form not in label.split() and label not in form:
            return label
    return known.label(synset)


def _is_a(known: Vocabulary, meaning: Meaning, hint: str) -> bool:
    """Whether a meaning, or something that it is a kind of, has this word."""
    hints = {form.replace(" ", "_") for form in _forms(known, hint)} | {hint.replace(" ", "_")}
    return any(
        not hints.isdisjoint({lemma, *lemma.split("_")})
        for above in known.above(meaning.synset)
        for lemma in known.lemmas[above]
    )
