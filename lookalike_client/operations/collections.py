"""Create, list, change and delete collections; read their statistics."""

from typing import Literal

from lookalike_client.answers.collections import (
    Calibration,
    Collection,
    CollectionList,
    CollectionStats,
    Distances,
    LearnedWordList,
    MetadataKeyList,
)
from lookalike_client.calls import Call, Repeat, Streaming, answer, as_text, changes, given, nothing, once, path
from lookalike_client.inputs import FilterLike
from lookalike_client.streams import Lines


def list_collections(*, limit: int | None = None, cursor: str | None = None) -> Call[CollectionList]:
    """Return a page of the collections, by name.

    Args:
        limit: Most collections of a page.
        cursor: ``next_cursor`` of the previous page.
    """
    params = as_text(given(limit=limit, cursor=cursor))
    return Call("GET", "/collections", answer(CollectionList), params=params)


def create_collection(
    name: str,
    *,
    model: str | None = None,
    keeps: Literal["copies", "references"] | None = None,
    index: Literal["local", "clickhouse"] | None = None,
    description: str | None = None,
    idempotency_key: str | None = None,
) -> Call[Collection]:
    """Create a collection.

    Args:
        name: Its name.
        model: The model to search it under; the service's default model if None.
        keeps: Whether it stores copies of the files, or references to them only.
        index: Whether its codes are searched in each process, or on the service's ClickHouse server.
        description: Free text.
        idempotency_key: Repetitions with the same key are executed once. A random key if None.
    """
    body = given(name=name, model=model, keeps=keeps, index=index, description=description)
    return Call("POST", "/collections", answer(Collection), json=body, headers=once(idempotency_key))


def get_collection(name: str) -> Call[Collection]:
    """Return a collection."""
    return Call("GET", path("collections", name), answer(Collection))


def patch_collection(name: str, *, description: str | None) -> Call[Collection]:
    """Change a collection's description; None removes it."""
    body = changes(description=description)
    return Call("PATCH", path("collections", name), answer(Collection), json=body)


def delete_collection(name: str) -> Call[None]:
    """Delete a collection with its pictures."""
    return Call("DELETE", path("collections", name), nothing, repeat=Repeat.IF_REFUSED)


def get_collection_stats(name: str) -> Call[CollectionStats]:
    """Return the size of a collection."""
    return Call("GET", path("collections", name, "stats"), answer(CollectionStats))


def get_calibration(name: str) -> Call[Calibration]:
    """Return what distances mean under a collection's model."""
    return Call("GET", path("collections", name, "calibration"), answer(Calibration))


def list_metadata_keys(name: str) -> Call[MetadataKeyList]:
    """Return the metadata keys of a collection, with values to choose from."""
    return Call("GET", path("collections", name, "metadata"), answer(MetadataKeyList))


def list_learned_words(name: str) -> Call[LearnedWordList]:
    """Return the words that were learned from the metadata of a collection's pictures."""
    return Call("GET", path("collections", name, "words"), answer(LearnedWordList))


def export_labels(
    name: str,
    *,
    format: Literal["ndjson", "csv"] | None = None,
    limit: int | None = None,
    min_share: float | None = None,
) -> Streaming[str]:
    """Yield the lines of an export of words for all pictures, in insertion order.

    Args:
        name: Name of the collection.
        format: ``ndjson``, the default: a line for each picture; ``csv``: a header, then a row for each word.
        limit: Most words of a picture; 3 if None.
        min_share: Least share of a word.
    """
    params = as_text(given(format=format, limit=limit, min_share=min_share))
    return Streaming(Call("GET", path("collections", name, "labels"), nothing, params=params), Lines)


def get_distances(name: str, *, code: str, model: str, filter: FilterLike | None = None) -> Call[Distances]:
    """Count the pictures at each distance from a code.

    Args:
        name: Name of the collection.
        code: The code, as in ``SearchResponse.query``.
        model: Name of the code's model, as in ``SearchResponse.index``.
        filter: Conditions on metadata.
    """
    params = as_text(given(code=code, model=model, filter=filter))
    return Call("GET", path("collections", name, "distances"), answer(Distances), params=params)
