"""Idempotency keys: the same request again gets the same answer again."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.errors import InvalidRequest, RequestInFlight
from app.store.records import StoredAnswer
from app.store.tables import idempotency


class IdempotentAnswers:
    """Begins and ends requests that carry an idempotency key.

    ``scope_id`` is whose key it is (an API key's id, say), so that callers do not meet each other's answers.
    """

    def __init__(self, connection: AsyncConnection, now: datetime) -> None:
        self._connection = connection
        self._now = now

    async def begin(
        self, scope_id: str, key: str, *, method: str, path: str, request_digest: str
    ) -> StoredAnswer | None:
        """Claim the key for a request; returns the answer where it has been given already.

        Raises:
            RequestInFlight: The same request is still being answered.
            InvalidRequest: The key was used with another request.
        """
        found = await self._find(scope_id, key)
        if found is None:
            await self._insert(scope_id, key, method=method, path=path, request_digest=request_digest)
            return None
        if (found.method, found.path, found.request_digest) != (method, path, request_digest):
            raise InvalidRequest("this idempotency key was used with another request")
        if found.state == "in_flight":
            raise RequestInFlight
        return StoredAnswer(found.status, found.headers, found.body)

    async def finish(self, scope_id: str, key: str, answer: StoredAnswer) -> None:
        """Remember the answer; in the unit of the write itself, both are kept or neither."""
        await self._connection.execute(
            sa.update(idempotency)
            .where(idempotency.c.scope_id == scope_id, idempotency.c.key == key)
            .values(state="done", status=answer.status, headers=answer.headers, body=answer.body)
        )

    async def release(self, scope_id: str, key: str) -> None:
        """Give the key back: the request failed in a way that may be tried again."""
        await self._connection.execute(
            sa.delete(idempotency).where(
                idempotency.c.scope_id == scope_id,
                idempotency.c.key == key,
                idempotency.c.state == "in_flight",
            )
        )

    async def prune(self, before: datetime) -> int:
        """Forget keys claimed before that moment, answered or abandoned; returns how many there were."""
        gone = await self._connection.execute(sa.delete(idempotency).where(idempotency.c.created_at < before))
        return gone.rowcount

    async def _find(self, scope_id: str, key: str) -> sa.Row[tuple[object, ...]] | None:
        query = sa.select(idempotency).where(idempotency.c.scope_id == scope_id, idempotency.c.key == key)
        return (await self._connection.execute(query)).one_or_none()

    async def _insert(self, scope_id: str, key: str, *, method: str, path: str, request_digest: str) -> None:
        claim = sa.insert(idempotency).values(
            scope_id=scope_id,
            key=key,
            method=method,
            path=path,
            request_digest=request_digest,
            state="in_flight",
            created_at=self._now,
        )
        try:
            await self._connection.execute(claim)
        except IntegrityError as error:  # another process claimed it between our look and our claim
            raise RequestInFlight from error
