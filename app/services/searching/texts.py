"""Text queries: understand their words, and weigh the bits of the collection's codes."""

import asyncio
import difflib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.domain.codes import code_to_hex, unpack_signs
from app.domain.errors import FieldError, InvalidRequest, TextNotSupported, TextNotUnderstood
from app.domain.learned_words import LearnedWord
from app.domain.results import QueryInfo, TextMeaning
from app.encoding.artifact import Artifact, read_class_weights
from app.encoding.text_tower import EncodedText
from app.services.model_registry.models import Models
from app.services.searching.queries import WeightedBits
from app.services.searching.text_towers import TextTowers
from app.store.engine import Database
from app.words.meanings import SUGGESTIONS, Meaning, meanings_of
from app.words.phrases import Phrase, check_phrases, parse_phrases, without_negations
from app.words.tokens import forms_of
from app.words.understanding import (
    UNWANTED_WEIGHT,
    NotUnderstood,
    Understood,
    bit_weights,
    confidence_of,
    split_phrase,
    understand_phrase,
    word_weights,
)
from app.words.vocabulary import Vocabulary, vocabulary

RECENT: Final = 256
"""Texts whose rankings are kept."""
TAGS: Final = "tags"
"""Relation of a word that was learned from the collection's metadata."""
TEXT_TOWER: Final = "text_tower"
"""Relation of a phrase that was encoded as a whole."""
SHOWN_CLASSES: Final = 200
"""Names of classes in an answer, at most."""


class Texts:
    """Understands text queries by words learned from the collection's metadata, otherwise by the model.

    A model understands texts by its text tower, or nouns by names of its classes.
    """

    def __init__(self, models: Models, database: Database, towers: TextTowers) -> None:
        """Read class weights of ``models`` on first use, and learned words for each query."""
        self._models = models
        self._database = database
        self._towers = towers
        self._class_weights: dict[str, NDArray[np.float32]] = {}
        self._recent: OrderedDict[tuple[str, str, bool], tuple[WeightedBits, QueryInfo]] = OrderedDict()

    async def understand(
        self, text: str, model: str, collection_pk: int, *, is_alone: bool = True
    ) -> tuple[WeightedBits, QueryInfo]:
        """Return the ranking of a text, and the meanings of its phrases.

        Args:
            text: The text.
            model: Name of the model.
            collection_pk: Key of the collection, whose learned words come first.
            is_alone: Whether the text is the whole query; otherwise its weights have one part.

        Raises:
            InvalidRequest: The text names nothing that pictures should show, or too much.
            TextNotUnderstood: A word was not learned, and no class stands for it.
            TextNotSupported: A word was not learned, and the model has no class weights, or a package that its
                text tower needs is missing.
            ArtifactRefused: The file of the class weights or of the text tower is damaged.
            Unavailable: The database does not answer.
        """
        artifact = (await self._models.serving(model)).artifact
        phrases = _parsed(text)
        if artifact.manifest.text_tower is not None:
            return await self._by_tower(text, phrases, artifact, collection_pk)
        learned = await self._learned(phrases, collection_pk, model)
        if any(phrase.is_joined and phrase not in learned for phrase in phrases):
            phrases = await asyncio.to_thread(_split, phrases, learned, split_phrase)
            learned = await self._learned(phrases, collection_pk, model)
        try:
            if learned:
                has_names = len(learned) < len(phrases)
                class_weights = await self._weights_of(artifact) if has_names else None
                return await asyncio.to_thread(_understood_by_tags, text, phrases, learned, class_weights)
            return await self._by_names(text, phrases, artifact, is_alone=is_alone)
        except NotUnderstood as error:
            async with self._database.read() as unit:
                words = await unit.learned_words.offered_words(collection_pk, model)
            raise await asyncio.to_thread(_refusal, error, words) from error

    async def _by_tower(
        self, text: str, phrases: Sequence[Phrase], artifact: Artifact, collection_pk: int
    ) -> tuple[WeightedBits, QueryInfo]:
        """Return the ranking and meanings of a text: learned words, and how the text tower encodes the rest."""
        learned = await self._learned(phrases, collection_pk, artifact.name)
        if any(phrase not in learned for phrase in phrases):
            # Towers take "dog without cat" for a dog and a cat; other words between things they understand.
            phrases = _split(phrases, learned, without_negations)
            learned = await self._learned(phrases, collection_pk, artifact.name)
        parts = []
        for phrase in phrases:
            if phrase in learned:
                parts.append((learned[phrase].weights, _learned_meaning(phrase, learned[phrase])))
                continue
            encoded = await self._towers.encode(artifact, phrase.original)
            if not encoded.is_known:
                detail = (
                    f"{phrase.original!r} is not understood: the model {artifact.name!r} knows no part of it"
                )
                raise TextNotUnderstood(detail, errors=[FieldError("/text", detail)])
            parts.append((encoded.weights, _encoded_meaning(phrase, encoded)))
        only = phrases[0] if len(phrases) == 1 else None
        return _summed(text, parts, learned[only].precision_at_10 if only in learned else None)

    async def _by_names(
        self, text: str, phrases: Sequence[Phrase], artifact: Artifact, *, is_alone: bool
    ) -> tuple[WeightedBits, QueryInfo]:
        """Return the ranking and meanings of a text none of whose words was learned."""
        key = (artifact.digest, text, is_alone)
        if key not in self._recent:
            class_weights = await self._weights_of(artifact)
            # Loading the vocabulary, looking for similar words and grouping kinds may take a second.
            self._recent[key] = await asyncio.to_thread(
                _understood, text, phrases, class_weights, is_alone=is_alone
            )
            if len(self._recent) > RECENT:
                self._recent.popitem(last=False)
        self._recent.move_to_end(key)
        return self._recent[key]

    async def class_weights(self, model: str) -> NDArray[np.float32]:
        """Return the weights of the bits for each class, shape (classes, bits).

        Raises:
            TextNotSupported: The model has no class weights.
            ArtifactRefused: The file of the class weights is damaged.
        """
        return await self._weights_of((await self._models.serving(model)).artifact)

    async def _learned(
        self, phrases: Sequence[Phrase], collection_pk: int, model: str
    ) -> dict[Phrase, LearnedWord]:
        """Return the learned words of phrases; a hint asks for a meaning of the name instead."""
        forms = {phrase: forms_of(phrase.words) for phrase in phrases if phrase.hint is None}
        if not forms:
            return {}
        every = {form for several in forms.values() for form in several}
        async with self._database.read() as unit:
            known = await unit.learned_words.offered_among(collection_pk, model, every)
        return {
            phrase: known[form]
            for phrase, several in forms.items()
            for form in reversed(several)
            if form in known
        }

    async def vocabulary(self) -> Vocabulary:
        """Return the vocabulary, which the first call loads."""
        return await asyncio.to_thread(vocabulary)

    async def _weights_of(self, artifact: Artifact) -> NDArray[np.float32]:
        digest = artifact.digest
        if digest not in self._class_weights:
            weights = await asyncio.to_thread(read_class_weights, artifact)
            if weights is None:
                raise TextNotSupported(
                    f"the model {artifact.name!r} has no names of classes, so it can be searched only by words "
                    "that a job has learned from metadata (learn-words); lite2-256 has names"
                )
            self._class_weights[digest] = weights
        return self._class_weights[digest]


def _split(
    phrases: Sequence[Phrase],
    learned: Mapping[Phrase, LearnedWord],
    split: Callable[[Phrase], Iterable[Phrase]],
) -> list[Phrase]:
    """Split phrases such as "dog and cat" that were not learned as a whole."""
    try:
        parts = [part for phrase in phrases for part in ([phrase] if phrase in learned else split(phrase))]
        check_phrases(parts)
    except ValueError as error:
        raise InvalidRequest(errors=[FieldError("/text", str(error))]) from error
    return parts


def _understood(
    text: str, phrases: Sequence[Phrase], class_weights: NDArray[np.float32], *, is_alone: bool
) -> tuple[WeightedBits, QueryInfo]:
    found = [understand_phrase(phrase) for phrase in phrases]
    if is_alone:
        words = word_weights(found, class_weights)
        # The weights of several parts are too long for a cursor; those of one part stay valid if words change.
        ranking = WeightedBits(words.rows, words.biases, words.softness, is_of_text=len(words.rows) > 1)
    else:
        ranking = WeightedBits(bit_weights(found, class_weights)[np.newaxis])
    weights = ranking.weights
    info = QueryInfo(
        bits=weights.bits,
        code=code_to_hex(weights.code, weights.bits),
        text=text,
        understood_as=tuple(_meaning(one) for one in found),
        confidence=confidence_of(found),
    )
    return ranking, info


def _understood_by_tags(
    text: str,
    phrases: Sequence[Phrase],
    learned: Mapping[Phrase, LearnedWord],
    class_weights: NDArray[np.float32] | None,
) -> tuple[WeightedBits, QueryInfo]:
    """Return the ranking by words of which at least one was learned; the others are names."""
    parts = []
    for phrase in phrases:
        if phrase in learned:
            parts.append((learned[phrase].weights, _learned_meaning(phrase, learned[phrase])))
        else:
            assert class_weights is not None  # noqa: S101 - the caller reads them if a phrase was not learned
            one = understand_phrase(phrase)
            parts.append((class_weights[list(one.meaning.classes)].mean(axis=0), _meaning(one)))
    # Several phrases together were not measured.
    return _summed(text, parts, learned[phrases[0]].precision_at_10 if len(phrases) == 1 else None)


def _summed(
    text: str, parts: Sequence[tuple[NDArray[np.float32], TextMeaning]], confidence: float | None
) -> tuple[WeightedBits, QueryInfo]:
    """Return the ranking by the sum of the phrases' weights, scaled to unit length."""
    total = np.zeros(len(parts[0][0]))
    for weights, meaning in parts:
        sign = 1.0 if meaning.is_wanted else -UNWANTED_WEIGHT
        total += sign * weights / max(float(np.linalg.norm(weights)), 1e-12)
    ranking = WeightedBits(total.astype(np.float32)[np.newaxis])
    info = QueryInfo(
        bits=ranking.weights.bits,
        code=code_to_hex(ranking.weights.code, ranking.weights.bits),
        text=text,
        understood_as=tuple(meaning for _, meaning in parts),
        confidence=confidence,
    )
    return ranking, info


def _parsed(text: str) -> list[Phrase]:
    try:
        return parse_phrases(text)
    except ValueError as error:
        raise InvalidRequest(errors=[FieldError("/text", str(error))]) from error


def _refusal(error: NotUnderstood, words: Sequence[str]) -> TextNotUnderstood:
    """Return the error that names the nearest learned words, then the nearest names."""
    learned = difflib.get_close_matches(error.words, sorted(words), SUGGESTIONS)
    nearest = list(dict.fromkeys([*learned, *error.nearest]))[:SUGGESTIONS]
    near = f"; known words near it: {', '.join(nearest)}" if nearest else ""
    detail = f"{error.words!r} is not understood{near}"
    return TextNotUnderstood(detail, errors=[FieldError("/text", detail)])


def _learned_meaning(phrase: Phrase, word: LearnedWord) -> TextMeaning:
    return TextMeaning(
        phrase=str(phrase),
        is_wanted=phrase.is_wanted,
        word=word.word,
        label=None,
        synset=None,
        relation=TAGS,
        ignored=None,
        classes=(),
        other_meanings=_selecting(meanings_of(phrase.words)),
        pictures=word.pictures,
        precision_at_10=word.precision_at_10,
    )


def _encoded_meaning(phrase: Phrase, encoded: EncodedText) -> TextMeaning:
    return TextMeaning(
        phrase=f"{'' if phrase.is_wanted else '-'}{phrase.original}",
        is_wanted=phrase.is_wanted,
        word=phrase.original,
        label=None,
        synset=None,
        relation=TEXT_TOWER,
        ignored=encoded.ignored or None,
        classes=(),
        other_meanings=(),
    )


def _meaning(one: Understood) -> TextMeaning:
    known, meaning = vocabulary(), one.meaning
    return TextMeaning(
        phrase=str(one.phrase),
        is_wanted=one.phrase.is_wanted,
        word=meaning.word,
        label=meaning.label,
        synset=f"{meaning.synset}-n",
        relation=meaning.relation.value,
        ignored=one.ignored or None,
        classes=tuple(known.class_names[i] for i in meaning.classes[:SHOWN_CLASSES]),
        other_meanings=_selecting(one.others),
    )


def _selecting(meanings: Iterable[Meaning]) -> tuple[str, ...]:
    """Return a phrase for each meaning that a phrase selects."""
    return tuple(dict.fromkeys(phrase for one in meanings if (phrase := _phrase_for(one)) is not None))


def _phrase_for(meaning: Meaning) -> str | None:
    """Return the word with its label or, where another meaning has both too, another name of the meaning."""
    if meanings_of(meaning.word, meaning.label)[:1] == (meaning,):
        return f"{meaning.word} ({meaning.label})"
    names = [lemma.replace("_", " ") for lemma in vocabulary().lemmas[meaning.synset]]
    return next((name for name in names if _first_synset(name) == meaning.synset), None)


def _first_synset(words: str) -> str | None:
    found = meanings_of(words)
    return found[0].synset if found else None


def with_examples(
    text: NDArray[np.float32], wanted: NDArray[np.uint64], unwanted: NDArray[np.uint64]
) -> NDArray[np.float32]:
    """Add the bits of example pictures to the weights of a text; the text and each picture count alike.

    Args:
        text: Shape (bits,).
        wanted: Codes of positive examples, shape (p, words).
        unwanted: Codes of negative examples, shape (m, words).
    """
    bits = len(text)
    total = text / max(float(np.linalg.norm(text)), 1e-12)
    for codes, sign in ((wanted, 1.0), (unwanted, -1.0)):
        total = total + sign * unpack_signs(codes, bits).sum(axis=0) / np.sqrt(bits)
    weights: NDArray[np.float32] = total.astype(np.float32)
    return weights
