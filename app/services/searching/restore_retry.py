"""A search that a restore overtook is done again: what its index found are other pictures by now."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Concatenate, Final, ParamSpec, Protocol, TypeVar

from app.domain.errors import IndexNotReady
from app.services.index_sync.feed_follower import FeedFollower
from app.store.feed import FeedPruned

P = ParamSpec("P")
R = TypeVar("R")

ATTEMPTS: Final = 3
"""A second restore while the first is being loaded is possible, a third hardly."""


class Searching(Protocol):
    """A service that answers from the indexes."""

    @property
    def follower(self) -> FeedFollower:
        """Keeps those indexes up to date."""


S = TypeVar("S", bound=Searching)


def retry_after_restore(
    search: Callable[Concatenate[S, P], Awaitable[R]],
) -> Callable[Concatenate[S, P], Awaitable[R]]:
    """Have a method that searches try again once the restored state is loaded.

    Between the commit of a restore and the moment at which this process has loaded it, an index and the
    database are of two states. Whoever looks up the pictures that an index found notices that in the snapshot
    of the look-up itself, so no answer mixes both.

    Raises:
        IndexNotReady: By the decorated method: one restore followed another.
    """

    @wraps(search)
    async def until_of_one_state(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        for _ in range(ATTEMPTS):
            try:
                return await search(self, *args, **kwargs)
            except FeedPruned:
                await self.follower.catch_up_with_all()
        raise IndexNotReady("everything is being restored; search again")

    return until_of_one_state
