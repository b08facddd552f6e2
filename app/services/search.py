"""Search one collection: by an upload, by a stored picture, by a raw code, or onwards from a cursor."""

import asyncio
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.domain.codes import code_from_hex, code_to_hex
from app.domain.errors import FieldError, InvalidRequest, ModelMismatch, UnknownImage
from app.domain.filters import parse_filter
from app.domain.results import (
    Cutoff,
    Hit,
    QueryInfo,
    SearchCursor,
    SearchedIndex,
    SearchLimits,
    SearchResult,
    radius_for,
    score_of,
)
from app.images.decode import Crop
from app.index.collection_index import IndexView, Neighbours
from app.services.live_collection import LiveCollection
from app.services.models import Models
from app.services.picture_codes import PictureCoder, StageTimes
from app.services.replication import Replication
from app.store.engine import Database
from app.store.records import ImageRecord

MAX_EXACT_MATCHES = 100

SCAN_ON_LOOP_BELOW = 20_000
"""Codes up to which a scan (microseconds) runs on the event loop: a hop to a thread would take longer."""


@dataclass(frozen=True, slots=True)
class _Query:
    """A code to search with, and where it came from."""

    code: NDArray[np.uint64]
    info: QueryInfo
    exclude: int | None = None
    """Insertion number of the picture that is itself the query."""


@dataclass(frozen=True, slots=True)
class _Page:
    """The part of a ranking that one answer holds."""

    numbers: NDArray[np.int64]
    distances: NDArray[np.int64]
    more: bool


class Search:
    """Answers searches from the indexes in memory; names and metadata come from the database."""

    def __init__(
        self, database: Database, replication: Replication, models: Models, coder: PictureCoder
    ) -> None:
        """Search what ``replication`` keeps in step."""
        self._database = database
        self._replication = replication
        self._models = models
        self._coder = coder

    async def by_upload(
        self, content: bytes, collection: str, limits: SearchLimits, *, crop: Crop | None = None
    ) -> SearchResult:
        """The pictures most like an uploaded one.

        Raises:
            PictureRefused: The upload is no picture, damaged, or over a limit.
            UnknownCollection: There is no such collection.
            IndexNotReady: The index is still loading.
            Overloaded: Too many pictures wait to be encoded.
        """
        live = self._replication.collection(collection)
        times = StageTimes()
        model = await self._models.serving(live.record.model)
        picture = await self._coder.code(content, model, crop=crop, times=times)
        info = QueryInfo(
            code=code_to_hex(picture.code, live.index.bits),
            bits=live.index.bits,
            sha256=picture.sha256,
            width=picture.width,
            height=picture.height,
        )
        return await self._answer(live, _Query(picture.code, info), limits, times)

    async def by_image(
        self, image_id: str, collection: str, limits: SearchLimits, *, include_self: bool = True
    ) -> SearchResult:
        """The pictures most like a stored one, which comes first unless ``include_self`` is false.

        Raises:
            UnknownImage: The collection has no such picture, or it has no code yet.
        """
        live = self._replication.collection(collection)
        async with self._database.read() as unit:
            record = await unit.images.get(live.record.pk, image_id)
        code = None if record is None else live.index.view().code_of(record.number)
        if record is None or code is None:
            raise UnknownImage(f"there is no picture {image_id!r} in collection {collection!r}")
        info = QueryInfo(
            code=code_to_hex(code, live.index.bits),
            bits=live.index.bits,
            sha256=record.sha256,
            width=record.width,
            height=record.height,
            image_id=image_id,
        )
        query = _Query(code, info, exclude=None if include_self else record.number)
        return await self._answer(live, query, limits, StageTimes())

    async def by_code(self, code: str, model: str, collection: str, limits: SearchLimits) -> SearchResult:
        """The pictures whose codes are nearest to one that this collection's model gave.

        Raises:
            ModelMismatch: The code comes from another model than the collection's.
            InvalidRequest: It is not hex of the model's code length.
        """
        live = self._replication.collection(collection)
        if model != live.record.model:
            raise ModelMismatch(
                f"collection {collection!r} holds codes of {live.record.model!r}, not of {model!r}"
            )
        try:
            words = code_from_hex(code, live.index.bits)
        except ValueError as error:
            raise InvalidRequest(errors=[FieldError("/code", str(error))]) from error
        info = QueryInfo(code=code.lower(), bits=live.index.bits)
        return await self._answer(live, _Query(words, info), limits, StageTimes())

    async def onwards(self, cursor: SearchCursor) -> SearchResult:
        """The next page of a search, read against the present version of the collection.

        Raises:
            ModelMismatch: The collection has changed its model since the first page.
            UnknownCollection: The collection is gone.
        """
        live = self._replication.collection(cursor.collection)
        if cursor.model_digest != live.model_digest:
            raise ModelMismatch("the collection has another model than when this search began; search again")
        limits = SearchLimits(
            limit=cursor.limit,
            max_distance=cursor.radius,
            filter=None if cursor.filter_document is None else parse_filter(cursor.filter_document),
            filter_document=cursor.filter_document,
        )
        code = code_from_hex(cursor.code, live.index.bits)
        info = QueryInfo(code=cursor.code, bits=live.index.bits, sha256=cursor.sha256)
        query = _Query(code, info, exclude=cursor.exclude)
        return await self._answer(live, query, limits, StageTimes(), after=cursor)

    async def _answer(
        self,
        live: LiveCollection,
        query: _Query,
        limits: SearchLimits,
        times: StageTimes,
        after: SearchCursor | None = None,
    ) -> SearchResult:
        key = None
        if limits.filter is not None:
            async with times.measure("filter"):
                key = await self._replication.ensure_filter(live, limits.filter)
        # A radius outlives the page: the cursor carries it on.
        radius = _radius(limits, live.index.bits)
        view = live.index.view()
        async with times.measure("scan"):
            work = (view, query, limits.limit, radius, key, after)
            page = _page(*work) if view.count < SCAN_ON_LOOP_BELOW else await asyncio.to_thread(_page, *work)
            ties = _ties(view, query, page, key)
        async with times.measure("lookup"):
            records, exact = await self._look_up(live, page, query.info.sha256)
        given = 0 if after is None else after.given
        hits = _hits(page, records, query.info, given)
        times.ms["total"] = sum(times.ms.values())
        return SearchResult(
            query=query.info,
            hits=hits,
            exact_matches=exact,
            next_cursor=_next_cursor(live, query, limits, radius, page, after) if page.more else None,
            cutoff=_cutoff(page, ties, after),
            index=SearchedIndex(
                collection=live.record.name,
                model=live.record.model,
                index_version=view.version,
                searched=view.count if key is None else view.filtered_count(key),
                indexed=view.count,
                pending=0,
                failed=0,
            ),
            took_ms=times.ms,
        )

    async def _look_up(
        self, live: LiveCollection, page: _Page, sha256: str | None
    ) -> tuple[dict[int, ImageRecord], tuple[str, ...]]:
        pk = live.record.pk
        async with self._database.read() as unit:
            records = await unit.images.by_numbers(pk, [int(n) for n in page.numbers])
            exact = await unit.images.ids_with_sha256(pk, sha256, MAX_EXACT_MATCHES) if sha256 else []
        return records, tuple(exact)


def _radius(limits: SearchLimits, bits: int) -> int | None:
    bounds = []
    if limits.max_distance is not None:
        bounds.append(limits.max_distance)
    if limits.min_score is not None:
        bounds.append(radius_for(limits.min_score, bits))
    return min(bounds) if bounds else None


def _page(
    view: IndexView, query: _Query, limit: int, radius: int | None, key: str | None, after: SearchCursor | None
) -> _Page:
    """The next ``limit`` neighbours behind ``after``, exact whatever was added or deleted since.

    As many as were given out before are looked up again and passed over; where pictures came in among them,
    the look goes deeper until the page is full or the collection ends.
    """
    wanted = limit + 1 + (0 if after is None else after.given) + (query.exclude is not None)
    while True:
        found: Neighbours = view.search(query.code, min(wanted, view.count), radius=radius, filter_key=key)
        numbers, distances = found.numbers, found.distances.astype(np.int64)
        keep = np.ones(len(numbers), dtype=bool)
        if after is not None:
            passed = (distances < after.distance) | ((distances == after.distance) & (numbers <= after.number))
            keep &= ~passed
        if query.exclude is not None:
            keep &= numbers != query.exclude
        exhausted = len(numbers) < wanted
        if exhausted or np.count_nonzero(keep) > limit:
            numbers, distances = numbers[keep], distances[keep]
            return _Page(numbers[:limit], distances[:limit], more=len(numbers) > limit)
        wanted *= 2


def _ties(view: IndexView, query: _Query, page: _Page, key: str | None) -> int:
    """How many pictures lie at the last distance of the page, given out or not."""
    if not len(page.distances):
        return 0
    last = int(page.distances[-1])
    # The excluded picture is the query itself, at distance 0.
    ties: int = view.count_at(query.code, last, filter_key=key)
    return ties - (query.exclude is not None and last == 0)


def _hits(page: _Page, records: dict[int, ImageRecord], query: QueryInfo, given: int) -> tuple[Hit, ...]:
    hits: list[Hit] = []
    for number, distance in zip(page.numbers.tolist(), page.distances.tolist(), strict=True):
        record = records.get(number)
        if record is None:
            # Deleted between the scan and the look-up: the answer leaves it out.
            continue
        hits.append(
            Hit(
                rank=given + len(hits) + 1,
                number=number,
                image_id=record.image_id,
                distance=distance,
                score=score_of(distance, query.bits),
                exact=record.sha256 == query.sha256,
                uri=record.uri,
                has_bytes=record.has_bytes,
                metadata=record.metadata,
            )
        )
    return tuple(hits)


def _returned_at_last(page: _Page, after: SearchCursor | None) -> int:
    last = int(page.distances[-1])
    earlier = after.given_at_distance if after is not None and after.distance == last else 0
    return earlier + int(np.count_nonzero(page.distances == last))


def _cutoff(page: _Page, ties: int, after: SearchCursor | None) -> Cutoff | None:
    if not len(page.distances):
        return None
    returned = _returned_at_last(page, after)
    # Pictures given out on an earlier page may be gone by now, so the total is at least what was returned.
    return Cutoff(distance=int(page.distances[-1]), returned=returned, total=max(ties, returned))


def _next_cursor(
    live: LiveCollection,
    query: _Query,
    limits: SearchLimits,
    radius: int | None,
    page: _Page,
    after: SearchCursor | None,
) -> SearchCursor:
    return SearchCursor(
        collection=live.record.name,
        model_digest=live.model_digest,
        code=query.info.code,
        filter_document=limits.filter_document,
        limit=limits.limit,
        radius=radius,
        distance=int(page.distances[-1]),
        number=int(page.numbers[-1]),
        given=len(page.numbers) + (0 if after is None else after.given),
        given_at_distance=_returned_at_last(page, after),
        exclude=query.exclude,
        sha256=query.info.sha256,
    )
