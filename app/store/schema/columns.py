"""Column types that return the same values from SQLite and from Postgres."""

from datetime import UTC, datetime
from typing import Final

import sqlalchemy as sa

NUMBER: Final = sa.BigInteger().with_variant(sa.Integer, "sqlite")
"""Change numbers and insertion numbers. In SQLite only an INTEGER primary key is an alias of the row id."""


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """A time in UTC. SQLite stores no time zone: it is removed on writing and added on reading."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Convert a time to UTC; refuse a naive one, whose time zone is unknown.

        Raises:
            ValueError: ``value`` has no time zone.
        """
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("times in the database need a time zone")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Return the time in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)
