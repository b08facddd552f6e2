"""A search that a restore overtook begins anew: what its index found are other pictures by now."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Concatenate, Final, ParamSpec, Protocol, TypeVar

from app.domain.errors import IndexNotReady
from app.services.index_sync.replication import Replication
from app.store.feed import FeedPruned

P = ParamSpec("P")
R = TypeVar("R")

ROUNDS: Final = 3
"""A second restore while the first is being loaded is possible, a third hardly."""


class _Following(Protocol):
    """A service that answers from the indexes."""

    @property
    def _replication(self) -> Replication: ...


S = TypeVar("S", bound=_Following)


def begins_anew(
    search: Callable[Concatenate[S, P], Awaitable[R]],
) -> Callable[Concatenate[S, P], Awaitable[R]]:
    """Let a method that searches begin anew once the restored state is loaded.

    Between the commit of a restore and the moment at which this process has loaded it, an index and the
    database are of two states. Whoever looks up the pictures that an index found notices that in the snapshot
    of the look-up itself; nothing of both is ever answered.
    """

    @wraps(search)
    async def until_of_one_state(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        for _ in range(ROUNDS):
            try:
                return await search(self, *args, **kwargs)
            except FeedPruned:
                await self._replication.catch_up_with_all()
        raise IndexNotReady("everything is being restored; search again")

    return until_of_one_state
