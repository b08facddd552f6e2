"""Search one collection by an upload, stored pictures, a text, a raw code or a cursor."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.domain.codes import code_to_hex
from app.domain.colours import COLOUR_MODEL
from app.domain.errors import (
    FieldError,
    IndexNotReady,
    InvalidRequest,
    ModelMismatch,
    TextNotSupported,
    TextNotUnderstood,
)
from app.domain.filters import parse_filter
from app.domain.ranks import BY_DESCRIPTOR, COPIES_FIRST, Rank, Where
from app.domain.results import (
    Boundary,
    Example,
    FoundImage,
    QueryInfo,
    SearchCursor,
    SearchLimits,
    SearchResult,
)
from app.domain.variants import QueryVariant, Regions
from app.images.decode import Crop
from app.index.warm_up import are_kernels_loaded
from app.services.index_sync.catalogue import CollectionCatalogue
from app.services.index_sync.feed_follower import FeedFollower
from app.services.index_sync.filter_bitmaps import FilterBitmaps
from app.services.index_sync.live_collection import LiveCollection
from app.services.index_sync.stored_hashes import stored_hashes
from app.services.model_registry.models import Models
from app.services.pictures.coding import PictureCoder, StageTimes
from app.services.searching.answers import PreparedSearch, index_of, radius_of, result_of
from app.services.searching.code_queries import codes_in_order, query_of_code, query_of_stored
from app.services.searching.fine_ranking import candidates_with_matches, fine_page, is_reranked
from app.services.searching.likeness import ResultLikeness
from app.services.searching.metadata_words import (
    filter_by_words,
    metadata_page_of,
    refusal_naming_metadata,
)
from app.services.searching.paging import Page, PageRequest, page_of
from app.services.searching.perceptual_matches import with_matches, without_matches
from app.services.searching.queries import (
    Examples,
    NearestOf,
    Query,
    WeightedBits,
    query_of_cursor,
)
from app.services.searching.query_fetching import QueryFetcher
from app.services.searching.rank_rules import (
    check_rank_of_code,
    limits_of_text,
    not_ranked,
    refuse_colour,
    refuse_diversity,
)
from app.services.searching.remote_views import local_view, without_blocking
from app.services.searching.reranking import CandidateRows, StoredRows
from app.services.searching.restore_retry import retry_after_restore
from app.services.searching.stored_descriptors import stored_descriptors
from app.services.searching.texts import Texts, with_examples
from app.services.searching.upload_queries import choose_variants, query_of_upload
from app.services.searching.weighted_paging import weighted_page_of
from app.store.engine import Database

SCAN_ON_LOOP_BELOW = 100_000
"""Number of codes below which a scan (0.1 ms) runs on the event loop; switching threads takes longer."""

FILTER_ATTEMPTS: Final = 3


class Search:
    """Search the in-memory indexes; ids and metadata come from the database."""

    def __init__(
        self,
        database: Database,
        catalogue: CollectionCatalogue,
        filters: FilterBitmaps,
        follower: FeedFollower,
        models: Models,
        coder: PictureCoder,
        fetcher: QueryFetcher,
        texts: Texts,
    ) -> None:
        """Search the collections of ``catalogue``, which ``follower`` keeps up to date."""
        self._database = database
        self._catalogue = catalogue
        self._filters = filters
        self.follower: Final = follower
        self._models = models
        self._coder = coder
        self._fetcher = fetcher
        self._texts = texts
        self.likeness: Final = ResultLikeness(database, models)

    @retry_after_restore
    async def by_upload(
        self,
        content: bytes,
        collection: str,
        limits: SearchLimits,
        *,
        crop: Crop | None = None,
        orientations: int = 1,
        regions: Regions | None = None,
        times: StageTimes | None = None,
    ) -> SearchResult:
        """Find the pictures nearest to an uploaded one.

        Args:
            content: The file.
            collection: Name of the collection.
            limits: Bounds and filter of the results.
            crop: Part of the picture to search with.
            orientations: 1, 2 (mirrored too), 4 (turned too) or 8 (both).
            regions: Parts to search with, too; by default ``BORDERS`` under ranks auto and expanded with one
                orientation.
            times: Time spent on the query so far, if any.

        Raises:
            PictureRefused: The upload is not a picture, is damaged, or exceeds a limit.
            InvalidRequest: The query does not support this rank.
            UnknownCollection: The collection does not exist.
            IndexNotReady: The index is still loading.
            Overloaded: Too many pictures are waiting to be encoded.
        """
        live = self._catalogue.collection(collection)
        if regions is None:
            regions = Regions.BORDERS if limits.rank in COPIES_FIRST and orientations == 1 else Regions.NONE
        if limits.rank is Rank.ASYMMETRIC and (orientations > 1 or regions is not Regions.NONE):
            raise not_ranked(
                "use rank auto, expanded, descriptor or hamming with several orientations or regions"
            )
        if limits.rank is Rank.ASYMMETRIC:
            refuse_diversity(limits, "rank asymmetric")
            refuse_colour(limits, "rank asymmetric; use rank auto, descriptor or hamming")
        if orientations > 1 and regions is not Regions.NONE:
            raise InvalidRequest(
                errors=[FieldError("/regions", "use regions with one orientation: turn the picture first")]
            )
        times = times or StageTimes()
        model = await self._models.serving(live.record.model)
        variants: tuple[QueryVariant, ...] = ()
        if orientations == 1 and regions is Regions.NONE:
            pictures = [await self._coder.code(content, model, crop=crop, times=times)]
        else:
            choose = choose_variants(orientations, regions)
            variants, pictures = await self._coder.variant_codes(content, model, choose, crop=crop, times=times)
        query = query_of_upload(live, pictures, variants, crop, limits)
        return await self._answer(live, query, limits, times)

    async def by_url(
        self,
        url: str,
        collection: str,
        limits: SearchLimits,
        *,
        crop: Crop | None = None,
        orientations: int = 1,
        regions: Regions | None = None,
    ) -> SearchResult:
        """Fetch a picture and search with it, as ``by_upload`` does.

        Raises:
            UrlNotAllowed: Fetching is disabled, or the host is not allowed.
            FetchFailed: The host did not return a file in time.
        """
        self._catalogue.collection(collection)
        times = StageTimes()
        async with times.measure("fetch"):
            content = await self._fetcher.fetch(url)
        return await self.by_upload(
            content,
            collection,
            limits,
            crop=crop,
            orientations=orientations,
            regions=regions,
            times=times,
        )

    @retry_after_restore
    async def by_image(
        self, image_id: str, collection: str, limits: SearchLimits, *, include_self: bool = True
    ) -> SearchResult:
        """Find the pictures nearest to a stored one, which comes first unless ``include_self`` is false.

        Raises:
            UnknownImage: The collection does not contain the picture, or it has no code yet.
            InvalidRequest: The query does not support this rank.
        """
        live = self._catalogue.collection(collection)
        records, stored = await self.stored_pictures(live, [image_id], limits)
        codes = await codes_in_order(live, records, [image_id])
        record = records[image_id]
        info = QueryInfo(
            code=code_to_hex(codes[0], live.index.bits),
            bits=live.index.bits,
            sha256=record.sha256,
            width=record.width,
            height=record.height,
            image_id=image_id,
        )
        exclude = np.array([] if include_self else [record.number], np.int64)
        query = query_of_stored(live, record, NearestOf(codes), info, exclude, limits, stored)
        return await self._answer(live, query, limits, StageTimes())

    @retry_after_restore
    async def by_examples(
        self, examples: Sequence[Example], collection: str, limits: SearchLimits, *, include_self: bool = True
    ) -> SearchResult:
        """Find the pictures near to positive examples and far from negative ones.

        The distance is the sum over the positive examples minus the sum over the negative ones.

        Raises:
            UnknownImage: The collection lacks an example, or it has no code yet.
            InvalidRequest: No example is positive, or examples do not support this rank.
        """
        live = self._catalogue.collection(collection)
        if limits.rank not in {Rank.AUTO, Rank.HAMMING}:
            raise not_ranked("use rank auto or hamming with images")
        refuse_diversity(limits, "several pictures")
        refuse_colour(limits, "several pictures")
        records, codes = await self._stored(live, [example.image_id for example in examples])
        is_wanted = np.array([example.is_wanted for example in examples], np.bool_)
        if not is_wanted.any():
            raise InvalidRequest(errors=[FieldError("/images", "must have at least one picture with sign +")])
        exclude = np.array(sorted({r.number for r in records.values()} if not include_self else ()), np.int64)
        info = QueryInfo(bits=live.index.bits, examples=tuple(examples))
        query = Query(Examples(codes[is_wanted], codes[~is_wanted]), info, exclude)
        return await self._answer(live, query, limits, StageTimes())

    @retry_after_restore
    async def by_text(
        self,
        text: str,
        collection: str,
        limits: SearchLimits,
        *,
        examples: Sequence[Example] = (),
        include_self: bool = True,
        where: Where = Where.LOOKS,
    ) -> SearchResult:
        """Find the pictures that show what a text names, and that resemble the positive examples.

        Args:
            text: Phrases, such as "dog, beach" or "dog -cat".
            collection: Name of the collection.
            limits: Bounds and filter of the results; rank auto is asymmetric, which is exact; hamming uses only
                the signs of the weights.
            examples: Stored pictures to resemble, or not to resemble.
            include_self: Whether the examples may be among the results.
            where: Where the words are looked for; except in ``LOOKS`` they need not be understood.

        Raises:
            TextNotUnderstood: A word is not understood, and no metadata contain the words.
            TextNotSupported: The collection's model has no names of classes, and no metadata contain the words.
            InvalidRequest: The text names nothing, or the rank is descriptor.
            UnknownImage: The collection lacks an example, or it has no code yet.
        """
        live = self._catalogue.collection(collection)
        limits = limits_of_text(live, limits, where)
        times, refusal = StageTimes(), None
        async with times.measure("understand"):
            try:
                ranking, info = await self._texts.understand(
                    text, live.record.model, live.record.pk, is_alone=not examples
                )
            except (TextNotUnderstood, TextNotSupported) as error:
                is_bounded = limits.max_distance is not None or limits.min_score is not None
                if where is Where.LOOKS or is_bounded:
                    raise refusal_naming_metadata(error, limits, live) from error
                refusal = error
                ranking = WeightedBits(np.zeros((1, live.index.bits), np.float32))
                info = QueryInfo(bits=live.index.bits, text=text)
        exclude = np.empty(0, np.int64)
        if examples:
            records, codes = await self._stored(live, [example.image_id for example in examples])
            is_wanted = np.array([example.is_wanted for example in examples], np.bool_)
            ranking = WeightedBits(with_examples(ranking.y[0], codes[is_wanted], codes[~is_wanted]))
            info = replace(info, code=None, examples=tuple(examples))
            if not include_self:
                exclude = np.array(sorted({record.number for record in records.values()}), np.int64)
        if limits.rank is Rank.HAMMING:
            return await self._answer(
                live, Query(NearestOf(ranking.near_and_far()[0]), info, exclude), limits, times
            )
        query = Query(ranking, info, exclude, ranked_by=Rank.ASYMMETRIC)
        if where is Where.LOOKS:
            return await self._answer(live, query, limits, times)
        found = await self._answer_with_metadata(live, query, limits, where, times)
        if refusal is not None and not found.hits and where is Where.BOTH:
            raise type(refusal)(f"{refusal.detail}; no metadata contain the words", errors=refusal.errors)
        return found

    @retry_after_restore
    async def by_code(self, code: str, model: str, collection: str, limits: SearchLimits) -> SearchResult:
        """Find the pictures nearest to a raw code of the collection's model.

        Raises:
            ModelMismatch: The code is of another model.
            InvalidRequest: The code is not hex of the model's length, or does not support this rank.
        """
        live = self._catalogue.collection(collection)
        check_rank_of_code(limits)
        query = query_of_code(live, code, model, "/code")
        return await self._answer(live, query, limits, StageTimes())

    @retry_after_restore
    async def next_page(self, cursor: SearchCursor) -> SearchResult:
        """Return the next page of a search, of the collection as it is now.

        Raises:
            ModelMismatch: The collection has changed its model since the first page, or words their weights.
            UnknownCollection: The collection was deleted.
        """
        live = self._catalogue.collection(cursor.collection)
        if cursor.model_digest != live.model_digest:
            raise ModelMismatch("the collection has changed its model since this search began; search again")
        limits = SearchLimits(
            limit=cursor.limit,
            max_distance=cursor.radius,
            rank=Rank(cursor.rank),
            diversify=cursor.diversify,
            colour=cursor.colour,
            filter=None if cursor.filter_document is None else parse_filter(cursor.filter_document),
            filter_document=cursor.filter_document,
        )
        times = StageTimes()
        if cursor.text_digest is None:
            query = query_of_cursor(cursor, live.index.bits)
        else:
            async with times.measure("understand"):
                query = await self._text_of_cursor(live, cursor)
        if cursor.where != Where.LOOKS:
            where = Where(cursor.where)
            return await self._answer_with_metadata(live, query, limits, where, times, after=cursor)
        return await self._answer(live, query, limits, times, after=cursor)

    async def _text_of_cursor(self, live: LiveCollection, cursor: SearchCursor) -> Query:
        ranking, info = await self._texts.understand(cursor.text or "", live.record.model, live.record.pk)
        if ranking.digest != cursor.text_digest:
            raise ModelMismatch("the words have other weights since this search began; search again")
        return Query(ranking, info, ranked_by=Rank.ASYMMETRIC)

    async def _stored(
        self, live: LiveCollection, image_ids: Sequence[str]
    ) -> tuple[dict[str, FoundImage], NDArray[np.uint64]]:
        """Return the records of stored pictures by id, and their codes in order, shape (n, words)."""
        records = await self._database.lookups.by_ids(live.record.pk, image_ids)
        return records, await codes_in_order(live, records, image_ids)

    async def stored_pictures(
        self, live: LiveCollection, image_ids: Sequence[str], limits: SearchLimits
    ) -> tuple[dict[str, FoundImage], StoredRows]:
        """Return the records of stored pictures by id, their descriptors and hashes, and colours if they count.

        Raises:
            InvalidRequest: A stored picture does not support the rank.
        """
        if limits.rank is Rank.ASYMMETRIC:
            raise not_ranked("use rank asymmetric with uploads only; a stored picture has only its bits")
        pk, model = live.record.pk, live.record.model
        # One statement for both: each takes a switch to another thread.
        records, descriptors = await self._database.lookups.by_ids_with_descriptors(pk, model, image_ids)
        if limits.rank in BY_DESCRIPTOR and len(descriptors) < len(records):
            raise not_ranked(
                "the picture has no descriptor under the collection's model; use rank auto or hamming"
            )
        numbers = [record.number for record in records.values()]
        colours: dict[int, bytes] = {}
        if limits.colour:
            colours = await self._database.lookups.codes_of(pk, COLOUR_MODEL, numbers)
        known, hashes = await stored_hashes(self._database.lookups, live, np.array(numbers, np.int64))
        return records, StoredRows(descriptors, colours, dict(zip(known.tolist(), hashes, strict=True)))

    async def prepare(
        self,
        live: LiveCollection,
        query: Query,
        limits: SearchLimits,
        times: StageTimes,
        after: SearchCursor | None = None,
    ) -> PreparedSearch:
        """Prepare a search on one view of the index, with its filter loaded."""
        key = None
        if limits.filter is not None:
            async with times.measure("filter"):
                key = await self._filters.ensure(live, limits.filter)
        # The cursor carries the radius to the next page.
        request = PageRequest(
            limits.limit,
            radius_of(query, limits, live.index.bits),
            key,
            None if after is None else after.position,
            None if after is None or after.boundary is None else Boundary(*after.boundary),
        )
        return PreparedSearch(live, live.index.view(), query, limits, request)

    async def _answer(
        self,
        live: LiveCollection,
        query: Query,
        limits: SearchLimits,
        times: StageTimes,
        after: SearchCursor | None = None,
    ) -> SearchResult:
        prepared = await self.prepare(live, query, limits, times, after)
        if query.hashes is not None:
            async with times.measure("scan"):
                is_quick = _is_quick(prepared)
                prepared = matched(prepared) if is_quick else await asyncio.to_thread(matched, prepared)
        if isinstance(query.ranking, WeightedBits):
            async with times.measure("scan"):
                page = await asyncio.to_thread(
                    weighted_page_of,
                    local_view(live, "/rank", "use rank hamming or descriptor"),
                    query,
                    query.ranking,
                    prepared.request,
                )
        elif is_reranked(prepared):
            page = await self._reranked(prepared, times)
        else:
            async with times.measure("scan"):
                work = (prepared.view, without_matches(query), prepared.request)
                # Compiling a kernel, or loading it, would hold up the other requests.
                page = page_of(*work) if _is_quick(prepared) else await asyncio.to_thread(page_of, *work)
        async with times.measure("lookup"):
            records, exact = await self._look_up(prepared, page)
            likenesses = await self.likeness.of_page(prepared, page, records)
            index = await without_blocking(prepared.view, index_of, prepared)
        return await without_blocking(
            prepared.view, result_of, prepared, page, records, exact, times, index, likenesses
        )

    async def _answer_with_metadata(
        self,
        live: LiveCollection,
        query: Query,
        limits: SearchLimits,
        where: Where,
        times: StageTimes,
        after: SearchCursor | None = None,
    ) -> SearchResult:
        """Answer with pictures whose metadata contain the words, and with the others if ``where`` says so."""
        if not isinstance(query.ranking, WeightedBits):
            raise TypeError("words in metadata are ranked by weighted bits")
        condition = filter_by_words(query.info.text or "", limits.filter)
        async with times.measure("filter"):
            # The own filter may have been dropped for the other one, if so many are in use.
            for _ in range(FILTER_ATTEMPTS):
                prepared = await self.prepare(live, query, limits, times, after)
                key = await self._filters.ensure(live, condition)
                view = local_view(live, "/where", "use where looks")
                own = prepared.request.filter_key
                if own is None or view.has_filter(own):
                    break
            else:
                raise IndexNotReady("too many different filters are in use; search again")
        prepared = replace(prepared, view=view, where=where)
        async with times.measure("scan"):
            page = await asyncio.to_thread(metadata_page_of, view, prepared, query.ranking, key)
        async with times.measure("lookup"):
            records, exact = await self._look_up(prepared, page)
        return result_of(prepared, page, records, exact, times, index_of(prepared))

    async def _reranked(self, prepared: PreparedSearch, times: StageTimes) -> Page:
        work = (prepared.view, prepared.query, prepared.request)
        async with times.measure("scan"):
            is_quick = _is_quick(prepared)
            find = candidates_with_matches
            found = find(*work) if is_quick else await asyncio.to_thread(find, *work)
        async with times.measure("rerank"):
            stored = await self.candidate_rows(prepared, found.found.numbers)
            # The pictures after the candidates may need another scan.
            if is_quick:
                return fine_page(prepared, found, stored)
            return await asyncio.to_thread(fine_page, prepared, found, stored)

    async def candidate_rows(self, prepared: PreparedSearch, numbers: NDArray[np.int64]) -> CandidateRows:
        """Read what a query orders candidates by, each of ``numbers`` once."""
        live, query, lookups = prepared.live, prepared.query, self._database.lookups
        numbers = np.sort(numbers)
        descriptors, colours = None, {}
        if query.descriptors is not None:
            descriptors = await stored_descriptors(lookups, live, numbers, query.descriptors.shape[1])
        if query.colours is not None:
            colours = await lookups.codes_of(live.record.pk, COLOUR_MODEL, numbers.tolist())
        return CandidateRows(numbers, descriptors, colours)

    async def _look_up(
        self, prepared: PreparedSearch, page: Page
    ) -> tuple[dict[int, FoundImage], tuple[str, ...]]:
        pk, sha256 = prepared.live.record.pk, prepared.query.info.sha256
        records, copies = await self._database.lookups.found_at(
            pk, page.numbers.tolist(), prepared.view.version, copies_of=sha256
        )
        return records, tuple(copies)


def matched(prepared: PreparedSearch) -> PreparedSearch:
    """Return the search with the perceptual matches of its query."""
    hashes, key = prepared.live.hashes.view(), prepared.request.filter_key
    return replace(prepared, query=with_matches(hashes, prepared.view, prepared.query, key))


def _is_quick(prepared: PreparedSearch) -> bool:
    """Return whether a scan takes less time than to switch threads."""
    return (
        are_kernels_loaded()
        and not prepared.view.is_remote
        and prepared.view.count * prepared.query.ranking.codes < SCAN_ON_LOOP_BELOW
    )
