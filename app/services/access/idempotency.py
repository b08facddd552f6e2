"""``Idempotency-Key``: the same write sent again gets the same answer again, and is done once."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from hashlib import sha256
from typing import Final

import structlog

from app.domain.errors import LookalikeError
from app.store.engine import Database
from app.store.records import IdempotencyClaim, StoredAnswer

_log = structlog.get_logger()

LEASE: Final = timedelta(seconds=60)
"""How long a request whose process died keeps its key from being used again."""
RENEW_EVERY_S: Final = 15.0
MAX_ANSWER_BYTES: Final = 4 * 1024 * 1024
"""A longer answer is not kept; those of writes are far shorter."""


class Idempotency:
    """Remembers the answers of writes that carry a key."""

    def __init__(self, database: Database) -> None:
        """Remember them in ``database``, so that every process gives the same answer."""
        self._database = database

    async def begin(
        self, owner: str, key: str, *, method: str, path: str, request_digest: str
    ) -> StoredAnswer | IdempotencyClaim:
        """Claim a key, or return the answer that its request got before.

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
        """Remember an answer that was sent; forget one that invites another try, and a request without one.

        A database that fails now is logged and raises nothing: the caller has the answer already. The key is
        free again once the lease has run out.
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
    """SHA-256 of a body; of a multipart one whatever its boundary is.

    A client that tries again makes up a new boundary, and still means the same request.
    """
    digest = sha256()
    for chunk in chunks if not boundary else _without(chunks, boundary):
        digest.update(chunk)
    return digest.hexdigest()


def _without(chunks: Iterable[bytes], boundary: bytes) -> Iterator[bytes]:
    """The body with each boundary replaced by a line feed, also where it lies across chunks."""
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
