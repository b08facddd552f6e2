"""Exact ranking by weighted bits: a query weighs each bit, and a row pays for the bits that contradict it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from app.domain.codes import pack_signs, unpack_signs
from app.index.bitmap import Bitmap
from app.index.matrix import CodeMatrix, Codes, Neighbours
from app.index.scan import SINGLE_THREAD, ScanThreads, merge_neighbours, no_neighbours
from app.index.view import IndexView
from app.index.weighted_kernels import PARTS_PACKED, least_cost

MAX_COST: Final = (1 << 31) - 2
MAX_WEIGHT: Final = 4_095
"""Largest integer weight; the costs of the eight bits of a byte fit into 16 bits."""
MAX_PART_COST: Final = 64_000
"""Largest sum of the weights of one of several parts before rounding, so that costs fit into 16 bits."""
MAX_SOFTNESS: Final = 100_000
"""Largest softness in units of cost, so that a cost and a row fit into 64 bits."""
LEVELS: Final = 1_024
"""Resolution of differences between the parts' costs, in steps."""


@dataclass(frozen=True)
class BitWeights:
    """Integer weights of the bits of a code, in one or several parts.

    The cost of a code under a part is the sum of the weights of the bits that contradict it. The cost under
    several parts is their soft minimum: a code that satisfies one part well costs little. All is computed in
    integers, so costs are exact, equal on every machine, and ties are ties.

    Source: Gordo, Perronnin, Gong, Lazebnik, "Asymmetric Distances for Binary Embeddings", TPAMI 2014.
    """

    signs: NDArray[np.int8]
    """The wanted bits, -1 or 1, shape (parts, bits)."""
    weights: NDArray[np.int16]
    """Cost of each contradicting bit, 0 to ``MAX_WEIGHT``, shape (parts, bits)."""
    step: float
    """Real-valued weight of one unit of cost."""
    offsets: NDArray[np.int64]
    """Added to the cost under each part, shape (parts,)."""
    soft: NDArray[np.int32]
    """What the soft minimum is below the minimum of two costs, by their difference >> ``shift``."""
    shift: int
    unit: float
    """The softness in units of cost."""
    code: NDArray[np.uint64]
    """The code that the query wants most, shape (words,)."""

    @classmethod
    def of(
        cls, y: NDArray[np.float32], *, biases: NDArray[np.float64] | None = None, softness: float = 1.0
    ) -> Self:
        """Round real-valued weights to integers.

        A part scores a code of signs b by ``y · b + bias``; scores are combined by
        ``softness * log(sum(exp(score / softness)))``, and a cost is half of what a score lacks.

        Args:
            y: Weights, shape (bits,) or (parts, bits); the sign is that of the wanted bit, and 0 counts as
                positive.
            biases: Bias of each part, shape (parts,); 0 if None.
            softness: How near to the best score another must be to add to it.

        Raises:
            ValueError: The shapes are others, or there are values that are not finite.
        """
        if y.ndim not in {1, 2} or not y.size or not np.isfinite(y).all():
            raise ValueError("the weights of bits are finite numbers, shape (bits,) or (parts, bits)")
        exact = np.atleast_2d(y).astype(np.float64)
        largest = float(np.abs(exact).max())
        step = largest / MAX_WEIGHT if largest > 0 else 1.0
        if len(exact) > 1:
            step = max(step, softness / MAX_SOFTNESS, float(np.abs(exact).sum(axis=1).max()) / MAX_PART_COST)
        weights = np.minimum(np.rint(np.abs(exact) / step), MAX_WEIGHT).astype(np.int16)
        best = weights.sum(axis=1, dtype=np.int64) + (0.0 if biases is None else biases / step)
        unit = softness / (2 * step)
        # A shift by the most that the soft minimum can subtract keeps costs from being negative.
        spare = unit * np.log(len(exact)) if len(exact) > 1 else 0.0
        offsets = np.rint((best.max() - best) / 2 + spare).astype(np.int64)
        soft, shift = _soft_table(unit)
        code = pack_signs(exact.mean(axis=0, keepdims=True).astype(np.float32))[0]
        return cls(np.where(exact >= 0, 1, -1).astype(np.int8), weights, step, offsets, soft, shift, unit, code)

    @property
    def bits(self) -> int:
        """Code length."""
        return int(self.weights.shape[1])

    @property
    def parts(self) -> int:
        """Number of parts."""
        return len(self.weights)

    @cached_property
    def tables(self) -> NDArray[np.int16]:
        """Cost of each value of each byte of a code, shape (parts, 8 * words, 256)."""
        octets = 8 * len(self.code)
        costs = np.zeros((2, self.parts, octets * 8), np.int16)
        costs[0, :, : self.bits] = np.where(self.signs > 0, self.weights, 0)
        costs[1, :, : self.bits] = np.where(self.signs > 0, 0, self.weights)
        of_bit = costs.reshape(2, self.parts, octets, 8)
        tables = np.zeros((self.parts, octets, 1), np.int16)
        for b in range(8):
            off, on = of_bit[..., b, np.newaxis]
            tables = np.concatenate([tables + off, tables + on], axis=2)
        return tables

    @cached_property
    def packed(self) -> NDArray[np.uint64]:
        """``tables`` with the costs of four parts in each integer, shape (ceil(parts / 4), 8 * words, 256)."""
        tables = self.tables.astype(np.uint64)
        packed = np.zeros((-(-self.parts // PARTS_PACKED), *tables.shape[1:]), np.uint64)
        for p, table in enumerate(tables):
            packed[p // PARTS_PACKED] |= table << np.uint64(16 * (p % PARTS_PACKED))
        return packed

    @property
    def reduction(self) -> int:
        """Most that the soft minimum of all parts is below their minimum.

        Exactly it is ``t log(parts)``; each of the table's values may be off by a quarter of a step and the
        rounding.
        """
        exact = self.unit * np.log(self.parts)
        return int(np.ceil(exact + (self.parts - 1) * ((1 << self.shift) / 4 + 1)))

    def costs_of(self, codes: Codes) -> NDArray[np.int64]:
        """Return the cost of each code, shape (n, words), as shape (n,)."""
        signs = unpack_signs(codes, self.bits)
        parts = (signs != self.signs[:, np.newaxis]) @ self.weights.astype(np.int64)[..., np.newaxis]
        total, *others = parts[..., 0] + self.offsets[:, np.newaxis]  # (parts, n)
        for costs in others:
            levels = np.abs(total - costs) >> self.shift
            reduction = np.where(levels < LEVELS, self.soft[np.minimum(levels, LEVELS - 1)], 0)
            total = np.minimum(total, costs) - reduction
        combined: NDArray[np.int64] = total
        return combined


def _soft_table(unit: float) -> tuple[NDArray[np.int32], int]:
    """Tabulate ``unit * log(1 + exp(-d / unit))`` over differences d of costs until it is nothing.

    Returns:
        Values, shape (LEVELS,), and the binary logarithm of the step between their differences.
    """
    shift, reach = 0, unit * np.log(2 * max(unit, 1.0)) + 1
    while LEVELS << shift < reach:
        shift += 1
    differences = (np.arange(LEVELS) << shift) + (1 << shift) / 2
    soft: NDArray[np.int32] = np.rint(unit * np.log1p(np.exp(-differences / unit))).astype(np.int32)
    return soft, shift


def search_weighted(
    view: IndexView,
    queries: list[BitWeights],
    k: int,
    *,
    max_costs: list[int] | None = None,
    radius: int | None = None,
    filter_key: str | None = None,
) -> list[Neighbours]:
    """Find the ``k`` pictures of least cost for each query, exact over the whole view.

    Args:
        view: The state to search.
        queries: Weights of its code length.
        k: Number of pictures to return for each query.
        max_costs: Largest cost of each query, inclusive.
        radius: Largest Hamming distance from the query's code, inclusive.
        filter_key: Key of a kept filter.

    Returns:
        For each query, pictures ordered by (cost, number); ``distances`` holds the costs.

    Raises:
        ValueError: A query has another code length than the view.
    """
    if any(query.bits != view.bits for query in queries):
        raise ValueError(f"the weights of a query are not those of {view.bits} bits")
    radius = view.bits if radius is None else min(radius, view.bits)
    if k <= 0 or radius < 0 or not queries:
        return [no_neighbours() for _ in queries]
    limits = np.array([MAX_COST] * len(queries) if max_costs is None else max_costs, np.int64)
    scanned = _Queries.of(queries)
    best = [no_neighbours() for _ in queries]
    for matrix in view.parts:
        if not matrix.alive:
            continue
        for j, answer in enumerate(best):
            if len(answer.distances) == k:
                # This matrix may hold ties with smaller numbers, so the limit stays inclusive.
                limits[j] = answer.distances[-1]
        hidden = matrix.hidden(filter_key)
        found = _scan(matrix, scanned, k, limits, radius, hidden, threads=view.threads)
        best = [merge_neighbours(a, b, k) for a, b in zip(best, found, strict=True)]
    return best


class _Queries(NamedTuple):
    """Queries as the kernel reads them."""

    tables: NDArray[np.int16]
    packed: NDArray[np.uint64]
    places: NDArray[np.int64]
    ends: NDArray[np.int64]
    offsets: NDArray[np.int64]
    soft: NDArray[np.int32]
    shifts: NDArray[np.int64]
    reductions: NDArray[np.int64]
    codes: Codes

    @classmethod
    def of(cls, queries: list[BitWeights]) -> Self:
        octets = 8 * len(queries[0].code)
        single = [query.tables for query in queries if query.parts == 1]
        several = [query.packed for query in queries if query.parts > 1]
        places, filled = [], {False: 0, True: 0}
        for query in queries:
            is_packed = query.parts > 1
            places.append(filled[is_packed])
            filled[is_packed] += len(query.packed) if is_packed else 1
        return cls(
            np.concatenate([np.empty((0, octets, 256), np.int16), *single]),
            np.concatenate([np.empty((0, octets, 256), np.uint64), *several]),
            np.array(places),
            np.cumsum([query.parts for query in queries]),
            np.concatenate([query.offsets for query in queries]),
            np.stack([query.soft for query in queries]),
            np.array([query.shift for query in queries]),
            np.array([query.reduction for query in queries]),
            np.stack([query.code for query in queries]),
        )


def _scan(
    matrix: CodeMatrix,
    queries: _Queries,
    k: int,
    limits: NDArray[np.int64],
    radius: int,
    hidden: Bitmap,
    *,
    threads: ScanThreads = SINGLE_THREAD,
) -> list[Neighbours]:
    """Find the rows of least cost in one matrix."""
    many, most, words = len(queries.ends), min(k, matrix.count), len(matrix.columns)

    def one_range(start: int, stop: int) -> list[Neighbours]:
        costs = np.empty((many, most), np.int32)
        rows = np.empty((many, most), np.int64)
        found = np.empty(many, np.int64)
        least_cost(
            matrix.columns,
            start,
            stop,
            matrix.dead,
            hidden,
            queries.tables,
            queries.packed,
            queries.places,
            queries.ends,
            queries.offsets,
            queries.soft,
            queries.shifts,
            queries.reductions,
            most,
            limits,
            queries.codes,
            radius,
            costs,
            rows,
            found,
        )
        return [Neighbours(matrix.numbers[rows[j, :n]], costs[j, :n]) for j, n in enumerate(found.tolist())]

    # A look-up a byte takes about four times as long as a word of the Hamming scan.
    work = 4 * words * (len(queries.tables) + len(queries.packed))
    best, *others = threads.map_ranges(one_range, 0, matrix.count, work)
    for part in others:
        best = [merge_neighbours(a, b, k) for a, b in zip(best, part, strict=True)]
    return best
