"""Find groups of near pictures, one computation at a time, with a small cache."""

import asyncio
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.domain.calibration import Calibration
from app.domain.codes import hamming
from app.domain.errors import TooManyPictures
from app.domain.filters import Filter
from app.domain.results import FoundImage
from app.index.collection_index import IndexView
from app.index.pairs import TooManyComparisons, groups_within, numbers_in
from app.services.index_sync.catalogue import CollectionCatalogue
from app.services.index_sync.feed_follower import FeedFollower
from app.services.index_sync.filter_bitmaps import FilterBitmaps
from app.services.index_sync.live_collection import LiveCollection
from app.services.model_registry.models import Models
from app.services.searching.restore_retry import retry_after_restore
from app.store.engine import Database

MAX_GROUP_ITEMS: Final = 50
"""Pictures of one group in an answer at most; its size counts all."""
CACHED_RESULTS: Final = 8
COMPARISONS_PER_S: Final = 4e9
"""Word comparisons a second on a core of 2020, to estimate the time of a refused request."""

_Key = tuple[int, str, int, int, str | None]


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
    """Pictures connected by chains of near pairs, oldest first."""

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
    max_distance: int
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
    image_count: int = 0
    """Total number of pictures in groups."""
    refusal: TooManyComparisons | None = None

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
        metadata_filter: Filter | None = None,
        after: int = -1,
        limit: int = 20,
    ) -> DuplicatesPage:
        """Return the next groups, ordered by their oldest picture.

        Args:
            collection: Name of the collection.
            max_distance: Largest distance of a near pair; defaults to ``Calibration.duplicates``.
            metadata_filter: Consider only these pictures; others do not connect groups.
            after: Insertion number after which to start.
            limit: Maximum number of groups.

        Raises:
            TooManyPictures: Comparing all pairs would take too long.
            UnknownCollection: The collection does not exist.
        """
        live = self._catalogue.collection(collection)
        if max_distance is None:
            max_distance = await self._usual_distance(live)
        key = None if metadata_filter is None else await self._filters.ensure(live, metadata_filter)
        view = live.index.view()
        look = await self._look(live, view, min(max_distance, view.bits), key)
        shown, next_after = look.following(after, limit)
        return DuplicatesPage(
            groups=tuple(await self._described(live, view, shown)),
            next_after=next_after,
            max_distance=max_distance,
            group_count=len(look.groups),
            image_count=look.image_count,
            collection=live.record.name,
            index_version=view.version,
        )

    async def _usual_distance(self, live: LiveCollection) -> int:
        model = await self._models.serving(live.record.model)
        calibration = Calibration.of(model.artifact.manifest.calibration)
        return 0 if calibration is None else calibration.duplicates.max_distance

    async def _look(
        self, live: LiveCollection, view: IndexView, radius: int, filter_key: str | None
    ) -> _Grouping:
        key = (live.record.pk, live.model_digest, view.version, radius, filter_key)
        async with self._turn:
            if key not in self._kept:
                async with self._database.read() as unit:
                    blank = await unit.images.blank_numbers(live.record.pk)
                self._kept[key] = await asyncio.to_thread(_look_through, view, radius, filter_key, blank)
                while len(self._kept) > CACHED_RESULTS:
                    self._kept.popitem(last=False)
            look = self._kept[key]
        if look.refusal is not None:
            seconds = look.refusal.comparisons / COMPARISONS_PER_S
            raise TooManyPictures(
                f"comparing all pairs of {live.record.name!r} would take about {seconds:,.0f} s; lower "
                "max_distance, or narrow it with a filter"
            )
        return look

    async def _described(
        self, live: LiveCollection, view: IndexView, groups: Sequence[NDArray[np.int64]]
    ) -> list[DuplicateGroup]:
        shown = [number for group in groups for number in group[:MAX_GROUP_ITEMS].tolist()]
        records, _ = await self._database.lookups.found_at(live.record.pk, shown, view.version)
        return [_group(view, group, records) for group in groups]


def _look_through(
    view: IndexView, radius: int, filter_key: str | None, blank: Mapping[str, Sequence[int]]
) -> _Grouping:
    """Group near pictures; blank pictures are copies of each other only if their files are equal."""
    without = np.array(sorted(number for same in blank.values() for number in same), np.int64)
    try:
        groups = groups_within(view, radius, filter_key=filter_key, without=without)
    except TooManyComparisons as refusal:
        return _Grouping((), refusal=refusal)
    present = set(numbers_in(view, filter_key, without).tolist())
    for same in blank.values():
        group = [number for number in same if number in present]
        if len(group) > 1:
            groups.append(np.array(group, np.int64))
    return _Grouping(sorted(groups, key=_first_number), sum(map(len, groups)))


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
