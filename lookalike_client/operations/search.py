"""Search by pictures and codes; compare pictures; find duplicates."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

from lookalike_client.answers.search import (
    BatchResponse,
    CompareResponse,
    DifferentChanged,
    DifferentList,
    DuplicatesResponse,
    SearchHit,
    SearchResponse,
    SuggestionList,
)
from lookalike_client.calls import Call, Page, Part, answer, as_text, given, once, path
from lookalike_client.inputs import BatchQuery, Crop, Example, FilterLike, Rank, Regions, Where
from lookalike_client.uploads import Upload


def search_by_upload(
    file: Upload,
    *,
    limit: int | None = None,
    max_distance: int | None = None,
    min_score: float | None = None,
    filter: FilterLike | None = None,
    crop: Crop | None = None,
    orientations: int | None = None,
    regions: Regions | None = None,
    rank: Rank | None = None,
    diversify: float | None = None,
    colour: float | None = None,
    collection: str | None = None,
    absolute_urls: bool | None = None,
) -> Call[SearchResponse]:
    """Search with a picture's file.

    Args:
        file: The query picture.
        limit: Most results, 1 to 1,000; the service's default is 20.
        max_distance: Largest Hamming distance, inclusive.
        min_score: Least score, inclusive.
        filter: Conditions on metadata.
        crop: Search with this part of the picture.
        orientations: Also try the picture mirrored (2), turned by quarters (4) or both (8).
        regions: ``borders`` also tries the content without even borders, ``auto`` windows of the picture too,
            ``none`` neither. If None, ``borders`` under rank auto with one orientation.
        rank: What orders the results; ``auto`` if None.
        diversify: 0 to 1; more prefers results that differ from those before them.
        colour: 0 to 1; the weight of the picture's colours.
        collection: The collection to search; ``default`` if None.
        absolute_urls: True gives URLs of pictures with scheme and host.
    """
    fields = given(
        limit=limit,
        max_distance=max_distance,
        min_score=min_score,
        filter=filter,
        crop=crop,
        orientations=orientations,
        regions=regions,
        rank=rank,
        diversify=diversify,
        colour=colour,
        collection=collection,
    )
    return Call(
        "POST",
        "/search",
        answer(SearchResponse),
        params=as_text(given(absolute_urls=absolute_urls)),
        form=as_text(fields),
        parts=[Part("file", file)],
    )


def search_by_query(
    *,
    image_id: str | None = None,
    images: Sequence[Example] | None = None,
    text: str | None = None,
    where: Where | None = None,
    code: str | None = None,
    model: str | None = None,
    url: str | None = None,
    cursor: str | None = None,
    limit: int | None = None,
    max_distance: int | None = None,
    min_score: float | None = None,
    filter: FilterLike | None = None,
    crop: Crop | None = None,
    orientations: int | None = None,
    regions: Regions | None = None,
    rank: Rank | None = None,
    diversify: float | None = None,
    colour: float | None = None,
    include_self: bool | None = None,
    collection: str | None = None,
    absolute_urls: bool | None = None,
) -> Call[SearchResponse]:
    """Search with one of ``image_id``, ``images``, ``text``, ``code``, ``url`` and ``cursor``.

    ``images`` and ``text`` may be combined.

    Args:
        image_id: Id of a stored picture.
        images: Stored pictures to resemble or to differ from, 16 at most.
        text: What the pictures show, in English nouns, such as "dog, beach -cat".
        where: Where the words of ``text`` are looked for; ``looks`` if None.
        code: A code as hex; needs ``model``.
        model: Name of the code's model.
        url: Address of a picture on a host that the operator allows.
        cursor: ``next_cursor`` of the previous page; takes no further arguments.
        limit: Most results, 1 to 1,000; the service's default is 20.
        max_distance: Largest Hamming distance, inclusive.
        min_score: Least score, inclusive.
        filter: Conditions on metadata.
        crop: With ``url``: search with this part of the picture.
        orientations: With ``url``: also try it mirrored (2), turned by quarters (4) or both (8).
        regions: With ``url``: parts to try, as with an upload.
        rank: What orders the results; ``auto`` if None.
        diversify: 0 to 1; more prefers results that differ from those before them.
        colour: 0 to 1; the weight of the picture's colours.
        include_self: False removes the query's own pictures from the results.
        collection: The collection to search; ``default`` if None.
        absolute_urls: True gives URLs of pictures with scheme and host.
    """
    body = given(
        image_id=image_id,
        images=images,
        text=text,
        where=where,
        code=code,
        model=model,
        url=url,
        cursor=cursor,
        limit=limit,
        max_distance=max_distance,
        min_score=min_score,
        filter=filter,
        crop=crop,
        orientations=orientations,
        regions=regions,
        rank=rank,
        diversify=diversify,
        colour=colour,
        include_self=include_self,
        collection=collection,
    )
    return Call(
        "POST",
        "/search/query",
        answer(SearchResponse),
        params=as_text(given(absolute_urls=absolute_urls)),
        json=body,
    )


def search_by_stored_picture(
    image_id: str,
    *,
    limit: int | None = None,
    max_distance: int | None = None,
    rank: Rank | None = None,
    diversify: float | None = None,
    colour: float | None = None,
    collection: str | None = None,
    absolute_urls: bool | None = None,
) -> Call[SearchResponse]:
    """Search with a stored picture.

    Args:
        image_id: Its id.
        limit: Most results, 1 to 1,000; the service's default is 20.
        max_distance: Largest Hamming distance, inclusive.
        rank: What orders the results; ``auto`` if None.
        diversify: 0 to 1; more prefers results that differ from those before them.
        colour: 0 to 1; the weight of the picture's colours.
        collection: The picture's collection; ``default`` if None.
        absolute_urls: True gives URLs of pictures with scheme and host.
    """
    params = given(
        limit=limit,
        max_distance=max_distance,
        rank=rank,
        diversify=diversify,
        colour=colour,
        collection=collection,
        absolute_urls=absolute_urls,
    )
    return Call("GET", path("images", image_id, "similar"), answer(SearchResponse), params=as_text(params))


def suggest_words(
    image_id: str, *, limit: int | None = None, collection: str | None = None
) -> Call[SuggestionList]:
    """Return words for a stored picture.

    Args:
        image_id: Its id.
        limit: Most words, 1 to 50; the service's default is 5.
        collection: The picture's collection; ``default`` if None.
    """
    params = given(limit=limit, collection=collection)
    return Call("GET", path("images", image_id, "suggestions"), answer(SuggestionList), params=as_text(params))


def next_search_page(first: Call[Page[SearchHit]], cursor: str) -> Call[Page[SearchHit]]:
    """Return the call for a further page of results."""
    return replace(search_by_query(cursor=cursor), params=first.params)


def search_batch(
    queries: Sequence[BatchQuery],
    *,
    limit: int | None = None,
    max_distance: int | None = None,
    min_score: float | None = None,
    rank: Literal["auto", "hamming", "descriptor", "expanded"] | None = None,
    colour: float | None = None,
    filter: FilterLike | None = None,
    include_self: bool | None = None,
    collection: str | None = None,
    absolute_urls: bool | None = None,
) -> Call[BatchResponse]:
    """Answer up to 64 queries of one collection in one pass; each has its own outcome.

    Args:
        queries: Stored pictures, texts or codes.
        limit: Most results of each query.
        max_distance: Largest Hamming distance, inclusive.
        min_score: Least score, inclusive.
        rank: What orders the results; ``auto`` if None.
        colour: 0 to 1; the weight of the pictures' colours.
        filter: Conditions on metadata.
        include_self: False removes a query's own pictures from its results.
        collection: The collection to search; ``default`` if None.
        absolute_urls: True gives URLs of pictures with scheme and host.
    """
    body = given(
        queries=queries,
        limit=limit,
        max_distance=max_distance,
        min_score=min_score,
        rank=rank,
        colour=colour,
        filter=filter,
        include_self=include_self,
        collection=collection,
    )
    return Call(
        "POST",
        "/search/batch",
        answer(BatchResponse),
        params=as_text(given(absolute_urls=absolute_urls)),
        json=body,
    )


def compare_uploads(
    first: Upload | str, second: Upload | str, *, collection: str | None = None
) -> Call[CompareResponse]:
    """Compare two pictures.

    Args:
        first: A file, or the id of a stored picture.
        second: A file, or the id of a stored picture.
        collection: The collection whose model compares, and which contains stored pictures.
    """
    sides = {"first": first, "second": second}
    parts = [Part(name, side) for name, side in sides.items() if not isinstance(side, str)]
    fields: dict[str, Any] = {name: side for name, side in sides.items() if isinstance(side, str)}
    if not parts:
        return compare_stored(str(first), str(second), collection=collection)
    form = as_text(fields | given(collection=collection))
    return Call("POST", "/compare", answer(CompareResponse), form=form, parts=parts)


def compare_stored(first: str, second: str, *, collection: str | None = None) -> Call[CompareResponse]:
    """Compare two stored pictures of a collection by their ids."""
    body = given(first=first, second=second, collection=collection)
    return Call("POST", "/compare/stored", answer(CompareResponse), json=body)


def find_duplicates(
    *,
    max_distance: int | None = None,
    max_descriptor_distance: float | None = None,
    filter: FilterLike | None = None,
    limit: int | None = None,
    cursor: str | None = None,
    collection: str | None = None,
    absolute_urls: bool | None = None,
) -> Call[DuplicatesResponse]:
    """Return a page of groups of near pictures.

    Args:
        max_distance: Largest distance of the codes of a near pair; if None, the rule for copies decides.
        max_descriptor_distance: Largest distance of the descriptors of a near pair. If None, the rule for
            copies decides; with ``max_distance`` alone, only codes are compared.
        filter: Conditions on metadata.
        limit: Most groups.
        cursor: ``next_cursor`` of the previous page.
        collection: The collection; ``default`` if None.
        absolute_urls: True gives URLs of pictures with scheme and host.
    """
    params = given(
        max_distance=max_distance,
        max_descriptor_distance=max_descriptor_distance,
        filter=filter,
        limit=limit,
        cursor=cursor,
        collection=collection,
        absolute_urls=absolute_urls,
    )
    return Call("GET", "/duplicates", answer(DuplicatesResponse), params=as_text(params))


def call_different(
    ids: Sequence[str], *, collection: str | None = None, idempotency_key: str | None = None
) -> Call[DifferentChanged]:
    """Remember that no two of these pictures are duplicates.

    Args:
        ids: Ids of 2 to 100 pictures.
        collection: The collection; ``default`` if None.
        idempotency_key: Repeating the request with this key has no further effect.
    """
    body = given(ids=list(ids), collection=collection)
    headers = once(idempotency_key)
    return Call("POST", "/duplicates/different", answer(DifferentChanged), json=body, headers=headers)


def take_back_different(
    ids: Sequence[str], *, collection: str | None = None, idempotency_key: str | None = None
) -> Call[DifferentChanged]:
    """Forget that any two of these pictures were marked as different.

    Args:
        ids: Ids of 2 to 100 pictures.
        collection: The collection; ``default`` if None.
        idempotency_key: Repeating the request with this key has no further effect.
    """
    body = given(ids=list(ids), collection=collection)
    headers = once(idempotency_key)
    return Call("POST", "/duplicates/different/delete", answer(DifferentChanged), json=body, headers=headers)


def list_different(
    *, limit: int | None = None, cursor: str | None = None, collection: str | None = None
) -> Call[DifferentList]:
    """Return a page of pairs that were called different.

    Args:
        limit: Most pairs.
        cursor: ``next_cursor`` of the previous page.
        collection: The collection; ``default`` if None.
    """
    params = given(limit=limit, cursor=cursor, collection=collection)
    return Call("GET", "/duplicates/different", answer(DifferentList), params=as_text(params))
