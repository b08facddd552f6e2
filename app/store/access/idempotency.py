"""Idempotency keys: a repeated request gets the stored answer of the first one."""

from datetime import datetime, timedelta
from secrets import token_hex
from typing import Final

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.errors import InvalidRequest, RequestInFlight
from app.domain.idempotency import IdempotencyClaim, StoredAnswer
from app.store.schema.tables import idempotency

_LONGEST_LEASE: Final = timedelta(minutes=5)


class IdempotentAnswers:
    """Claims idempotency keys and stores the answers of their requests.

    ``scope_id`` identifies the owner of a key, for instance an API key's id, so that callers share no answers.
    """

    def __init__(self, connection: AsyncConnection, now: datetime) -> None:
        self._connection = connection
        self._now = now

    async def begin(
        self, scope_id: str, key: str, *, method: str, path: str, request_digest: str, lease: timedelta
    ) -> StoredAnswer | IdempotencyClaim:
        """Claim the key for a request, or return the stored answer of an earlier attempt.

        Takes over a request whose lease has expired, because its process has died.

        Raises:
            RequestInFlight: An earlier attempt is still in progress.
            InvalidRequest: The key was used with another request.
        """
        found = await self._find(scope_id, key)
        claim = IdempotencyClaim(scope_id, key, token_hex(16))
        lease_until = self._now + lease
        if found is None:
            await self._insert(
                claim, lease_until=lease_until, method=method, path=path, request_digest=request_digest
            )
            return claim
        if (found.method, found.path, found.request_digest) != (method, path, request_digest):
            raise InvalidRequest("this idempotency key was used with another request")
        if found.state == "done":
            return StoredAnswer(found.status, found.headers, found.body)
        if found.lease_until is not None and found.lease_until > self._now:
            raise RequestInFlight
        await self._connection.execute(
            sa.update(idempotency)
            .where(idempotency.c.scope_id == scope_id, idempotency.c.key == key)
            .values(claim=claim.token, lease_until=lease_until)
        )
        return claim

    async def renew(self, claim: IdempotencyClaim, lease: timedelta) -> None:
        """Extend the lease of a request in progress."""
        renewed = sa.update(idempotency).where(*_held(claim)).values(lease_until=self._now + lease)
        await self._connection.execute(renewed)

    async def finish(self, claim: IdempotencyClaim, answer: StoredAnswer) -> None:
        """Store the answer; do nothing if another attempt has taken over."""
        await self._connection.execute(
            sa.update(idempotency)
            .where(*_held(claim))
            .values(
                state="done",
                status=answer.status,
                headers=answer.headers,
                body=answer.body,
                claim=None,
                lease_until=None,
            )
        )

    async def release(self, claim: IdempotencyClaim) -> None:
        """Free the key after a failure that the client may retry."""
        await self._connection.execute(sa.delete(idempotency).where(*_held(claim)))

    async def prune(self, before: datetime, *, max_answers: int, max_bytes: int) -> int:
        """Delete old keys, abandoned claims, and answers over the limits.

        Args:
            before: Delete keys claimed before this time. Claims with an expired lease are always deleted.
            max_answers: Number of answers to keep, newest first.
            max_bytes: Total size of the kept bodies in bytes.

        Returns:
            How many keys were deleted.
        """
        # Leases that end later than any can were written before the clock was set back. A living request renews
        # its lease; that of a dead one ends soon.
        await self._connection.execute(
            sa.update(idempotency)
            .where(idempotency.c.lease_until > self._now + _LONGEST_LEASE)
            .values(lease_until=self._now + _LONGEST_LEASE)
        )
        is_abandoned = sa.and_(
            idempotency.c.state == "in_flight",
            sa.or_(idempotency.c.lease_until.is_(None), idempotency.c.lease_until < self._now),
        )
        is_expired = sa.or_(idempotency.c.created_at < before, is_abandoned)
        expired = await self._connection.execute(sa.delete(idempotency).where(is_expired))
        newest_first = (idempotency.c.created_at.desc(), idempotency.c.scope_id, idempotency.c.key)
        ranked = (
            sa.select(
                idempotency.c.scope_id,
                idempotency.c.key,
                sa.func.row_number().over(order_by=newest_first).label("position"),
                sa.func.sum(sa.func.length(idempotency.c.body))
                .over(order_by=newest_first, rows=(None, 0))
                .label("bytes"),
            )
            .where(idempotency.c.state == "done")
            .subquery()
        )
        over_limit = sa.select(ranked.c.scope_id, ranked.c.key).where(
            sa.or_(ranked.c.position > max_answers, ranked.c.bytes > max_bytes)
        )
        surplus = await self._connection.execute(
            sa.delete(idempotency).where(sa.tuple_(idempotency.c.scope_id, idempotency.c.key).in_(over_limit))
        )
        return expired.rowcount + surplus.rowcount

    async def _find(self, scope_id: str, key: str) -> sa.Row[tuple[object, ...]] | None:
        query = sa.select(idempotency).where(idempotency.c.scope_id == scope_id, idempotency.c.key == key)
        return (await self._connection.execute(query)).one_or_none()

    async def _insert(self, claim: IdempotencyClaim, **fields: object) -> None:
        row = sa.insert(idempotency).values(
            scope_id=claim.scope_id,
            key=claim.key,
            claim=claim.token,
            state="in_flight",
            created_at=self._now,
            **fields,
        )
        try:
            await self._connection.execute(row)
        except IntegrityError as error:  # another process inserted its claim after our query
            raise RequestInFlight from error


def _held(claim: IdempotencyClaim) -> tuple[sa.ColumnElement[bool], ...]:
    """Conditions that select the row of a claim unless another attempt has taken it over."""
    return (
        idempotency.c.scope_id == claim.scope_id,
        idempotency.c.key == claim.key,
        idempotency.c.claim == claim.token,
        idempotency.c.state == "in_flight",
    )
