"""Groups of pictures that are nearly the same: found off the event loop, one look at a time, kept a while."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.domain.calibration import Calibration, Likeness
from app.domain.codes import hamming
from app.domain.errors import TooManyPictures
from app.domain.filters import Filter
from app.index.collection_index import IndexView
from app.index.pairs import TooManyComparisons, groups_within, numbers_in
from app.services.index_sync.live_collection import LiveCollection
from app.services.index_sync.replication import Replication
from app.services.model_registry.models import Models
from app.services.searching.restore_retry import begins_anew
from app.store.engine import Database
from app.store.records import ImageRecord

MAX_GROUP_ITEMS: Final = 50
"""Pictures of one group that an answer shows; its size tells of the rest."""
KEPT_LOOKS: Final = 8
COMPARISONS_PER_S: Final = 4e9
"""Comparisons of two words that a core of 2020 does in a second, for the estimate of what is refused."""

_Key = tuple[int, str, int, int, str | None]


@dataclass(frozen=True, slots=True)
class DuplicateImage:
    """A picture of a group."""

    record: ImageRecord
    distance: int
    """To the group's first."""
    exact: bool
    """Whether its file is the first's, byte for byte."""


@dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """Pictures that chains of near pairs connect, the oldest first."""

    number: int
    """Insertion number of the first."""
    size: int
    images: tuple[DuplicateImage, ...]
    """At most ``MAX_GROUP_ITEMS`` of them."""


@dataclass(frozen=True, slots=True)
class DuplicatesPage:
    """Some of a collection's groups."""

    groups: tuple[DuplicateGroup, ...]
    next_after: int | None
    """Number to go on behind; None at the end."""
    max_distance: int
    group_count: int
    """Groups in all."""
    image_count: int
    """Pictures in all groups."""
    collection: str
    index_version: int


@dataclass(frozen=True, slots=True)
class _Look:
    """What one look through a state of an index found."""

    groups: Sequence[NDArray[np.int64]]
    refusal: TooManyComparisons | None = None


class Duplicates:
    """Finds groups of near pictures in a collection."""

    def __init__(self, database: Database, replication: Replication, models: Models) -> None:
        """Look through what ``replication`` keeps in step."""
        self._database = database
        self._replication = replication
        self._models = models
        self._kept: OrderedDict[_Key, _Look] = OrderedDict()
        # A look takes a core for seconds: one at a time, and who asks the same meanwhile shares its outcome.
        self._turn = asyncio.Lock()

    @begins_anew
    async def page(
        self,
        collection: str,
        *,
        max_distance: int | None = None,
        wanted: Filter | None = None,
        after: int = -1,
        limit: int = 20,
    ) -> DuplicatesPage:
        """The next groups by their oldest picture.

        Args:
            collection: Where to look.
            max_distance: Largest distance of a pair; by default what the model's calibration calls a copy.
            wanted: Pictures to look at; what it leaves out connects nothing.
            after: Insertion number behind which to go on.
            limit: Most groups.

        Raises:
            TooManyPictures: All pairs would take too long.
            UnknownCollection: There is no such collection.
        """
        live = self._replication.collection(collection)
        if max_distance is None:
            max_distance = await self._distance_of_copies(live)
        key = None if wanted is None else await self._replication.ensure_filter(live, wanted)
        view = live.index.view()
        look = await self._look(live, view, min(max_distance, view.bits), key)
        following = [group for group in look.groups if group[0] > after]
        shown = following[:limit]
        return DuplicatesPage(
            groups=tuple(await self._described(live, view, shown)),
            next_after=int(shown[-1][0]) if len(following) > limit else None,
            max_distance=max_distance,
            group_count=len(look.groups),
            image_count=sum(len(group) for group in look.groups),
            collection=live.record.name,
            index_version=view.version,
        )

    async def _distance_of_copies(self, live: LiveCollection) -> int:
        model = await self._models.serving(live.record.model)
        calibration = Calibration.of(model.artifact.manifest.calibration)
        return 0 if calibration is None else calibration.bounds[Likeness.COPY]

    async def _look(self, live: LiveCollection, view: IndexView, radius: int, filter_key: str | None) -> _Look:
        key = (live.record.pk, live.model_digest, view.version, radius, filter_key)
        async with self._turn:
            if key not in self._kept:
                async with self._database.read() as unit:
                    blank = await unit.images.blank_numbers(live.record.pk)
                self._kept[key] = await asyncio.to_thread(_look_through, view, radius, filter_key, blank)
                while len(self._kept) > KEPT_LOOKS:
                    self._kept.popitem(last=False)
            look = self._kept[key]
        if look.refusal is not None:
            seconds = look.refusal.comparisons / COMPARISONS_PER_S
            raise TooManyPictures(
                f"comparing all pairs of {live.record.name!r} would take about {seconds:,.0f} s; ask for "
                "max_distance=0, or narrow it with a filter"
            )
        return look

    async def _described(
        self, live: LiveCollection, view: IndexView, groups: Sequence[NDArray[np.int64]]
    ) -> list[DuplicateGroup]:
        shown = [number for group in groups for number in group[:MAX_GROUP_ITEMS].tolist()]
        async with self._database.read_once() as unit:
            records, _ = await unit.images.records_at(live.record.pk, shown, view.version)
        return [_group(view, group, records) for group in groups]


def _look_through(
    view: IndexView, radius: int, filter_key: str | None, blank: Mapping[str, Sequence[int]]
) -> _Look:
    """Find groups; pictures that show nothing are copies of each other only where their files are equal."""
    without = np.array(sorted(number for same in blank.values() for number in same), np.int64)
    try:
        groups = groups_within(view, radius, filter_key=filter_key, without=without)
    except TooManyComparisons as refusal:
        return _Look((), refusal)
    present = set(numbers_in(view, filter_key, without).tolist())
    for same in blank.values():
        group = [number for number in same if number in present]
        if len(group) > 1:
            groups.append(np.array(group, np.int64))
    return _Look(sorted(groups, key=lambda group: int(group[0])))


def _group(view: IndexView, group: NDArray[np.int64], records: dict[int, ImageRecord]) -> DuplicateGroup:
    numbers, codes = view.codes_of(group[:MAX_GROUP_ITEMS])
    distances = hamming(codes, codes[0])
    first = records.get(int(group[0]))
    images = [
        # What was deleted since the look is left out.
        DuplicateImage(record, distance, first is not None and record.sha256 == first.sha256)
        for number, distance in zip(numbers.tolist(), distances.tolist(), strict=True)
        if (record := records.get(number)) is not None
    ]
    return DuplicateGroup(int(group[0]), len(group), tuple(images))
