"""Fetches the picture that a search names by its URL, in threads of its own: a slow host holds up no one."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from app.domain.errors import UrlNotAllowed
from app.images.fetch import Fetcher

THREADS: Final = 8


class QueryFetcher:
    """Fetches query pictures from where the operator allows it."""

    def __init__(self, fetcher: Fetcher | None, max_bytes: int) -> None:
        """Fetch by ``fetcher`` at most ``max_bytes``; None where fetching is off."""
        self._fetcher = fetcher
        self._max_bytes = max_bytes
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="fetch")

    async def fetch(self, url: str) -> bytes:
        """The bytes at ``url``.

        Raises:
            UrlNotAllowed: Fetching is off, or not from there.
            FetchFailed: There was no answer with a file in time.
            ImageTooLarge: The file is too large.
        """
        if self._fetcher is None:
            raise UrlNotAllowed("fetching pictures by address is switched off here")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._fetcher.fetch, url, self._max_bytes)

    def close(self) -> None:
        """End the threads once what they fetch is there or late."""
        self._threads.shutdown(wait=False, cancel_futures=True)
