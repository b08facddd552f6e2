"""What each result is to the query: a copy by the rule for copies, or what the distance of the codes says."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from app.domain.calibration import Likeness
from app.domain.codes import codes_from_bytes, codes_to_bytes
from app.domain.perceptual import HASH_BITS, PERCEPTUAL_MODEL
from app.domain.results import FoundImage
from app.encoding.hash_orientations import in_all_orientations
from app.services.index_sync.live_collection import LiveCollection
from app.services.model_registry.models import Models
from app.services.searching.answers import PreparedSearch
from app.services.searching.paging import Page
from app.services.searching.queries import CopyQuery, NearestOf
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

        Empty for queries that are no picture, and under a model without a calibration.
        """
        copy, live = prepared.query.copy, prepared.live
        if copy is None or not isinstance(prepared.query.ranking, NearestOf):
            return _NONE
        calibration = (await self._models.serving(live.record.model)).calibration
        if calibration is None:
            return _NONE
        distances = dict(zip(page.numbers.tolist(), page.distances.tolist(), strict=True))
        apart = _hash_distances(await self._hashes(live, list(distances)), copy)
        # Of the others the rule says the same whatever their descriptors are.
        rule = calibration.copy_rule
        undecided = [
            number
            for number, bits in apart.items()
            if rule.sure_hash_distance < bits <= rule.max_hash_distance
            or distances[number] <= rule.max_code_distance
        ]
        described = await self._descriptor_distances(live, copy, undecided)
        return {
            number: Likeness.EXACT
            if record.sha256 == prepared.query.info.sha256
            else calibration.likeness_by_rule(distances[number], apart.get(number), described.get(number))
            for number, record in records.items()
            if number in distances
        }

    async def _hashes(self, live: LiveCollection, numbers: Sequence[int]) -> dict[int, bytes]:
        if live.record.is_remote:
            return await self._database.lookups.codes_of(live.record.pk, PERCEPTUAL_MODEL, numbers)
        known, hashes = live.hashes.view().codes_of(np.unique(np.array(numbers, np.int64)))
        return dict(zip(known.tolist(), codes_to_bytes(hashes, HASH_BITS), strict=True))

    async def _descriptor_distances(
        self, live: LiveCollection, copy: CopyQuery, numbers: Sequence[int]
    ) -> dict[int, float]:
        """Return the distance of each picture from the nearest of the query's descriptors; 2 without one."""
        if copy.descriptors is None or not numbers:
            return {}
        stored = await stored_descriptors(
            self._database.lookups, live, np.array(numbers, np.int64), copy.descriptors.shape[1]
        )
        nearest = np.min([stored.distances_from(one) for one in copy.descriptors], axis=0)
        return dict(zip(numbers, nearest.tolist(), strict=True))


def _hash_distances(hashes: Mapping[int, bytes], copy: CopyQuery) -> dict[int, int]:
    """Return the distance of each hash from the nearest of the query's in any orientation."""
    if not hashes or not len(copy.hashes):
        return {}
    rows = codes_from_bytes(b"".join(hashes.values()), HASH_BITS)
    apart = np.bitwise_count(rows[:, np.newaxis] ^ in_all_orientations(copy.hashes)).sum(axis=2, dtype=np.int64)
    return dict(zip(hashes, apart.min(axis=1).tolist(), strict=True))
