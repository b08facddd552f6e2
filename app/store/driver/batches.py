"""Send long lists to SQL in bounded batches, and read long columns as one aggregated value.

A row costs the drivers about a microsecond, mostly in Python. Aggregating a column of thousands of rows into
one value costs the database a quarter of that, and numpy parses the value at once.
"""

from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

MAX_PARAMETERS: Final = 4_096
"""Parameters in one statement; SQLite allows 32,766, Postgres 65,535."""

T = TypeVar("T")


def in_batches(values: Sequence[T], size: int = MAX_PARAMETERS) -> Iterator[Sequence[T]]:
    """Split a sequence into batches of at most ``size``."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


def joined_numbers(number: sa.ColumnElement[int], dialect: sa.Dialect) -> sa.ColumnElement[bytes | None]:
    """Aggregate a column of numbers into one value for ``split_numbers``; NULL if there are no rows."""
    if dialect.name == "postgresql":
        empty = sa.literal(b"", sa.LargeBinary)
        return sa.func.string_agg(sa.func.int8send(number), empty, type_=sa.LargeBinary)
    return sa.cast(sa.func.group_concat(number), sa.LargeBinary)


def split_numbers(joined: bytes | None, dialect: sa.Dialect) -> NDArray[np.int64]:
    """Inverse of ``joined_numbers``: int64, shape (n,), in row order."""
    if not joined:
        return np.empty(0, dtype=np.int64)
    if dialect.name == "postgresql":
        return np.frombuffer(joined, dtype=">i8").astype(np.int64)
    return np.fromstring(joined.decode("ascii"), dtype=np.int64, sep=",")


def joined_bytes(column: sa.ColumnElement[bytes], dialect: sa.Dialect) -> sa.ColumnElement[bytes]:
    """Concatenate a column of bytes into one value; NULL if there are no rows.

    SQLite's ``group_concat`` copies the bytes of a BLOB unchanged, zeros included; the cast keeps the driver
    from decoding the result as text.
    """
    if dialect.name == "postgresql":
        empty = sa.literal(b"", sa.LargeBinary)
        return sa.func.string_agg(column, empty, type_=sa.LargeBinary)
    return sa.cast(sa.func.group_concat(column, ""), sa.LargeBinary)
