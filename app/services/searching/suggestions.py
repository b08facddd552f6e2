"""Suggest words for stored pictures, from their codes alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.domain.codes import unpack_signs
from app.domain.errors import TextNotSupported, UnknownImage
from app.domain.learned_words import LearnedWord
from app.domain.results import Suggestion
from app.services.index_sync.catalogue import CollectionCatalogue
from app.services.index_sync.feed_follower import FeedFollower
from app.services.searching.code_queries import stored_codes
from app.services.searching.restore_retry import retry_after_restore
from app.services.searching.texts import Texts
from app.store.engine import Database
from app.words.understanding import class_shares
from app.words.vocabulary import Vocabulary

GENERAL_WORDS: Final = 3
"""More general words of a suggestion, nearest first."""


@dataclass(frozen=True, slots=True)
class KnownWords:
    """Words that can be suggested for the codes of one model."""

    learned: Sequence[LearnedWord]
    class_weights: NDArray[np.float32] | None
    """Shape (classes, bits); None if the model has no names of classes."""
    vocabulary: Vocabulary

    def suggest(self, signs: NDArray[np.int8], limit: int) -> list[list[Suggestion]]:
        """Return for each picture the learned words that fit it, best first, then names of classes.

        Args:
            signs: Bits of the pictures' codes, -1 or 1, shape (n, bits).
            limit: Most words of a picture.
        """
        found = [words[:limit] for words in self._learned(signs)]
        if self.class_weights is None:
            return found
        shares = class_shares(signs, self.class_weights)
        # Each learned word may take the place of a class of the same name.
        best = np.argsort(-shares, axis=1, kind="stable")[:, : 2 * limit]
        return [
            words + self._names({one.word for one in words}, shares[i], best[i].tolist())[: limit - len(words)]
            for i, words in enumerate(found)
        ]

    def _names(self, taken: set[str], shares: NDArray[np.float64], classes: list[int]) -> list[Suggestion]:
        names = self.vocabulary.class_names
        return [
            Suggestion(names[c], float(shares[c]), self.vocabulary.general_words(c, GENERAL_WORDS))
            for c in classes
            if names[c] not in taken
        ]

    def _learned(self, signs: NDArray[np.int8]) -> list[list[Suggestion]]:
        """Return the learned words whose estimate reaches their threshold, best first, for each picture."""
        words = self.learned
        if not words:
            return [[] for _ in signs]
        weights = np.stack([word.weights for word in words])
        estimates = signs.astype(np.float32) @ weights.T + np.array([word.offset for word in words])
        is_fitting = estimates >= np.array([word.threshold for word in words])
        order = np.argsort(-estimates, axis=1, kind="stable")
        return [
            [
                Suggestion(words[w].word, min(max(float(estimates[i, w]), 0.0), 1.0), (), is_learned=True)
                for w in order[i].tolist()
                if is_fitting[i, w]
            ]
            for i in range(len(signs))
        ]


class Suggestions:
    """Suggests words learned from the collection's metadata, and names of the encoder's classes."""

    def __init__(
        self, database: Database, catalogue: CollectionCatalogue, follower: FeedFollower, texts: Texts
    ) -> None:
        """Read codes from the indexes of ``catalogue``, which ``follower`` keeps up to date."""
        self._database = database
        self._catalogue = catalogue
        self.follower: Final = follower
        self._texts = texts

    async def of_image(self, image_id: str, collection: str, limit: int) -> list[Suggestion]:
        """Return learned words that the picture's code speaks for, then the classes that it speaks for most.

        Raises:
            UnknownCollection: The collection does not exist.
            UnknownImage: The collection does not contain the picture, or it has no code yet.
            TextNotSupported: No word was learned, and the collection's model has no class weights.
        """
        found = await self.of_images([image_id], collection, limit)
        if image_id not in found:
            raise UnknownImage(f"there is no picture {image_id!r} in collection {collection!r}")
        return found[image_id]

    @retry_after_restore
    async def of_images(
        self, image_ids: Sequence[str], collection: str, limit: int
    ) -> dict[str, list[Suggestion]]:
        """Return the words of each picture, by id; pictures that are unknown or have no code are missing.

        Raises:
            UnknownCollection: The collection does not exist.
            TextNotSupported: No word was learned, and the collection's model has no class weights.
        """
        live = self._catalogue.collection(collection)
        records = await self._database.lookups.by_ids(live.record.pk, image_ids)
        view = live.index.view()
        by_number = await stored_codes(view, [record.number for record in records.values()])
        codes = {
            image_id: by_number[record.number]
            for image_id, record in records.items()
            if record.number in by_number
        }
        if not codes:
            return {}
        known = await self.known_words(live.record.pk, live.record.model)
        found = known.suggest(unpack_signs(np.stack(list(codes.values())), view.bits), limit)
        return dict(zip(codes, found, strict=True))

    async def known_words(self, collection_pk: int, model: str) -> KnownWords:
        """Return the words that can be suggested for pictures of a collection under a model.

        Raises:
            TextNotSupported: No word was learned, and the model has no class weights.
        """
        async with self._database.read() as unit:
            words = await unit.learned_words.list_all(collection_pk, model)
        offered = [word for word in words if word.is_offered]
        try:
            class_weights = await self._texts.class_weights(model)
        except TextNotSupported:
            if not offered:
                raise
            class_weights = None
        return KnownWords(offered, class_weights, await self._texts.vocabulary())
