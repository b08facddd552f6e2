"""``Idempotency-Key``: run a repeated write once, and replay its answer."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from hashlib import sha256
from typing import Final

import structlog

from app.domain.errors import LookalikeError
from app.domain.idempotency import IdempotencyClaim, StoredAnswer
from app.store.engine import Database

_log = structlog.get_logger()

LEASE: Final = timedelta(seconds=60)
"""How long the key of a request whose process died stays claimed."""
RENEW_EVERY_S: Final = 15.0
MAX_ANSWER_BYTES: Final = 4 * 1024 * 1024
"""Longer answers are not stored; answers to writes are far shorter."""


class Idempotency:
    """Stores the answers to writes that carry a key."""

    def __init__(self, database: Database) -> None:
        """Store them in ``database``, so that every process replays the same answer."""
        self._database = database

    async def begin(
        self, owner: str, key: str, *, method: str, path: str, request_digest: str
    ) -> StoredAnswer | IdempotencyClaim:
        """Claim a key, or return the stored answer to its request.

        Raises:
            RequestInFlight: The same request is still being answered.
            InvalidRequest: The key was used with another request.
        """
        async with self._database.write() as unit:
            return await unit.idempotency.begin(
                owner, key, method=method, path=path, request_digest=request_digest, lease=LEASE
            )

    @asynccontextmanager
    async def held(self, claim: IdempotencyClaim) -> AsyncIterator[None]:
        """Renew the lease of a claim inside the block."""
        renewal = asyncio.create_task(self._renew(claim), name="idempotency lease")
        try:
            yield
        finally:
            renewal.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await renewal

    async def settle(self, claim: IdempotencyClaim, answer: StoredAnswer | None) -> None:
        """Store an answer that was sent; release the key if there is none or it asks for a retry.

        A database error is logged, not raised, because the client already has its answer. The key becomes free
        when the lease expires.
        """
        try:
            async with self._database.write() as unit:
                if answer is None or _invites_retry(answer.status) or len(answer.body) > MAX_ANSWER_BYTES:
                    await unit.idempotency.release(claim)
                else:
                    await unit.idempotency.finish(claim, answer)
        except LookalikeError as error:
            _log.warning("answer_not_remembered", detail=error.detail)

    async def _renew(self, claim: IdempotencyClaim) -> None:
        while True:
            await asyncio.sleep(RENEW_EVERY_S)
            try:
                async with self._database.sign_of_life() as unit:
                    await unit.idempotency.renew(claim, LEASE)
            except LookalikeError as error:
                _log.warning("lease_not_renewed", detail=error.detail)


def _invites_retry(status: int) -> bool:
    return status >= 500 or status in {408, 429}


def digest_of_body(chunks: Iterable[bytes], boundary: bytes | None) -> str:
    """Return the SHA-256 of a body, leaving out a multipart boundary.

    A client that retries picks a new boundary for the same request.
    """
    digest = sha256()
    for chunk in chunks if not boundary else _without(chunks, boundary):
        digest.update(chunk)
    return digest.hexdigest()


def _without(chunks: Iterable[bytes], boundary: bytes) -> Iterator[bytes]:
    """Yield the body with each boundary replaced by a line feed, even where it spans chunks."""
    tail = b""
    for chunk in chunks:
        *whole, last = (tail + chunk).split(boundary)
        for part in whole:
            yield part
            yield b"\n"
        cut = max(0, len(last) - len(boundary) + 1)
        yield last[:cut]
        tail = last[cut:]
    yield tail
