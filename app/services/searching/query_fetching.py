"""Fetches the picture that a search names by its URL."""

from app.domain.errors import UrlNotAllowed
from app.images.fetch import Fetcher


class QueryFetcher:
    """Fetches query pictures from where the operator allows it."""

    def __init__(self, fetcher: Fetcher | None, max_bytes: int) -> None:
        """Fetch by ``fetcher`` at most ``max_bytes``; None where fetching is off."""
        self._fetcher = fetcher
        self._max_bytes = max_bytes

    async def fetch(self, url: str) -> bytes:
        """The bytes at ``url``.

        Raises:
            UrlNotAllowed: Fetching is off, or not from there.
            FetchFailed: There was no answer with a file in time.
            ImageTooLarge: The file is too large.
        """
        if self._fetcher is None:
            raise UrlNotAllowed("fetching pictures by address is switched off here")
        return await self._fetcher.fetch(url, self._max_bytes)
