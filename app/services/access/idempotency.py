"""``Idempotency-Key``: the same write sent again gets the same answer again, and is done once."""

from collections.abc import Iterable, Iterator
from hashlib import sha256

from app.store.engine import Database
from app.store.records import StoredAnswer


class Idempotency:
    """Remembers the answers of writes that carry a key."""

    def __init__(self, database: Database) -> None:
        """Remember them in ``database``, so that every process gives the same answer."""
        self._database = database

    async def begin(
        self, owner: str, key: str, *, method: str, path: str, request_digest: str
    ) -> StoredAnswer | None:
        """Claim a key, or return the answer that its request was given.

        Raises:
            RequestInFlight: The same request is still being answered.
            InvalidRequest: The key was used with another request.
        """
        async with self._database.write() as unit:
            return await unit.idempotency.begin(
                owner, key, method=method, path=path, request_digest=request_digest
            )

    async def finish(self, owner: str, key: str, answer: StoredAnswer) -> None:
        """Remember an answer; one that invites another try is forgotten instead."""
        async with self._database.write() as unit:
            if answer.status >= 500 or answer.status in {408, 429}:
                await unit.idempotency.release(owner, key)
            else:
                await unit.idempotency.finish(owner, key, answer)

    async def release(self, owner: str, key: str) -> None:
        """Give a key back whose request was not answered."""
        async with self._database.write() as unit:
            await unit.idempotency.release(owner, key)


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
