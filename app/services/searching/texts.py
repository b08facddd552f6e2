"""Text queries: understand their words, and weigh the bits of the collection's codes."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.domain.codes import code_to_hex, unpack_signs
from app.domain.errors import FieldError, InvalidRequest, TextNotSupported, TextNotUnderstood
from app.domain.results import QueryInfo, TextMeaning
from app.encoding.artifact import Artifact, read_class_weights
from app.index.weighted import BitWeights
from app.services.model_registry.models import Models
from app.words.meanings import Meaning
from app.words.understanding import (
    NotUnderstood,
    Understood,
    WordWeights,
    bit_weights,
    understand,
    word_weights,
)
from app.words.vocabulary import Vocabulary, vocabulary

RECENT: Final = 256
"""Texts whose weights are kept."""
SHOWN_CLASSES: Final = 200
"""Names of classes in an answer, at most."""


class Texts:
    """Understands text queries for each model."""

    def __init__(self, models: Models) -> None:
        """Read class weights of ``models`` on first use."""
        self._models = models
        self._class_weights: dict[str, NDArray[np.float32]] = {}
        self._recent: OrderedDict[tuple[str, str, bool], tuple[WordWeights, QueryInfo]] = OrderedDict()

    async def understand(
        self, text: str, model: str, *, is_alone: bool = True
    ) -> tuple[WordWeights, QueryInfo]:
        """Return the weights of the bits for a text, and what it was taken for.

        Args:
            text: The text.
            model: Name of the model.
            is_alone: Whether the text is the whole query; otherwise its weights have one part.

        Raises:
            InvalidRequest: The text names nothing that pictures should show, or too much.
            TextNotUnderstood: No class stands for a word.
            TextNotSupported: The model has no class weights.
            ArtifactRefused: The file of the class weights is damaged.
        """
        artifact = (await self._models.serving(model)).artifact
        key = (artifact.digest, text, is_alone)
        if key not in self._recent:
            class_weights = await self._weights_of(artifact)
            # Loading the vocabulary, looking for similar words and grouping kinds may take a second.
            self._recent[key] = await asyncio.to_thread(_understood, text, class_weights, is_alone=is_alone)
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

    async def vocabulary(self) -> Vocabulary:
        """Return the vocabulary, which the first call loads."""
        return await asyncio.to_thread(vocabulary)

    async def _weights_of(self, artifact: Artifact) -> NDArray[np.float32]:
        digest = artifact.digest
        if digest not in self._class_weights:
            weights = await asyncio.to_thread(read_class_weights, artifact)
            if weights is None:
                raise TextNotSupported(
                    f"the model {artifact.name!r} has no names of classes, so it cannot be searched by words; "
                    "lite2-256 can"
                )
            self._class_weights[digest] = weights
        return self._class_weights[digest]


def _understood(
    text: str, class_weights: NDArray[np.float32], *, is_alone: bool
) -> tuple[WordWeights, QueryInfo]:
    found = _understand(text)
    if is_alone:
        weights = word_weights(found, class_weights)
    else:
        weights = WordWeights(bit_weights(found, class_weights)[np.newaxis], (0.0,), 1.0)
    bits = weights.rows.shape[1]
    info = QueryInfo(
        bits=bits,
        code=code_to_hex(BitWeights.of(weights.rows).code, bits),
        text=text,
        understood_as=tuple(_meaning(one) for one in found),
        confidence=min(one.confidence for one in found if one.phrase.is_wanted),
    )
    return weights, info


def _understand(text: str) -> Sequence[Understood]:
    try:
        return understand(text)
    except NotUnderstood as error:
        near = f"; words that are understood: {', '.join(error.nearest)}" if error.nearest else ""
        raise TextNotUnderstood(
            f"nothing is known of {error.words!r}{near}",
            errors=[FieldError("/text", f"the word {error.words!r} is not understood{near}")],
        ) from error
    except ValueError as error:
        raise InvalidRequest(errors=[FieldError("/text", str(error))]) from error


def _meaning(one: Understood) -> TextMeaning:
    known, meaning = vocabulary(), one.meaning
    return TextMeaning(
        phrase=str(one.phrase),
        is_wanted=one.phrase.is_wanted,
        word=meaning.word,
        label=meaning.label,
        synset=f"{meaning.synset}-n",
        relation=meaning.relation.value,
        classes=tuple(known.class_names[i] for i in meaning.classes[:SHOWN_CLASSES]),
        other_meanings=tuple(dict.fromkeys(_selecting(other) for other in one.others)),
    )


def _selecting(meaning: Meaning) -> str:
    """Return the phrase that selects a meaning."""
    return f"{meaning.word} ({meaning.label})"


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
