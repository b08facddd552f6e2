"""Read the descriptors of candidates: from memory, and the others from the database."""

import numpy as np
from numpy.typing import NDArray

from app.services.index_sync.live_collection import LiveCollection
from app.services.searching.reranking import Descriptors
from app.store.pictures.lookups import Lookups


async def stored_descriptors(
    lookups: Lookups, live: LiveCollection, numbers: NDArray[np.int64], width: int
) -> Descriptors:
    """Return the descriptors of pictures under the collection's model.

    Args:
        lookups: Reads those that are not in memory, which are kept there afterwards.
        live: The collection.
        numbers: Insertion numbers, each once, shape (n,).
        width: Bytes of a descriptor.

    Raises:
        DatabaseUnavailable: The database does not answer.
    """
    rows, is_stored, is_known = live.descriptors.get(numbers, width)
    if is_known.all():
        return Descriptors(rows, is_stored)
    places = np.flatnonzero(~is_known)
    unknown = numbers[places]
    with live.descriptors.reading() as changed:
        stored = await lookups.descriptors_of(live.record.pk, live.record.model, unknown.tolist())
        read = Descriptors.of(unknown, stored, width)
        rows[places], is_stored[places] = read.rows, read.is_stored
        is_current = np.array([number not in changed for number in unknown.tolist()], np.bool_)
        live.descriptors.put(unknown[is_current], read.rows[is_current], read.is_stored[is_current])
    return Descriptors(rows, is_stored)
