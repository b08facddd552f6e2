"""Find groups of near pictures, one computation at a time, with a small cache."""

import asyncio
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.domain.calibration import DuplicateBounds
from app.domain.codes import hamming
from app.domain.copies import CopyRule
from app.domain.errors import FieldError, InvalidRequest, TooManyPictures
from app.domain.filters import Filter
from app.domain.perceptual import PERCEPTUAL_MODEL
from app.domain.results import FoundImage
from app.index.collection_index import IndexView
from app.index.described_pairs import MAX_DESCRIPTOR_BYTES, Described, split_by_descriptors
from app.index.pairs import TooManyComparisons, findable_codes, groups_within, numbers_in
from app.services.index_sync.catalogue import CollectionCatalogue
from app.services.index_sync.feed_follower import FeedFollower
from app.services.index_sync.filter_bitmaps import FilterBitmaps
from app.services.index_sync.live_collection import LiveCollection
from app.services.model_registry.models import Models, ServingModel
from app.services.searching.copies import find_candidates, group_copies, without_pairs
from app.services.searching.remote_views import local_view
from app.services.searching.restore_retry import retry_after_restore
from app.store.engine import Database

MAX_GROUP_ITEMS: Final = 50
"""Pictures of one group in an answer at most; its size counts all."""
CACHED_RESULTS: Final = 8
COMPARISONS_PER_S: Final = 4e9
"""Word comparisons a second on a core of 2020, to estimate the time of a refused request."""

_LOCAL_ONLY: Final = (
    "search by a picture to find its copies, or import an export of the collection into one with a local index"
)

DESCRIPTOR_BATCH: Final = 8_192
"""Descriptors read from the database at a time."""

_Pairs = frozenset[tuple[int, int]]
_Key = tuple[int, str, int, "_Bounds", str | None, _Pairs]


@dataclass(frozen=True, slots=True)
class DuplicateImage:
    """A picture in a group."""

    record: FoundImage
    distance: int
    """Distance to the first picture of the group."""
    exact: bool
    """Whether its file equals the first picture's, byte for byte."""


@dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """Copies of one picture, or pictures connected by chains of near pairs, oldest first."""

    number: int
    """Insertion number of the first picture."""
    size: int
    images: tuple[DuplicateImage, ...]
    """The first ``MAX_GROUP_ITEMS`` at most."""


@dataclass(frozen=True, slots=True)
class DuplicatesPage:
    """One page of groups."""

    groups: tuple[DuplicateGroup, ...]
    next_after: int | None
    """Insertion number after which the next page starts; None at the end."""
    max_distance: int | None
    """None if the rule for copies was applied."""
    max_descriptor_distance: float | None
    """None if only codes were compared, or the rule for copies was applied."""
    rule: CopyRule | None
    """The rule for copies; None if other bounds were applied."""
    compared: int
    """Number of pictures that were compared with each other."""
    pending: int
    """Pictures whose perceptual hash is still to be computed; 0 if the rule for copies was not applied."""
    group_count: int
    """Total number of groups."""
    image_count: int
    """Total number of pictures in groups."""
    collection: str
    index_version: int


@dataclass(frozen=True, slots=True)
class _Grouping:
    """Groups of one view of an index, or the reason they were not computed."""

    groups: Sequence[NDArray[np.int64]]
    """Insertion numbers of each group, ascending; ordered by the first number of each."""
    max_distance: int | None
    """None if the rule for copies was applied."""
    compared: int = 0
    image_count: int = 0
    """Total number of pictures in groups."""
    refusal: Exception | None = None

    def following(self, after: int, limit: int) -> tuple[Sequence[NDArray[np.int64]], int | None]:
        """Return up to ``limit`` groups that start after number ``after``, and where the next page starts.

        A look-up by bisection: pages of a long list do not read the groups before them.
        """
        start = bisect_right(self.groups, after, key=_first_number)
        shown = self.groups[start : start + limit]
        has_more = start + limit < len(self.groups)
        return shown, _first_number(shown[-1]) if has_more else None


def _first_number(group: NDArray[np.int64]) -> int:
    return int(group[0])


@dataclass(frozen=True, slots=True)
class _Bounds:
    """What a pair has to satisfy."""

    rule: CopyRule | None
    """The rule to try first; if there are too many pictures for it, the other bounds are applied."""
    max_distance: int
    max_descriptor_distance: float | None
    """None to compare codes only."""
    descriptor_dim: int
    may_narrow: bool
    """Whether a smaller distance may replace this one if it takes too long."""

    @property
    def distances(self) -> Iterator[int]:
        """The distances to try, each three quarters of the one before if it may be narrowed."""
        yield self.max_distance
        distance = self.max_distance
        while self.may_narrow and distance > 0:
            distance = distance * 3 // 4
            yield distance


class _TooManyDescriptors(Exception):
    """The descriptors of all near pictures do not fit into the memory allowed for them."""


class Duplicates:
    """Find groups of near pictures in a collection."""

    def __init__(
        self,
        database: Database,
        catalogue: CollectionCatalogue,
        filters: FilterBitmaps,
        follower: FeedFollower,
        models: Models,
    ) -> None:
        """Look through the collections of ``catalogue``, which ``follower`` keeps up to date."""
        self._database = database
        self._catalogue = catalogue
        self._filters = filters
        self.follower: Final = follower
        self._models = models
        self._kept: OrderedDict[_Key, _Grouping] = OrderedDict()
        # Grouping takes a core for seconds: run one at a time, and share the result between equal requests.
        self._turn = asyncio.Lock()

    @retry_after_restore
    async def page(
        self,
        collection: str,
        *,
        max_distance: int | None = None,
        max_descriptor_distance: float | None = None,
        metadata_filter: Filter | None = None,
        after: int = -1,
        limit: int = 20,
    ) -> DuplicatesPage:
        """Return the next groups, ordered by their oldest picture.

        Args:
            collection: Name of the collection.
            max_distance: Largest distance of a near pair. Without it, the model's rule for copies decides. In a
                collection too large for that, ``Calibration.duplicates`` does, or the largest distance below
                that does not take too long.
            max_descriptor_distance: Largest distance of the descriptors of a near pair. If None and a distance
                is given, only codes are compared.
            metadata_filter: Consider only these pictures; others do not connect groups.
            after: Insertion number after which to start.
            limit: Maximum number of groups.

        Raises:
            InvalidRequest: The collection's model has no descriptors to compare.
            TooManyPictures: Comparing all pairs would take too long.
            UnknownCollection: The collection does not exist.
        """
        live = self._catalogue.collection(collection)
        local_view(live, "/collection", _LOCAL_ONLY)
        model = await self._models.serving(live.record.model)
        bounds = _bounds(live, model, max_distance, max_descriptor_distance)
        key = None if metadata_filter is None else await self._filters.ensure(live, metadata_filter)
        view = local_view(live, "/collection", _LOCAL_ONLY)
        look = await self._look(live, view, bounds, key)
        shown, next_after = look.following(after, limit)
        return DuplicatesPage(
            groups=tuple(await self._described(live, view, shown)),
            next_after=next_after,
            max_distance=look.max_distance,
            max_descriptor_distance=None if look.max_distance is None else bounds.max_descriptor_distance,
            rule=bounds.rule if look.max_distance is None else None,
            compared=look.compared,
            pending=0 if look.max_distance is not None else await self._pending(live, view),
            group_count=len(look.groups),
            image_count=look.image_count,
            collection=live.record.name,
            index_version=view.version,
        )

    async def _pending(self, live: LiveCollection, view: IndexView) -> int:
        if live.hashes.view().count >= view.count:
            return 0
        async with self._database.read() as unit:
            return (await unit.coverage.missing(live.record.pk, PERCEPTUAL_MODEL)).pending

    async def _look(
        self, live: LiveCollection, view: IndexView, bounds: _Bounds, filter_key: str | None
    ) -> _Grouping:
        async with self._database.read() as unit:
            apart = frozenset(await unit.verdicts.all_pairs(live.record.pk))
        key = (live.record.pk, live.model_digest, view.version, bounds, filter_key, apart)
        async with self._turn:
            if key not in self._kept:
                self._kept[key] = await self._grouping(live, view, bounds, filter_key, apart)
                while len(self._kept) > CACHED_RESULTS:
                    self._kept.popitem(last=False)
            look = self._kept[key]
        name = live.record.name
        if isinstance(look.refusal, TooManyComparisons):
            seconds = look.refusal.comparisons / COMPARISONS_PER_S
            raise TooManyPictures(
                f"comparing all pairs of {name!r} would take about {seconds:,.0f} s or longer; lower "
                "max_distance, or narrow it with a filter"
            )
        if look.refusal is not None:
            raise TooManyPictures(
                f"{name!r} has too many near pictures to compare their descriptors; lower max_distance, or "
                "narrow it with a filter"
            )
        return look

    async def _grouping(
        self,
        live: LiveCollection,
        view: IndexView,
        bounds: _Bounds,
        filter_key: str | None,
        apart: _Pairs,
    ) -> _Grouping:
        """Group near pictures; blank pictures are copies of each other only if their files are equal."""
        async with self._database.read() as unit:
            blank = await unit.images.blank_numbers(live.record.pk)
        without = np.array(sorted(number for same in blank.values() for number in same), np.int64)
        refusal: Exception | None = None
        if bounds.rule is not None:
            try:
                return await self._copies(
                    live, view, bounds.rule, bounds.descriptor_dim, filter_key, without, apart
                )
            except (TooManyComparisons, _TooManyDescriptors) as refused:
                refusal = refused
        for distance in bounds.distances:
            try:
                groups = await self._groups(live, view, bounds, distance, filter_key, without)
            except (TooManyComparisons, _TooManyDescriptors) as refused:
                refusal = refusal or refused
                continue
            groups += await asyncio.to_thread(_equal_files, view, filter_key, without, blank)
            return _grouping_of(groups, distance, apart, view.count)
        return _Grouping((), bounds.max_distance, refusal=refusal)

    async def _copies(
        self,
        live: LiveCollection,
        view: IndexView,
        rule: CopyRule,
        descriptor_dim: int,
        filter_key: str | None,
        blank: NDArray[np.int64],
        apart: _Pairs,
    ) -> _Grouping:
        """Group copies by the rule; pictures without a perceptual hash only if their files are equal."""
        hashes = live.hashes.view()
        candidates = await asyncio.to_thread(
            partial(find_candidates, view, hashes, rule, filter_key=filter_key, without=blank, apart=apart)
        )
        described = await self._descriptors(live, candidates.numbers_to_describe(), descriptor_dim)
        groups = await group_copies(candidates, described, rule, apart)
        unhashed = await asyncio.to_thread(_unhashed, view, candidates.numbers, filter_key)
        async with self._database.read() as unit:
            files = await unit.images.files_of(live.record.pk, unhashed.tolist())
        groups += await asyncio.to_thread(_equal_files, view, filter_key, unhashed, files)
        return _grouping_of(groups, None, apart, len(candidates.numbers))

    async def _groups(
        self,
        live: LiveCollection,
        view: IndexView,
        bounds: _Bounds,
        distance: int,
        filter_key: str | None,
        without: NDArray[np.int64],
    ) -> list[NDArray[np.int64]]:
        radius = min(distance, view.bits)
        groups = await asyncio.to_thread(groups_within, view, radius, filter_key=filter_key, without=without)
        if bounds.max_descriptor_distance is None or not groups:
            return groups
        numbers = np.sort(np.concatenate(groups))
        described = await self._descriptors(live, numbers, bounds.descriptor_dim)
        return await asyncio.to_thread(
            split_by_descriptors, view, groups, radius, described, bounds.max_descriptor_distance
        )

    async def _descriptors(self, live: LiveCollection, numbers: NDArray[np.int64], dim: int) -> Described:
        """Read descriptors in batches, each in its own transaction.

        Raises:
            _TooManyDescriptors: They do not fit into the memory allowed for them.
        """
        if len(numbers) * dim > MAX_DESCRIPTOR_BYTES:
            raise _TooManyDescriptors
        descriptors = np.zeros((len(numbers), dim), np.int8)
        is_present = np.zeros(len(numbers), np.bool_)
        for start in range(0, len(numbers), DESCRIPTOR_BATCH):
            batch = numbers[start : start + DESCRIPTOR_BATCH]
            async with self._database.read() as unit:
                stored = await unit.images.descriptors_of(live.record.pk, live.record.model, batch.tolist())
            if stored:
                found = np.fromiter(stored, np.int64, len(stored))
                rows = start + np.searchsorted(batch, found)
                descriptors[rows] = np.frombuffer(b"".join(stored.values()), np.int8).reshape(-1, dim)
                is_present[rows] = True
        return Described(numbers, descriptors, is_present)

    async def _described(
        self, live: LiveCollection, view: IndexView, groups: Sequence[NDArray[np.int64]]
    ) -> list[DuplicateGroup]:
        shown = [number for group in groups for number in group[:MAX_GROUP_ITEMS].tolist()]
        records, _ = await self._database.lookups.found_at(live.record.pk, shown, view.version)
        return [_group(view, group, records) for group in groups]


def _bounds(
    live: LiveCollection,
    model: ServingModel,
    max_distance: int | None,
    max_descriptor_distance: float | None,
) -> _Bounds:
    calibration, descriptor = model.calibration, model.artifact.manifest.descriptor
    if max_descriptor_distance is not None and descriptor is None:
        reason = f"the model of {live.record.name!r} has no descriptors; leave max_descriptor_distance out"
        raise InvalidRequest(errors=[FieldError("/max_descriptor_distance", reason)])
    usual = DuplicateBounds(0, None) if calibration is None else calibration.duplicates
    is_bounded = max_distance is not None or max_descriptor_distance is not None
    if not is_bounded:
        max_descriptor_distance = usual.max_descriptor_distance
    rule = None if calibration is None else calibration.copy_rule
    return _Bounds(
        None if is_bounded else rule,
        usual.max_distance if max_distance is None else max_distance,
        max_descriptor_distance,
        0 if descriptor is None else descriptor.dim,
        max_distance is None,
    )


def _grouping_of(
    groups: Sequence[NDArray[np.int64]], max_distance: int | None, apart: _Pairs, compared: int
) -> _Grouping:
    kept = without_pairs(groups, apart)
    return _Grouping(sorted(kept, key=_first_number), max_distance, compared, sum(map(len, kept)))


def _unhashed(view: IndexView, hashed: NDArray[np.int64], filter_key: str | None) -> NDArray[np.int64]:
    """Return the pictures that have a code and no perceptual hash, ascending."""
    numbers, _ = findable_codes(view, filter_key, hashed)
    return numbers


def _equal_files(
    view: IndexView,
    filter_key: str | None,
    without: NDArray[np.int64],
    files: Mapping[str, Sequence[int]],
) -> list[NDArray[np.int64]]:
    """The groups of equal files, by SHA-256, that the view contains and the filter allows."""
    present = set(numbers_in(view, filter_key, without).tolist())
    groups = ([number for number in same if number in present] for same in files.values())
    return [np.array(group, np.int64) for group in groups if len(group) > 1]


def _group(view: IndexView, group: NDArray[np.int64], records: dict[int, FoundImage]) -> DuplicateGroup:
    numbers, codes = view.codes_of(group[:MAX_GROUP_ITEMS])
    distances = hamming(codes, codes[0])
    first = records.get(int(group[0]))
    images = [
        # Leave out pictures deleted since the grouping.
        DuplicateImage(record, distance, first is not None and record.sha256 == first.sha256)
        for number, distance in zip(numbers.tolist(), distances.tolist(), strict=True)
        if (record := records.get(number)) is not None
    ]
    return DuplicateGroup(int(group[0]), len(group), tuple(images))
