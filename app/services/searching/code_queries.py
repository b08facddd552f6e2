"""Build queries from codes: raw ones, and those of stored pictures."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from app.domain.codes import code_from_hex, words_for
from app.domain.errors import FieldError, InvalidRequest, ModelMismatch, UnknownImage
from app.domain.perceptual import HASH_BITS
from app.domain.ranks import COPIES_FIRST
from app.domain.results import FoundImage, QueryInfo, SearchLimits
from app.encoding.hash_orientations import in_all_orientations
from app.index.port import View
from app.services.index_sync.live_collection import LiveCollection
from app.services.searching.queries import CopyQuery, NearestOf, Query, signatures_of
from app.services.searching.rank_rules import rank_by_descriptor, wants_descriptors
from app.services.searching.remote_views import without_blocking
from app.services.searching.reranking import StoredRows


async def codes_in_order(
    live: LiveCollection, records: Mapping[str, FoundImage], image_ids: Sequence[str]
) -> NDArray[np.uint64]:
    """Return the codes of stored pictures in the order of their ids, shape (n, words).

    Raises:
        UnknownImage: The collection does not contain a picture, or it has no code yet.
    """
    numbers = [record.number for record in records.values()]
    codes_by_number = await stored_codes(live.index.view(), numbers)
    codes = []
    for image_id in image_ids:
        code = codes_by_number.get(records[image_id].number) if image_id in records else None
        if code is None:
            raise UnknownImage(f"there is no picture {image_id!r} in collection {live.record.name!r}")
        codes.append(code)
    return np.stack(codes)


async def stored_codes(view: View, numbers: Sequence[int]) -> dict[int, NDArray[np.uint64]]:
    """Return the codes of those pictures that a view contains, each of shape (words,), by number."""
    found, codes = await without_blocking(view, view.codes_of, np.unique(np.array(numbers, np.int64)))
    return dict(zip(found.tolist(), codes, strict=True))


def query_of_code(live: LiveCollection, code: str, model: str, pointer: str) -> Query:
    """Build a query from a raw code; ``pointer`` is its JSON pointer in the request.

    Raises:
        ModelMismatch: The code is of another model.
        InvalidRequest: The code is not hex of the model's length.
    """
    if model != live.record.model:
        raise ModelMismatch(
            f"collection {live.record.name!r} holds codes of {live.record.model!r}, not of {model!r}"
        )
    try:
        words = code_from_hex(code, live.index.bits)
    except ValueError as error:
        raise InvalidRequest(errors=[FieldError(pointer, str(error))]) from error
    return Query(NearestOf(words[np.newaxis]), QueryInfo(code=code.lower(), bits=live.index.bits))


def query_of_stored(
    live: LiveCollection,
    record: FoundImage,
    ranking: NearestOf,
    info: QueryInfo,
    exclude: NDArray[np.int64],
    limits: SearchLimits,
    stored: StoredRows,
) -> Query:
    """Build the query of a stored picture.

    Args:
        live: The collection.
        record: The picture.
        ranking: Its code.
        info: What an answer says of it.
        exclude: Insertion numbers to leave out.
        limits: The requested rank.
        stored: Its descriptor, colours and hash; without a descriptor, or under another rank, its code ranks.

    Raises:
        InvalidRequest: Colours count, but the picture has no colour signature yet.
    """
    colours, number = None, record.number
    if limits.colour:
        if number not in stored.colours:
            detail = "the picture has no colour signature yet; a job computes it: search again later, or use 0"
            raise InvalidRequest(errors=[FieldError("/colour", detail)])
        colours = signatures_of([stored.colours[number]])
    code = stored.hashes.get(number)
    hashes = np.empty((0, words_for(HASH_BITS)), np.uint64) if code is None else code[np.newaxis]
    if number not in stored.descriptors:
        return Query(ranking, info, exclude, colours=colours, copy=CopyQuery(hashes, None, record.is_blank))
    descriptors = np.frombuffer(stored.descriptors[number], np.int8)[np.newaxis]
    copy = CopyQuery(hashes, descriptors, record.is_blank)
    if not wants_descriptors(live, limits):
        return Query(ranking, info, exclude, colours=colours, copy=copy)
    code = code if limits.rank in COPIES_FIRST else None
    return Query(
        ranking,
        info,
        exclude,
        ranked_by=rank_by_descriptor(limits),
        descriptors=descriptors,
        hashes=None if code is None else code[np.newaxis],
        turned_hashes=None if code is None else in_all_orientations(code[np.newaxis])[1:],
        colours=colours,
        copy=copy,
    )
