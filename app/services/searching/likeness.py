"""What each result is to the query: a copy by the rule for copies, or what the distance of the codes says."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.domain.calibration import Likeness
from app.domain.copies import NO_DISTANCE
from app.domain.results import FoundImage
from app.encoding.hash_orientations import in_all_orientations
from app.services.index_sync.live_collection import LiveCollection
from app.services.index_sync.stored_hashes import stored_hashes
from app.services.model_registry.models import Models
from app.services.searching.answers import PreparedSearch
from app.services.searching.paging import Page
from app.services.searching.queries import CopyQuery
from app.services.searching.stored_descriptors import stored_descriptors
from app.store.engine import Database

Likenesses = Mapping[int, Likeness]
"""By insertion number."""
_NONE: Final[Likenesses] = {}


class ResultLikeness:
    """Finds the likeness of results of a query picture."""

    def __init__(self, database: Database, models: Models) -> None:
        """Read descriptors from ``database``; the calibrations are those of ``models``."""
        self._database = database
        self._models = models

    async def of_page(
        self, prepared: PreparedSearch, page: Page, records: Mapping[int, FoundImage]
    ) -> Likenesses:
        """Return the likeness of each picture of a page.

        Empty for queries that are no picture, and under a model without a calibration. Where the query or a
        result is nearly uniform, only equal files have one.
        """
        copy, live = prepared.query.copy, prepared.live
        if copy is None:
            return _NONE
        calibration = (await self._models.serving(live.record.model)).calibration
        if calibration is None:
            return _NONE
        sha256 = prepared.query.info.sha256
        exact = {number: Likeness.EXACT for number, record in records.items() if record.sha256 == sha256}
        if copy.is_blank:
            return exact
        numbers, distances = page.numbers, page.distances
        blank = [number for number, record in records.items() if record.is_blank]
        if blank:
            is_shown = ~np.isin(numbers, np.array(blank, np.int64))
            numbers, distances = numbers[is_shown], distances[is_shown]
        apart = await self._hash_distances(live, numbers, copy)
        # Of the others the rule says the same whatever their descriptors are.
        rule = calibration.copy_rule
        is_undecided = (apart > rule.sure_hash_distance) & (apart <= rule.max_hash_distance)
        is_undecided |= (distances <= rule.max_code_distance) & (apart > rule.sure_hash_distance)
        described = np.full(len(numbers), 2.0)
        if copy.descriptors is not None and is_undecided.any():
            described[is_undecided] = await self._descriptor_distances(
                live, copy.descriptors, numbers[is_undecided]
            )
        words = calibration.likenesses_by_rule(distances, apart, described)
        return dict(zip(numbers.tolist(), words, strict=True)) | exact

    async def _hash_distances(
        self, live: LiveCollection, numbers: NDArray[np.int64], copy: CopyQuery
    ) -> NDArray[np.int64]:
        """Return the distance of each hash from the nearest of the query's in any orientation."""
        apart = np.full(len(numbers), NO_DISTANCE, np.int64)
        if not len(copy.hashes):
            return apart
        known, hashes = await stored_hashes(self._database.lookups, live, numbers)
        if len(known):
            queries = in_all_orientations(copy.hashes)
            nearest = np.bitwise_count(hashes[:, np.newaxis] ^ queries).sum(axis=2, dtype=np.int64).min(axis=1)
            places = np.searchsorted(known, numbers).clip(max=len(known) - 1)
            apart = np.where(known[places] == numbers, nearest[places], apart)
        return apart

    async def _descriptor_distances(
        self, live: LiveCollection, descriptors: NDArray[np.int8], numbers: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Return the distance of each picture from the nearest of the query's descriptors; 2 without one."""
        stored = await stored_descriptors(self._database.lookups, live, numbers, descriptors.shape[1])
        nearest: NDArray[np.float64] = np.min([stored.distances_from(one) for one in descriptors], axis=0)
        return nearest
