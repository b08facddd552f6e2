"""Fetch the query picture of a search by URL."""

from app.domain.errors import UrlNotAllowed
from app.images.fetch import Fetcher


class QueryFetcher:
    """Fetch query pictures from the hosts that the operator allows."""

    def __init__(self, fetcher: Fetcher | None, max_bytes: int) -> None:
        """Fetch by ``fetcher`` at most ``max_bytes``; None where fetching is off."""
        self._fetcher = fetcher
        self._max_bytes = max_bytes

    async def fetch(self, url: str) -> bytes:
        """Return the bytes at ``url``.

        Raises:
            UrlNotAllowed: Fetching is disabled, or the host is not allowed.
            FetchFailed: The host did not return a file in time.
            ImageTooLarge: The file is too large.
        """
        if self._fetcher is None:
            raise UrlNotAllowed("fetching pictures by URL is disabled; LOOKALIKE_FETCH_HOSTS allows hosts")
        return await self._fetcher.fetch(url, self._max_bytes)
