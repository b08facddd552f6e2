"""Suggest words for a stored picture, from its code alone."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.domain.codes import unpack_signs
from app.domain.errors import TextNotSupported, UnknownImage
from app.domain.learned_words import LearnedWord
from app.domain.results import Suggestion
from app.services.index_sync.catalogue import CollectionCatalogue
from app.services.index_sync.feed_follower import FeedFollower
from app.services.searching.restore_retry import retry_after_restore
from app.services.searching.texts import Texts
from app.store.engine import Database
from app.words.understanding import class_shares

GENERAL_WORDS: Final = 3
"""More general words of a suggestion, nearest first."""


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

    @retry_after_restore
    async def of_image(self, image_id: str, collection: str, limit: int) -> list[Suggestion]:
        """Return learned words that the picture's code speaks for, then the classes that it speaks for most.

        Raises:
            UnknownCollection: The collection does not exist.
            UnknownImage: The collection does not contain the picture, or it has no code yet.
            TextNotSupported: No word was learned, and the collection's model has no class weights.
        """
        live = self._catalogue.collection(collection)
        records = await self._database.lookups.by_ids(live.record.pk, [image_id])
        view = live.index.view()
        code = view.code_of(records[image_id].number) if image_id in records else None
        if code is None:
            raise UnknownImage(f"there is no picture {image_id!r} in collection {collection!r}")
        signs = unpack_signs(code[np.newaxis], view.bits)[0]
        async with self._database.read() as unit:
            words = await unit.learned_words.list_all(live.record.pk, live.record.model)
        offered = [word for word in words if word.is_offered]
        learned = _learned(signs, offered)[:limit]
        if len(learned) == limit:
            return learned
        try:
            class_weights = await self._texts.class_weights(live.record.model)
        except TextNotSupported:
            if not offered:
                raise
            return learned
        known = await self._texts.vocabulary()
        shares = class_shares(signs, class_weights)
        taken = {one.word for one in learned}
        best = [i for i in np.argsort(-shares, kind="stable").tolist() if known.class_names[i] not in taken]
        return learned + [
            Suggestion(known.class_names[i], float(shares[i]), known.general_words(i, GENERAL_WORDS))
            for i in best[: limit - len(learned)]
        ]


def _learned(signs: NDArray[np.int8], words: Sequence[LearnedWord]) -> list[Suggestion]:
    """Return the learned words whose estimate reaches their threshold, best first."""
    if not words:
        return []
    estimates = np.stack([word.weights for word in words]) @ signs + [word.offset for word in words]
    best = np.argsort(-estimates, kind="stable").tolist()
    return [
        Suggestion(words[i].word, min(max(float(estimates[i]), 0.0), 1.0), (), is_learned=True)
        for i in best
        if estimates[i] >= words[i].threshold
    ]
