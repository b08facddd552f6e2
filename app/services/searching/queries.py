"""Queries: one code, one picture in several orientations, examples, or weights of the bits."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.domain.codes import code_from_hex, code_to_hex, hamming, words_for
from app.domain.colours import COLOUR_BYTES
from app.domain.errors import InvalidCursor
from app.domain.perceptual import HASH_BITS
from app.domain.ranks import BY_DESCRIPTOR, Rank
from app.domain.results import QueryInfo, Scale, SearchCursor
from app.domain.variants import QueryVariant, Region
from app.index.collection_index import Neighbours
from app.index.matrix import Position
from app.index.port import View
from app.index.weighted import BitWeights

Codes = NDArray[np.uint64]

EXIF_ORIENTATIONS: Final = {1: (1,), 2: (1, 2), 4: (1, 6, 3, 8), 8: (1, 2, 3, 4, 5, 6, 7, 8)}
"""EXIF orientations to try for each supported number of orientations."""

DIGEST_DIGITS: Final = 16

WEIGHTED_WORK: Final = 10
"""Time of a scan by weighted bits, relative to a Hamming scan."""


@dataclass(frozen=True, slots=True)
class NearestOf:
    """Rank by the distance to the nearest of several codes."""

    queries: Codes
    """Shape (q, words), at least one."""
    variants: tuple[QueryVariant, ...] = ()
    """The variant of the query picture behind each code; empty if there is one code."""

    @property
    def codes(self) -> int:
        """Number of codes that each picture is compared with."""
        return len(self.queries)

    def search(
        self, view: View, k: int, radius: int | None, filter_key: str | None, after: Position | None = None
    ) -> Neighbours:
        """Return the first ``k`` within ``radius`` after a position."""
        if len(self.queries) == 1:
            return view.search(self.queries[0], k, radius=radius, filter_key=filter_key, after=after)
        return view.search_nearest_of(self.queries, k, radius=radius, filter_key=filter_key, after=after)

    def count_at(self, view: View, distance: int, filter_key: str | None) -> int:
        """Count the pictures at exactly this distance."""
        return view.count_nearest_at(self.queries, distance, filter_key=filter_key)

    def distances_to(self, codes: Codes) -> NDArray[np.int64]:
        """Return the distances of codes (n, words), shape (n,)."""
        distances: NDArray[np.int64] = self._all_distances(codes).min(axis=0)
        return distances

    def nearest_query(self, codes: Codes) -> NDArray[np.int64]:
        """Return the index of the query nearest to each code (n, words), the first of ties, shape (n,)."""
        nearest: NDArray[np.int64] = self._all_distances(codes).argmin(axis=0)
        return nearest

    def near_and_far(self) -> tuple[Codes, Codes]:
        """Return the positive and the negative codes, each of shape (m, words)."""
        return self.queries, self.queries[:0]

    def scale(self, bits: int) -> Scale:
        """Return the scale that converts distances to scores."""
        return Scale(0, bits)

    def _all_distances(self, codes: Codes) -> NDArray[np.int64]:
        return np.stack([hamming(codes, query) for query in self.queries])  # (q, n)


@dataclass(frozen=True, slots=True)
class Examples:
    """Rank by the sum of distances to positive codes minus the sum of distances to negative codes."""

    wanted: Codes
    """Shape (p, words), at least one."""
    unwanted: Codes
    """Shape (m, words)."""

    @property
    def codes(self) -> int:
        """Number of codes that each picture is compared with."""
        return len(self.wanted) + len(self.unwanted)

    def search(
        self, view: View, k: int, radius: int | None, filter_key: str | None, after: Position | None = None
    ) -> Neighbours:
        """Return the first ``k`` within ``radius`` after a position."""
        return view.search_examples(
            self.wanted, self.unwanted, k, radius=radius, filter_key=filter_key, after=after
        )

    def count_at(self, view: View, distance: int, filter_key: str | None) -> int:
        """Count the pictures at exactly this distance."""
        return view.count_examples_at(self.wanted, self.unwanted, distance, filter_key=filter_key)

    def distances_to(self, codes: Codes) -> NDArray[np.int64]:
        """Return the distances of codes (n, words), shape (n,)."""
        total = np.zeros(len(codes), np.int64)
        for query in self.wanted:
            total += hamming(codes, query)
        for query in self.unwanted:
            total -= hamming(codes, query)
        return total

    def near_and_far(self) -> tuple[Codes, Codes]:
        """Return the positive and the negative codes, each of shape (m, words)."""
        return self.wanted, self.unwanted

    def scale(self, bits: int) -> Scale:
        """Return the scale that converts distances to scores."""
        return Scale(-len(self.unwanted) * bits, len(self.wanted) * bits)


@dataclass(frozen=True)
class WeightedBits:
    """Rank by the weights of the bits that contradict the query."""

    y: NDArray[np.float32]
    """Hash-layer outputs of a picture, shape (bits,), or weights of a text, shape (parts, bits)."""
    biases: tuple[float, ...] = (0.0,)
    """Bias of each part."""
    softness: float = 1.0
    """As in ``BitWeights.of``."""
    is_of_text: bool = False
    """Whether a cursor holds the text of the query and a digest instead of the weights."""

    @cached_property
    def weights(self) -> BitWeights:
        """The weights, rounded to integers."""
        return BitWeights.of(self.y, biases=np.array(self.biases), softness=self.softness)

    @property
    def codes(self) -> int:
        """Number of codes whose Hamming distances take as long to compute."""
        return WEIGHTED_WORK * self.weights.parts

    def near_and_far(self) -> tuple[Codes, Codes]:
        """Return the code whose bits all agree, and no negative codes."""
        code = self.weights.code[np.newaxis]
        return code, code[:0]

    @property
    def digest(self) -> str:
        """Digest of the integer weights; rankings of equal digests are equal."""
        weights = self.weights
        arrays = (weights.signs * weights.weights, weights.offsets, weights.soft)
        return sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()[:DIGEST_DIGITS]

    def scale(self, bits: int) -> Scale:
        """Return the scale that converts Hamming distances to scores."""
        return Scale(0, bits)


@dataclass(frozen=True, slots=True)
class CopyQuery:
    """What tells which results are copies of a query picture."""

    hashes: Codes
    """Perceptual hashes of the picture, and of its content without borders if tried, shape (h, 4)."""
    descriptors: NDArray[np.int8] | None
    """Their descriptors, shape (d, m)."""
    is_blank: bool
    """Whether the picture is nearly uniform: distances from it mean nothing."""


@dataclass(frozen=True, slots=True)
class Query:
    """A ranking and the facts about its query."""

    ranking: NearestOf | Examples | WeightedBits
    info: QueryInfo
    exclude: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    """Insertion numbers, ascending, to leave out: the query's own pictures."""
    ranked_by: Rank = Rank.HAMMING
    """The ranking to use, never auto."""
    descriptors: NDArray[np.int8] | None = None
    """Descriptor of each code, shape (q, m), for re-ranking."""
    hashes: NDArray[np.uint64] | None = None
    """Perceptual hash of each variant, shape (h, 4), to find copies by; None to find none."""
    turned_hashes: NDArray[np.uint64] | None = None
    """Hashes in other orientations, shape (t, 4), to find turned copies by."""
    matches: tuple[tuple[int, int], ...] = ()
    """Insertion number and hash distance of each perceptual match, which come first."""
    returned: tuple[int, ...] = ()
    """Insertion numbers of the candidates on earlier pages, where values do not tell which these are."""
    colours: NDArray[np.int8] | None = None
    """Colour signature of each code, shape (q, 64); None if colours do not count."""
    copy: CopyQuery | None = None
    """What tells its copies; None if the query is no picture."""

    def keeps(self, numbers: NDArray[np.int64]) -> NDArray[np.bool_] | slice:
        """Return which of ``numbers`` may be results, as an index of them."""
        return ~np.isin(numbers, self.exclude) if len(self.exclude) else slice(None)

    @property
    def by_codes(self) -> NearestOf | Examples:
        """The ranking, if it is by Hamming distances."""
        if isinstance(self.ranking, WeightedBits):
            raise TypeError("a ranking by weighted bits is not one by Hamming distances")
        return self.ranking


def query_of_cursor(cursor: SearchCursor, bits: int) -> Query:
    """Rebuild the query of the previous page, if the cursor has no ``text_digest``.

    Raises:
        InvalidCursor: An older version made the cursor, which does not say where its candidates end.
    """
    wanted, unwanted = (_codes(texts, bits) for texts in (cursor.codes, cursor.unwanted))
    ranked_by = Rank(cursor.ranked_by or cursor.rank)
    if (ranked_by in BY_DESCRIPTOR or cursor.colours is not None) and cursor.boundary is None:
        raise InvalidCursor
    weights = base64.b64decode(cursor.weights or "")
    ranking: NearestOf | Examples | WeightedBits = NearestOf(wanted, _variants(cursor))
    descriptors = None
    if cursor.are_examples:
        ranking = Examples(wanted, unwanted)
    elif ranked_by is Rank.ASYMMETRIC:
        ranking = WeightedBits(np.frombuffer(weights, np.float32))
    elif ranked_by in BY_DESCRIPTOR:
        descriptors = np.frombuffer(weights, np.int8).reshape(len(wanted), -1)
    code = cursor.codes[0] if len(cursor.codes) == 1 else None
    return Query(
        ranking,
        QueryInfo(bits, code, cursor.sha256, text=cursor.text),
        np.array(cursor.exclude, np.int64),
        ranked_by=ranked_by,
        descriptors=descriptors,
        matches=tuple((number, distance) for number, distance in cursor.matches),
        returned=tuple(cursor.returned),
        colours=None if cursor.colours is None else signatures_of([base64.b64decode(cursor.colours)]),
        copy=_copy_of(cursor),
    )


def _variants(cursor: SearchCursor) -> tuple[QueryVariant, ...]:
    if len(cursor.codes) > 1 and not cursor.variants and not cursor.are_examples:
        # Older versions tried orientations only, as many as there are codes.
        return tuple(map(QueryVariant, EXIF_ORIENTATIONS.get(len(cursor.codes), ())))
    return tuple(QueryVariant(int(one[0]), Region(*one[1:])) for one in cursor.variants)


def texts_of(codes: Codes, bits: int) -> list[str]:
    """Return each code as hex, for a cursor."""
    return [code_to_hex(code, bits) for code in codes]


def _copy_of(cursor: SearchCursor) -> CopyQuery | None:
    if cursor.copy_hashes is None:
        return None
    hashes = np.frombuffer(base64.b64decode(cursor.copy_hashes), np.uint64).reshape(-1, words_for(HASH_BITS))
    octets = [base64.b64decode(one) for one in cursor.copy_descriptors]
    descriptors = np.stack([np.frombuffer(one, np.int8) for one in octets]) if octets else None
    return CopyQuery(hashes, descriptors, cursor.is_blank)


def encoded_hashes(query: Query) -> str | None:
    """Return the hashes that tell copies of a query as base64, for a cursor; None if it is no picture."""
    return None if query.copy is None else base64.b64encode(query.copy.hashes.tobytes()).decode()


def encoded_descriptors(query: Query) -> list[str]:
    """Return the descriptors that tell copies of a query, each as base64, for a cursor."""
    if query.copy is None or query.copy.descriptors is None:
        return []
    return [base64.b64encode(one.tobytes()).decode() for one in query.copy.descriptors]


def signatures_of(octets: Sequence[bytes]) -> NDArray[np.int8]:
    """Return colour signatures as an array, shape (q, 64)."""
    return np.frombuffer(b"".join(octets), np.int8).reshape(-1, COLOUR_BYTES)


def encoded_colours(query: Query) -> str | None:
    """Return the colour signatures of a query as base64, for a cursor; None if colours do not count."""
    return None if query.colours is None else base64.b64encode(query.colours.tobytes()).decode()


def encoded_weights(query: Query) -> str | None:
    """Return the query vectors of an asymmetric or descriptor ranking as base64, for a cursor.

    None if it follows from the text.
    """
    weights: NDArray[np.int8] | NDArray[np.float32] | None = query.descriptors
    if isinstance(query.ranking, WeightedBits):
        weights = None if query.ranking.is_of_text else query.ranking.y
    return None if weights is None else base64.b64encode(weights.tobytes()).decode()


def _codes(texts: list[str], bits: int) -> Codes:
    codes = [code_from_hex(text, bits) for text in texts]
    return np.stack(codes) if codes else np.empty((0, words_for(bits)), np.uint64)
