"""Find the pictures, stored or about to be, of which pictures to add are copies, edited or not."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.domain.codes import codes_from_bytes
from app.domain.copies import NO_DISTANCE, CopyRule
from app.domain.errors import IndexUnavailable
from app.domain.images import ImageCode, ImageRecord, NewImage
from app.domain.perceptual import HASH_BITS
from app.encoding.hash_orientations import in_all_orientations
from app.index.port import View
from app.remote.connection import RETRY_AFTER_S
from app.services.index_sync.live_collection import LiveCollection
from app.services.index_sync.stored_hashes import stored_hashes
from app.services.model_registry.models import Models
from app.store.engine import Database

MAX_NEAR: Final = 20
"""Stored pictures that are looked at for each picture, nearest first by each measure."""


@dataclass(frozen=True, slots=True)
class NearDuplicate:
    """A picture that a new one is a copy of: a stored one, or one that is added with it."""

    image_id: str
    is_exact: bool
    """Whether the files are equal, byte for byte."""
    hash_distance: int | None
    """Smallest distance of the perceptual hashes in any orientation; None if a picture has none."""
    descriptor_distance: float | None
    """1 - cosine similarity of the descriptors; None if a picture has none."""


class NearDuplicates:
    """Find near duplicates by the rule for copies, as ``GET /duplicates`` does."""

    def __init__(self, database: Database, models: Models) -> None:
        """Read rows and descriptors from ``database``; the calibration of ``models`` has the rule."""
        self._database = database
        self._models = models

    async def find(
        self, live: LiveCollection, image: NewImage, earlier: Sequence[NewImage] = ()
    ) -> tuple[NearDuplicate, ...]:
        """Return the pictures that a new one is a copy of, nearest first.

        A picture under the same id does not count: it is replaced, or the new one is refused.

        Args:
            live: The collection, up to date.
            image: The new picture.
            earlier: Pictures that are about to be added before it; each replaces a stored one of its id.

        Raises:
            IndexUnavailable: The server of the index does not answer, or does not hold the hashes yet.
        """
        calibration = (await self._models.serving(live.record.model)).calibration
        code = next(one for one in image.codes if one.model == live.record.model)
        rule = None if calibration is None else calibration.copy_rule
        if live.record.is_remote:
            # It waits for another machine.
            numbers = await asyncio.to_thread(_candidates, live, image, code.code, rule)
        else:
            numbers = _candidates(live, image, code.code, rule)
        pk = live.record.pk
        async with self._database.read() as unit:
            # Blank pictures have one code, so an equal file may not be among the nearest.
            equal = await unit.images.numbers_of_file(pk, image.sha256, MAX_NEAR)
            numbers = sorted({*numbers, *equal})
            records = await unit.images.by_numbers(pk, numbers)
            stored = await unit.images.descriptors_of(pk, live.record.model, numbers)
        hash_distances: dict[int, int] = {}
        if image.perceptual_hash is not None:
            hashed, hashes = await stored_hashes(self._database.lookups, live, np.array(numbers, np.int64))
            hash_distances = dict(zip(hashed.tolist(), _nearest(hashes, image.perceptual_hash), strict=True))
        found = _among(earlier, image, code, None if calibration is None else calibration.copy_rule)
        replaced = {image.image_id, *(one.image_id for one in earlier)}
        for number, record in sorted(records.items()):
            if record.image_id in replaced:
                continue
            near = NearDuplicate(
                record.image_id,
                record.sha256 == image.sha256,
                hash_distances.get(number),
                _cosine_distance(code.descriptor, stored.get(number)),
            )
            if near.is_exact or (rule is not None and _is_copy(rule, image, record, near)):
                found.append(near)
        return tuple(sorted(found, key=_nearness))


def _among(
    earlier: Sequence[NewImage], image: NewImage, code: ImageCode, rule: CopyRule | None
) -> list[NearDuplicate]:
    """Return those of the pictures added before that a new one is a copy of."""
    others = [one for one in earlier if one.image_id != image.image_id]
    hashed = [one.perceptual_hash for one in others if one.perceptual_hash is not None]
    rows = codes_from_bytes(b"".join(hashed), HASH_BITS)
    apart = iter(() if image.perceptual_hash is None else _nearest(rows, image.perceptual_hash))
    found = []
    for one in others:
        has_hashes = image.perceptual_hash is not None and one.perceptual_hash is not None
        descriptor = next((c.descriptor for c in one.codes if c.model == code.model), None)
        near = NearDuplicate(
            one.image_id,
            one.sha256 == image.sha256,
            next(apart) if has_hashes else None,
            _cosine_distance(code.descriptor, descriptor),
        )
        if near.is_exact or (rule is not None and _is_copy(rule, image, one, near)):
            found.append(near)
    return found


def _candidates(live: LiveCollection, image: NewImage, code: bytes, rule: CopyRule | None) -> list[int]:
    view = live.index.view()
    query = codes_from_bytes(code, view.bits)[0]
    radius = 0 if rule is None else rule.max_code_distance
    found = [view.search(query, MAX_NEAR, radius=radius).numbers]
    if rule is not None and image.perceptual_hash is not None:
        queries = in_all_orientations(codes_from_bytes(image.perceptual_hash, HASH_BITS))
        answers = _hash_view(live).search_many(queries, MAX_NEAR, radius=rule.max_hash_distance)
        found += [answer.numbers for answer in answers]
    numbers: list[int] = np.unique(np.concatenate(found)).tolist()
    return numbers


def _hash_view(live: LiveCollection) -> View:
    if not live.record.is_remote:
        return live.hashes.view()
    if live.remote_hashes is None:
        raise IndexUnavailable(
            "the collection's perceptual hashes are being written to the index engine",
            retry_after_s=RETRY_AFTER_S,
        )
    return live.remote_hashes.view()


def _nearest(hashes: NDArray[np.uint64], other: bytes) -> list[int]:
    """Return the distance of each hash, shape (n, words), from another in its nearest orientation."""
    if not len(hashes):
        return []
    queries = in_all_orientations(codes_from_bytes(other, HASH_BITS))
    apart = np.bitwise_count(hashes[:, np.newaxis] ^ queries).sum(axis=2, dtype=np.int64)
    nearest: list[int] = apart.min(axis=1).tolist()
    return nearest


def _is_copy(rule: CopyRule, image: NewImage, record: ImageRecord | NewImage, near: NearDuplicate) -> bool:
    if image.is_blank or record.is_blank or near.hash_distance is None:
        return False
    descriptor = 2.0 if near.descriptor_distance is None else near.descriptor_distance
    return bool(rule.are_copies(np.array([near.hash_distance]), np.array([descriptor]))[0])


def _cosine_distance(first: bytes | None, second: bytes | None) -> float | None:
    if first is None or second is None:
        return None
    a, b = (np.frombuffer(octets, np.int8).astype(np.float64) for octets in (first, second))
    norm = max(float(np.sqrt((a @ a) * (b @ b))), 1.0)
    return round(1 - float(a @ b) / norm, 9)


def _nearness(near: NearDuplicate) -> tuple[bool, int, str]:
    distance = NO_DISTANCE if near.hash_distance is None else near.hash_distance
    return not near.is_exact, distance, near.image_id
