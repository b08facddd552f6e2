"""What pictures are ranked by: one code, one picture in several orientations, or examples."""

import base64
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from app.domain.codes import code_from_hex, code_to_hex, hamming, words_for
from app.domain.results import QueryInfo, Rank, Scale, SearchCursor
from app.index.collection_index import IndexView, Neighbours
from app.index.multi_query import count_examples_at, count_nearest_at, search_examples, search_nearest_of

Codes = NDArray[np.uint64]

EXIF_ORIENTATIONS: Final = {1: (1,), 2: (1, 2), 4: (1, 6, 3, 8), 8: (1, 2, 3, 4, 5, 6, 7, 8)}
"""Which orientations are tried when so many are asked for, as EXIF numbers them: as it is, mirrored, turned."""


class Ranking(Protocol):
    """An order of pictures by integer distances, equal ones by insertion number."""

    @property
    def codes(self) -> int:
        """How many codes each picture is compared with."""

    def search(self, view: IndexView, k: int, radius: int | None, filter_key: str | None) -> Neighbours:
        """The first ``k``, none farther than ``radius``."""

    def count_at(self, view: IndexView, distance: int, filter_key: str | None) -> int:
        """How many pictures lie at exactly that distance."""

    def distances_to(self, codes: Codes) -> NDArray[np.int64]:
        """The distance of each of some codes (n, words), shape (n,)."""

    def near_and_far(self) -> tuple[Codes, Codes]:
        """The codes to be near to, and those to be far from, each of shape (m, words)."""

    def scale(self, bits: int) -> Scale:
        """How its distances become scores."""


@dataclass(frozen=True, slots=True)
class NearestOf:
    """A picture is as near as it is to the nearest of the query's codes."""

    queries: Codes
    """Shape (q, words), at least one."""

    @property
    def codes(self) -> int:
        """How many codes each picture is compared with."""
        return len(self.queries)

    def search(self, view: IndexView, k: int, radius: int | None, filter_key: str | None) -> Neighbours:
        """The first ``k``, none farther than ``radius``."""
        if len(self.queries) == 1:
            return view.search(self.queries[0], k, radius=radius, filter_key=filter_key)
        return search_nearest_of(view, self.queries, k, radius=radius, filter_key=filter_key)

    def count_at(self, view: IndexView, distance: int, filter_key: str | None) -> int:
        """How many pictures lie at exactly that distance."""
        return count_nearest_at(view, self.queries, distance, filter_key=filter_key)

    def distances_to(self, codes: Codes) -> NDArray[np.int64]:
        """The distance of each of some codes (n, words), shape (n,)."""
        distances: NDArray[np.int64] = self._all_distances(codes).min(axis=0)
        return distances

    def nearest_query(self, codes: Codes) -> NDArray[np.int64]:
        """Which of the queries each of some codes (n, words) is nearest to, the first of equals, shape (n,)."""
        nearest: NDArray[np.int64] = self._all_distances(codes).argmin(axis=0)
        return nearest

    def near_and_far(self) -> tuple[Codes, Codes]:
        """The codes to be near to, and those to be far from, each of shape (m, words)."""
        return self.queries, self.queries[:0]

    def scale(self, bits: int) -> Scale:
        """How its distances become scores."""
        return Scale(0, bits)

    def _all_distances(self, codes: Codes) -> NDArray[np.int64]:
        return np.stack([hamming(codes, query) for query in self.queries])  # (q, n)


@dataclass(frozen=True, slots=True)
class Examples:
    """A picture's distance is the sum of those to the wanted codes less the sum of those to the unwanted."""

    wanted: Codes
    """Shape (p, words), at least one."""
    unwanted: Codes
    """Shape (m, words)."""

    @property
    def codes(self) -> int:
        """How many codes each picture is compared with."""
        return len(self.wanted) + len(self.unwanted)

    def search(self, view: IndexView, k: int, radius: int | None, filter_key: str | None) -> Neighbours:
        """The first ``k``, none farther than ``radius``."""
        return search_examples(view, self.wanted, self.unwanted, k, limit=radius, filter_key=filter_key)

    def count_at(self, view: IndexView, distance: int, filter_key: str | None) -> int:
        """How many pictures lie at exactly that distance."""
        return count_examples_at(view, self.wanted, self.unwanted, distance, filter_key=filter_key)

    def distances_to(self, codes: Codes) -> NDArray[np.int64]:
        """The distance of each of some codes (n, words), shape (n,)."""
        total = np.zeros(len(codes), np.int64)
        for query in self.wanted:
            total += hamming(codes, query)
        for query in self.unwanted:
            total -= hamming(codes, query)
        return total

    def near_and_far(self) -> tuple[Codes, Codes]:
        """The codes to be near to, and those to be far from, each of shape (m, words)."""
        return self.wanted, self.unwanted

    def scale(self, bits: int) -> Scale:
        """How its distances become scores."""
        return Scale(-len(self.unwanted) * bits, len(self.wanted) * bits)


@dataclass(frozen=True, slots=True)
class Query:
    """What to rank by, and where it came from."""

    ranking: NearestOf | Examples
    info: QueryInfo
    exclude: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    """Insertion numbers, ascending, of the pictures that are themselves the query and are to be left out."""
    y: NDArray[np.float32] | None = None
    """Hash-layer outputs, shape (bits,), where candidates are re-ranked by them."""
    descriptor: NDArray[np.int8] | None = None
    """Shape (m,), where candidates are re-ranked by it."""


def query_of_cursor(cursor: SearchCursor, bits: int) -> Query:
    """The query that the page before had."""
    wanted, unwanted = (_codes(texts, bits) for texts in (cursor.codes, cursor.unwanted))
    weights = base64.b64decode(cursor.weights or "")
    return Query(
        Examples(wanted, unwanted) if cursor.are_examples else NearestOf(wanted),
        QueryInfo(bits, cursor.codes[0] if len(cursor.codes) == 1 else None, cursor.sha256),
        np.array(cursor.exclude, np.int64),
        y=np.frombuffer(weights, np.float32) if cursor.rank == Rank.ASYMMETRIC else None,
        descriptor=np.frombuffer(weights, np.int8) if cursor.rank == Rank.DESCRIPTOR else None,
    )


def texts_of(codes: Codes, bits: int) -> list[str]:
    """Hex of each code, as a cursor carries them."""
    return [code_to_hex(code, bits) for code in codes]


def sealed_weights(query: Query) -> str | None:
    """What candidates are re-ranked by, as a cursor carries it."""
    weights = query.y if query.descriptor is None else query.descriptor
    return None if weights is None else base64.b64encode(weights.tobytes()).decode()


def _codes(texts: list[str], bits: int) -> Codes:
    codes = [code_from_hex(text, bits) for text in texts]
    return np.stack(codes) if codes else np.empty((0, words_for(bits)), np.uint64)
