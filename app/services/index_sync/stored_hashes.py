"""Read the perceptual hashes of pictures: from memory, or from the database where the index is on a server."""

import numpy as np
from numpy.typing import NDArray

from app.domain.codes import codes_from_bytes
from app.domain.perceptual import HASH_BITS, PERCEPTUAL_MODEL
from app.services.index_sync.live_collection import LiveCollection, ascending
from app.store.pictures.lookups import Lookups


async def stored_hashes(
    lookups: Lookups, live: LiveCollection, numbers: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Return the pictures that have a perceptual hash, ascending, and their hashes, shape (m, words).

    Args:
        lookups: Reads those that are not in memory.
        live: The collection.
        numbers: Insertion numbers, in any order.

    Raises:
        DatabaseUnavailable: The database does not answer.
    """
    if not live.record.is_remote:
        return live.hashes.view().codes_of(np.unique(numbers))
    stored = await lookups.codes_of(live.record.pk, PERCEPTUAL_MODEL, numbers.tolist())
    known = ascending(list(stored))
    return known, codes_from_bytes(b"".join(stored[number] for number in known.tolist()), HASH_BITS)
