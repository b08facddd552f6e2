"""Call methods of views that may be on another machine."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from app.domain.errors import FieldError, InvalidRequest
from app.index.collection_index import IndexView
from app.index.port import View
from app.services.index_sync.live_collection import LiveCollection

P = ParamSpec("P")
R = TypeVar("R")


async def without_blocking(view: View, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call ``work``, which reads ``view``: in a thread if that waits for another machine, otherwise here."""
    if view.is_remote:
        return await asyncio.to_thread(work, *args, **kwargs)
    return work(*args, **kwargs)


def local_view(live: LiveCollection, pointer: str, instead: str) -> IndexView:
    """Return the view of an index in this process.

    Raises:
        InvalidRequest: The collection's index is on another server; the error at ``pointer`` suggests
        ``instead``.
    """
    if live.local_index is None:
        kind = live.record.index_kind.value
        reason = f"not available with an index on {kind}; {instead}"
        raise InvalidRequest(errors=[FieldError(pointer, reason)])
    return live.local_index.view()
