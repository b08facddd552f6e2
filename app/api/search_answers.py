"""Convert search results to JSON; shared by all routers that return hits.

The documents are plain dictionaries: an answer has about two hundred values; building models of them, only to
convert these into dictionaries again, takes longer than the search. ``app.api.schemas`` describes them.
"""

from typing import Any

from fastapi.responses import JSONResponse

from app.api.deps import PictureAddresses
from app.api.json_response import FastJSONResponse
from app.bootstrap import ServingServices
from app.domain.results import Hit, QueryInfo, SearchedIndex, SearchResult, Suggestion, TextMeaning
from app.domain.variants import Region

Document = dict[str, Any]


def answer_of(result: SearchResult, services: ServingServices, addresses: PictureAddresses) -> JSONResponse:
    """Return the JSON answer, with the time of each stage in ``Server-Timing``."""
    document = {
        "query": query_document(result.query),
        "ranked_by": result.ranked_by,
        "exact_matches": result.exact_matches,
        **page_document(result, services, addresses),
        "index": index_document(result.index),
        "took_ms": took_document(result.took_ms),
    }
    return FastJSONResponse(document, headers=server_timing(result.took_ms))


def query_document(query: QueryInfo) -> Document:
    """Return a ``SearchQuery``."""
    examples = [{"image_id": e.image_id, "sign": "+" if e.is_wanted else "-"} for e in query.examples]
    return {
        "code": query.code,
        "bits": query.bits,
        "sha256": query.sha256,
        "width": query.width,
        "height": query.height,
        "image_id": query.image_id,
        "images": examples or None,
        "text": query.text,
        "understood_as": [_meaning_document(one) for one in query.understood_as] or None,
        "confidence": query.confidence,
    }


def _meaning_document(meaning: TextMeaning) -> Document:
    """Return a ``TextMeaningShape``."""
    precision = meaning.precision_at_10
    return {
        "phrase": meaning.phrase,
        "sign": "+" if meaning.is_wanted else "-",
        "word": meaning.word,
        "label": meaning.label,
        "synset": meaning.synset,
        "relation": meaning.relation,
        "source": meaning.source,
        "ignored": meaning.ignored,
        "classes": meaning.classes,
        "other_meanings": meaning.other_meanings,
        "pictures": meaning.pictures,
        "precision_at_10": precision if precision is None else round(precision, 4),
    }


def page_document(result: SearchResult, services: ServingServices, addresses: PictureAddresses) -> Document:
    """Return the hits, the cursor and the ties of a page under the names used in answers."""
    cursor, cutoff, collection = result.next_cursor, result.cutoff, result.index.collection
    return {
        "items": [_hit_document(hit, collection, addresses) for hit in result.hits],
        "next_cursor": None if cursor is None else services.signer.seal_search_cursor(cursor),
        "cutoff": None
        if cutoff is None
        else {"distance": cutoff.distance, "returned": cutoff.returned, "total": cutoff.total},
    }


def _hit_document(hit: Hit, collection: str, addresses: PictureAddresses) -> Document:
    """Return a ``SearchHit``."""
    return {
        "rank": hit.rank,
        "id": hit.image_id,
        "distance": hit.distance,
        "score": round(hit.score, 6),
        "rank_distance": None if hit.rank_distance is None else round(hit.rank_distance, 6),
        "colour_distance": None if hit.colour_distance is None else round(hit.colour_distance, 6),
        "likeness": hit.likeness,
        "orientation": hit.orientation,
        "in_metadata": hit.in_metadata,
        "region": None if hit.region is None else _region_document(hit.region),
        "exact": hit.exact,
        "uri": hit.uri,
        "thumbnail_url": addresses.thumbnail(collection, hit.image_id) if hit.has_bytes else None,
        "content_url": addresses.content(collection, hit.image_id) if hit.has_bytes else None,
        "metadata": hit.metadata,
    }


def suggestion_document(suggestion: Suggestion) -> Document:
    """Return a ``SuggestionShape``."""
    return {
        "word": suggestion.word,
        "source": suggestion.source,
        "share": round(suggestion.share, 4),
        "general": suggestion.general,
    }


def _region_document(region: Region) -> Document:
    """Return a ``RegionShape``."""
    return {
        "x": round(region.x, 6),
        "y": round(region.y, 6),
        "width": round(region.width, 6),
        "height": round(region.height, 6),
    }


def index_document(index: SearchedIndex) -> Document:
    """Return a ``SearchedIndexShape``."""
    return {
        "collection": index.collection,
        "model": index.model,
        "index_version": index.index_version,
        "searched": index.searched,
        "coverage": {"indexed": index.indexed, "pending": index.pending, "failed": index.failed},
    }


def took_document(took_ms: dict[str, float]) -> dict[str, float]:
    """Return the milliseconds of each stage, rounded."""
    return {stage: round(ms, 3) for stage, ms in took_ms.items()}


def server_timing(took_ms: dict[str, float]) -> dict[str, str]:
    """Return the ``Server-Timing`` header, which browsers show in their developer tools."""
    return {"Server-Timing": ", ".join(f"{stage};dur={ms:.3f}" for stage, ms in took_ms.items())}
