"""Suggest words for a stored picture by its code alone."""

from typing import Final

import numpy as np

from app.domain.codes import unpack_signs
from app.domain.errors import UnknownImage
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
    """Suggests names of the encoder's classes for stored pictures."""

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
        """Return the classes that a picture's code speaks for most, best first.

        Raises:
            UnknownCollection: The collection does not exist.
            UnknownImage: The collection does not contain the picture, or it has no code yet.
            TextNotSupported: The collection's model has no class weights.
        """
        live = self._catalogue.collection(collection)
        records = await self._database.lookups.by_ids(live.record.pk, [image_id])
        view = live.index.view()
        code = view.code_of(records[image_id].number) if image_id in records else None
        if code is None:
            raise UnknownImage(f"there is no picture {image_id!r} in collection {collection!r}")
        class_weights = await self._texts.class_weights(live.record.model)
        known = await self._texts.vocabulary()
        shares = class_shares(unpack_signs(code[np.newaxis], view.bits)[0], class_weights)
        best = np.argsort(-shares, kind="stable")[:limit].tolist()
        return [
            Suggestion(known.class_names[i], float(shares[i]), known.general_words(i, GENERAL_WORDS))
            for i in best
        ]
