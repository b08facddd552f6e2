"""Retry a search that a restore interrupted; its rows may now be other pictures."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Concatenate, Final, ParamSpec, Protocol, TypeVar

from app.domain.errors import IndexNotReady
from app.services.index_sync.feed_follower import FeedFollower
from app.store.pictures.feed import FeedPruned

P = ParamSpec("P")
R = TypeVar("R")

ATTEMPTS: Final = 3
"""Attempts at most; a second restore may interrupt the first retry, a third one is unlikely."""


class Searching(Protocol):
    """Protocol for services that search the indexes."""

    @property
    def follower(self) -> FeedFollower:
        """Feed follower of these indexes."""


S = TypeVar("S", bound=Searching)


def retry_after_restore(
    search: Callable[Concatenate[S, P], Awaitable[R]],
) -> Callable[Concatenate[S, P], Awaitable[R]]:
    """Decorate a search method to retry after this process has loaded the restored state.

    From the commit of a restore until this process has loaded it, the index and the database differ. Looking up
    the pictures that the index found detects this in the same database snapshot, so no answer mixes both.

    Raises:
        IndexNotReady: Raised by the decorated method if every attempt was interrupted.
    """

    @wraps(search)
    async def with_retries(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        for _ in range(ATTEMPTS):
            try:
                return await search(self, *args, **kwargs)
            except FeedPruned:
                await self.follower.catch_up_to_latest()
        raise IndexNotReady("the service is being restored; search again")

    return with_retries
