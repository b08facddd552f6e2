"""The codes of one generation in the engine at one published version: rankings and counts as SQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.domain.errors import IndexUnavailable
from app.index.matrix import Neighbours, Position
from app.remote.connection import RETRY_AFTER_S, EngineConnection, Rows
from app.remote.fingerprints import fingerprint_sql
from app.remote.journal import Generation
from app.remote.schema import code_columns, code_table

Codes = NDArray[np.uint64]

SENTINEL: Final = -(2**31)
"""Distance of the row that says that the engine still has the generation."""
QUERIES_AT_ONCE: Final = 16
"""Most rankings in one statement."""
RESERVE: Final = 32
"""Rows ranked beyond those that are wanted, in place of rows that turn out to be changed or deleted."""
CONDITION_CHARS_AT_ONCE: Final = 200_000
"""Most characters of conditions in a statement of several rankings: each ranking repeats them, and the engine
takes long to parse long statements."""


@dataclass(frozen=True, slots=True)
class StoredCodes:
    """One version of a generation. Every method waits for the engine and raises ``IndexUnavailable``."""

    connection: EngineConnection
    generation: Generation
    version: int

    def rankings(
        self,
        values: Sequence[str],
        k: int,
        *,
        hidden: Sequence[int],
        condition: str | None,
        radius: int | None,
        after: Position | None = None,
    ) -> list[Neighbours]:
        """Return the first ``k`` pictures by each of several values, ordered by (value, number).

        Args:
            values: SQL expressions of the columns that hold a code.
            k: Number of pictures, at least 1.
            hidden: Numbers of pictures to leave out.
            condition: SQL condition on ``terms`` and ``ranges``, or None.
            radius: Largest value, inclusive.
            after: Place in the ranking after which to start.
        """
        tests = [f"generation = {self.generation.id}"]
        if condition is not None:
            tests.append(f"({condition})")
        if radius is not None:
            tests.append(f"d <= {radius}")
        if after is not None:
            tests.append(f"(d > {after.distance} OR (d = {after.distance} AND number > {after.number}))")
        at_once = max(1, min(QUERIES_AT_ONCE, CONDITION_CHARS_AT_ONCE // sum(map(len, tests))))
        left_out = np.array(hidden, np.int64)
        found: list[Neighbours] = []
        for start in range(0, len(values), at_once):
            found += self._ranked(values[start : start + at_once], k, tests, left_out)
        return found

    def _ranked(
        self, values: Sequence[str], k: int, tests: Sequence[str], hidden: NDArray[np.int64]
    ) -> list[Neighbours]:
        """Rank all rows, and leave out those that are not found at the version from the first of them only.

        A test of each row would take as long as the distances. Where too few are left, more rows are ranked.
        """
        found: dict[int, Neighbours] = {}
        limit = k + RESERVE + k // 4
        while len(found) < len(values):
            open_ones = [i for i in range(len(values)) if i not in found]
            selects = [
                f"SELECT {i} AS q, number AS n, toInt32(d) AS d, toUInt8({self._is_found}) AS ok FROM ("
                f"SELECT number, added, {values[i]} AS d FROM {self._table} "
                f"WHERE {' AND '.join(tests)} ORDER BY d, number LIMIT {limit})"
                for i in open_ones
            ]
            ranked = _by_query(self._checked(selects, more=", toUInt8(0) AS ok"))
            for i in open_ones:
                rows = ranked.get(i, np.empty((0, 3), np.int64))
                left = rows[(rows[:, 2] == 1) & ~np.isin(rows[:, 1], hidden)]
                # Two feeders may have written the same batch; the table merges such rows later.
                _, first = np.unique(left[:, 1], return_index=True)
                left = left[np.sort(first)][:k]
                if len(left) == k or len(rows) < limit:
                    found[i] = Neighbours(left[:, 1].copy(), left[:, 0].astype(np.int32))
            limit *= 4
        return [found[i] for i in range(len(values))]

    def count(self, *, hidden: Sequence[int], condition: str | None = None, value: str | None = None) -> int:
        """Count the pictures that meet the SQL conditions ``condition`` and ``value``."""
        tests = [*self._tests(hidden, condition), *([] if value is None else [value])]
        select = f"SELECT 0 AS q, count() AS n, 0 AS d FROM {self._table} WHERE {' AND '.join(tests)}"
        return int(self._checked([select])[0][1])

    def counts_by(self, value: str, *, hidden: Sequence[int], condition: str | None) -> dict[int, int]:
        """Return the number of pictures at each value."""
        select = (
            f"SELECT 0 AS q, count() AS n, toInt32({value}) AS d FROM {self._table} "
            f"WHERE {' AND '.join(self._tests(hidden, condition))} GROUP BY d"
        )
        return {int(d): int(number) for _, number, d in self._checked([select])}

    def codes_of(
        self, numbers: Sequence[int], *, hidden: Sequence[int], condition: str | None
    ) -> tuple[NDArray[np.int64], Codes]:
        """Return those of ``numbers`` that can be found, ascending, and their codes, shape (m, words)."""
        words = self.generation.words
        if not len(numbers):
            return np.empty(0, np.int64), np.empty((0, words), np.uint64)
        tests = [f"number IN ({_listed(numbers)})", *self._tests(hidden, condition)]
        code = ", ".join(f"toInt64(reinterpretAsInt64({column}))" for column in code_columns(words))
        select = (
            f"SELECT 0 AS q, number AS n, 0 AS d, [{code}] AS code FROM {self._table} "
            f"WHERE {' AND '.join(tests)}"
        )
        rows = self._checked([select], more=", emptyArrayInt64() AS code")
        # Two feeders may have written the same batch.
        found, first = np.unique(np.array([row[1] for row in rows], np.int64), return_index=True)
        codes = np.array([row[3] for row in rows], np.int64).reshape(-1, words).view(np.uint64)
        return found, codes[first]

    def fingerprint(self, first: int, last: int, *, hidden: Sequence[int]) -> tuple[int, int]:
        """Return the number of rows found from ``first`` to ``last``, and the sum of their fingerprints."""
        tests = [f"number BETWEEN {first} AND {last}", *self._tests(hidden, None)]
        select = (
            f"SELECT 0 AS q, sum({fingerprint_sql(self.generation.words)}) AS n, toInt32(count()) AS d "
            f"FROM {self._table} WHERE {' AND '.join(tests)}"
        )
        [(_, total, count)] = self._checked([select])
        return int(count), int(total)

    def fingerprints(self, first: int, last: int, *, hidden: Sequence[int]) -> list[tuple[int, int]]:
        """Return the number and fingerprint of each row found from ``first`` to ``last``, ascending."""
        tests = [f"number BETWEEN {first} AND {last}", *self._tests(hidden, None)]
        fingerprint = fingerprint_sql(self.generation.words)
        select = (
            f"SELECT 0 AS q, number AS n, 0 AS d, {fingerprint} AS f FROM {self._table} "
            f"WHERE {' AND '.join(tests)}"
        )
        rows = self._checked([select], more=", toUInt64(0) AS f")
        return sorted((int(number), int(fingerprint)) for _, number, _, fingerprint in rows)

    @property
    def _table(self) -> str:
        return f"{self.connection.database}.{code_table(self.generation.words)}"

    @property
    def _is_found(self) -> str:
        """Condition of the rows that are found at the version."""
        return f"added <= {self.version} AND ({self._is_last})"

    @property
    def _is_last(self) -> str:
        """Condition of the rows that no change up to the version has replaced."""
        # In this order the pairs are looked up for changed pictures only.
        return (
            f"NOT (number IN (SELECT number {self._gone}) AND "
            f"(number, added) NOT IN (SELECT number, max(change) {self._gone} GROUP BY number))"
        )

    @property
    def _gone(self) -> str:
        """The changed pictures up to the version, as the end of a SELECT."""
        return (
            f"FROM {self.connection.database}.gone WHERE generation = {self.generation.id} "
            f"AND change <= {self.version}"
        )

    def _tests(self, hidden: Sequence[int], condition: str | None) -> list[str]:
        """Return the conditions of rows that are found at the version."""
        # With an empty table of changed pictures the server folds the test to a constant.
        is_found = f"(added <= {self.version} AND ((SELECT count() {self._gone}) = 0 OR ({self._is_last})))"
        tests = [f"generation = {self.generation.id}", is_found]
        if len(hidden):
            tests.append(f"number NOT IN ({_listed(hidden)})")
        if condition is not None:
            tests.append(f"({condition})")
        return tests

    def _checked(self, selects: Sequence[str], more: str = "") -> Rows:
        """Return the rows of several selects of (query, number, distance) if the engine has the generation.

        Otherwise an engine that lost its data would answer that nothing was found.
        """
        journal = f"{self.connection.database}.batches"
        sentinel = (
            f"SELECT * FROM (SELECT 0 AS q, toUInt64(0) AS n, toInt32({SENTINEL}) AS d{more} FROM {journal} "
            f"WHERE generation = {self.generation.id} LIMIT 1)"
        )
        rows = self.connection.query(" UNION ALL ".join([*selects, sentinel]))
        found = [row for row in rows if row[2] != SENTINEL]
        if len(found) == len(rows):
            raise IndexUnavailable(
                "the index engine has lost the collection's codes; they are being written again",
                retry_after_s=RETRY_AFTER_S,
            )
        return found


def distance_sql(query: Codes) -> str:
    """Return the Hamming distance to a code, shape (words,), as SQL."""
    pairs = zip(code_columns(len(query)), query.tolist(), strict=True)
    # Of the smallest unsigned types, which take half the time of the additions of Int32.
    return " + ".join(f"bitCount(bitXor({column}, toUInt64({word})))" for column, word in pairs)


def least_sql(queries: Codes) -> str:
    """Return the distance to the nearest of several codes, shape (q, words), as SQL."""
    distances = [distance_sql(query) for query in queries]
    return distances[0] if len(distances) == 1 else f"least({', '.join(distances)})"


def difference_sql(wanted: Codes, unwanted: Codes) -> str:
    """Return the sum of distances to ``wanted`` minus that to ``unwanted`` as SQL."""
    terms = [f"+ toInt32({distance_sql(query)})" for query in wanted]
    terms += [f"- toInt32({distance_sql(query)})" for query in unwanted]
    return " ".join(["0", *terms])


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(str(int(number)) for number in numbers)


def _by_query(rows: Rows) -> dict[int, NDArray[np.int64]]:
    """Return the (value, number, flag) of each query, ordered by value and number, shape (n, 3)."""
    if not rows:
        return {}
    table = np.array([(q, d, number, ok) for q, number, d, ok in rows], np.int64)
    table = table[np.lexsort((table[:, 3], table[:, 2], table[:, 1], table[:, 0]))]
    queries, starts = np.unique(table[:, 0], return_index=True)
    return {int(q): part[:, 1:] for q, part in zip(queries, np.split(table, starts[1:]), strict=True)}
