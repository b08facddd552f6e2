"""Leases of tasks that one process at a time does for all processes."""

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.store.schema.tables import task_leases


class TaskLeases:
    """Acquires and releases leases."""

    def __init__(self, connection: AsyncConnection, now: datetime) -> None:
        self._connection = connection
        self._now = now

    async def take(self, task: str, owner: str, lease_s: float) -> bool:
        """Take or extend the lease of a task; return False if another owner's has not expired.

        Args:
            task: Name of the task.
            owner: Id of the process.
            lease_s: Seconds after which another process may take it.
        """
        until = self._now + timedelta(seconds=lease_s)
        held = (
            sa.update(task_leases)
            .where(task_leases.c.task == task)
            .where(
                (task_leases.c.owner == owner)
                | (task_leases.c.lease_until < self._now)
                # The clock was set back since.
                | (task_leases.c.lease_until > self._now + timedelta(seconds=2 * lease_s))
            )
            .values(owner=owner, lease_until=until)
        )
        if (await self._connection.execute(held)).rowcount:
            return True
        known = await self._connection.scalar(sa.select(task_leases.c.task).where(task_leases.c.task == task))
        if known is not None:
            return False
        await self._connection.execute(sa.insert(task_leases).values(task=task, owner=owner, lease_until=until))
        return True

    async def give_up(self, task: str, owner: str) -> None:
        """End a lease, so that another process may take it at once."""
        await self._connection.execute(
            sa.delete(task_leases).where(task_leases.c.task == task, task_leases.c.owner == owner)
        )
