"""What every index must answer, computed the slow way over plain dictionaries."""

from collections.abc import Iterable

import numpy as np

from app.domain.codes import words_for
from app.domain.filters import Filter, parse_filter
from app.index.matrix import Position
from tests.oracles.hamming import as_integer, distance

FILTERS = [
    parse_filter(document)
    for document in (
        {"must": [{"key": "brand", "match": "acme"}]},
        {
            "must": [{"key": "year", "range": {"gte": 2, "lt": 5}}],
            "must_not": [{"key": "brand", "match": "acme"}],
        },
        {"must_not": [{"key": "nested.deep", "match": True}]},
        {"must": [{"key": "exact", "match": 2**53 + 1}]},
        {"must": [{"key": "exact", "range": {"gt": 2**53}}]},
        {"must": [{"key": "long", "match": "x" * 300 + "1"}]},
        {"must": [{"key": "tags", "match": "b"}, {"key": "year", "range": {"lte": -1.5}}]},
        {"must": [{"key": "quote's \\ \n", "match": "it's \\ ünïcode\n'; --"}]},
    )
]


def random_metadata(rng: np.random.Generator) -> dict:
    """Metadata that each of ``FILTERS`` allows for some pictures."""
    known = {
        "brand": ["acme", "zeta", "acme "][rng.integers(3)],
        "year": [-2, -1.5, 1, 2, 4.5, 5, 10**30][rng.integers(7)],
        "nested": {"deep": bool(rng.integers(2))},
        "exact": 2**53 + int(rng.integers(3)),
        "long": "x" * 300 + str(rng.integers(2)),
        "tags": [["a", "b"], ["b"], []][rng.integers(3)],
        "quote's \\ \n": ["it's \\ ünïcode\n'; --", "other"][rng.integers(2)],
    }
    return {key: value for key, value in known.items() if rng.random() < 0.8}


def few_codes(rng: np.random.Generator, count: int, bits: int) -> np.ndarray:
    """Codes (count, words) of few distinct values, so that there are many ties; some complements among them."""
    octets = np.zeros((count, words_for(bits) * 8), np.uint8)
    octets[:, : bits // 8] = rng.integers(0, 3, (count, bits // 8)) * (rng.random((count, bits // 8)) < 0.3)
    octets[rng.random(count) < 0.1, : bits // 8] ^= 255
    return octets.view("<u8").astype(np.uint64)


class Pictures:
    """Codes and metadata by insertion number."""

    def __init__(self) -> None:
        self.codes: dict[int, int] = {}
        self.metadata: dict[int, dict] = {}

    def put(self, number: int, code: np.ndarray, metadata: dict) -> None:
        self.codes[number], self.metadata[number] = as_integer(code), metadata

    def delete(self, number: int) -> None:
        del self.codes[number], self.metadata[number]

    def copy(self) -> "Pictures":
        copied = Pictures()
        copied.codes, copied.metadata = dict(self.codes), dict(self.metadata)
        return copied

    def allowed(self, wanted: Filter | None) -> Iterable[int]:
        return [n for n in self.codes if wanted is None or wanted.matches(self.metadata[n])]

    def ranking(self, value, wanted, radius=None, after: Position | None = None) -> list[tuple[int, int]]:
        """All (distance, number), ordered; ``value`` computes a code's distance."""
        pairs = sorted((value(self.codes[n]), n) for n in self.allowed(wanted))
        return [
            pair
            for pair in pairs
            if (radius is None or pair[0] <= radius)
            and (after is None or pair > (after.distance, after.number))
        ]


def pairs_of(found) -> list[tuple[int, int]]:
    return list(zip(found.distances.tolist(), found.numbers.tolist(), strict=True))


def check_view(view, pictures: Pictures, rng: np.random.Generator, *, filters=FILTERS) -> None:
    """Compare every answer of a view with the oracle's."""
    bits = view.bits
    assert view.count == len(pictures.codes)
    queries = few_codes(rng, 3, bits)
    integers = [as_integer(query) for query in queries]
    for wanted in (None, *filters):
        key = None if wanted is None else wanted.key
        if key is not None:
            assert view.has_filter(key)
            assert view.filtered_count(key) == len(list(pictures.allowed(wanted)))
        _check_rankings(view, pictures, queries, integers, wanted, rng)
        counts = np.zeros(bits + 1, np.int64)
        for value, _ in pictures.ranking(lambda code: distance(code, integers[0]), wanted):
            counts[value] += 1
        histogram = view.distance_counts(queries[0], filter_key=key, most=10**6)
        assert histogram.counts.tolist() == counts.tolist()
        assert histogram.measured == histogram.total == counts.sum()
        asked = np.unique(rng.integers(0, max(pictures.codes, default=0) + 3, 20))
        numbers, codes = view.codes_of(asked, filter_key=key)
        allowed = set(pictures.allowed(wanted))
        assert numbers.tolist() == [n for n in asked.tolist() if n in allowed]
        assert [as_integer(code) for code in codes] == [pictures.codes[n] for n in numbers.tolist()]
    for number in (*list(pictures.codes)[:2], 10**12):
        code = view.code_of(number)
        assert (None if code is None else as_integer(code)) == pictures.codes.get(number)


def _check_rankings(view, pictures, queries, integers, wanted, rng) -> None:
    key = None if wanted is None else wanted.key
    rankings = (
        (
            lambda code: distance(code, integers[0]),
            lambda k, **limits: view.search(queries[0], k, filter_key=key, **limits),
            lambda at: view.count_nearest_at(queries[:1], at, filter_key=key),
        ),
        (
            lambda code: min(distance(code, one) for one in integers),
            lambda k, **limits: view.search_nearest_of(queries, k, filter_key=key, **limits),
            lambda at: view.count_nearest_at(queries, at, filter_key=key),
        ),
        (
            lambda code: (
                distance(code, integers[0]) + distance(code, integers[1]) - distance(code, integers[2])
            ),
            lambda k, **limits: view.search_examples(queries[:2], queries[2:], k, filter_key=key, **limits),
            lambda at: view.count_examples_at(queries[:2], queries[2:], at, filter_key=key),
        ),
    )
    for value, search, count_at in rankings:
        everything = pictures.ranking(value, wanted)
        k = int(rng.integers(1, 12))
        assert pairs_of(search(k)) == everything[:k]
        radius = int(rng.integers(-2, view.bits + 2))
        assert pairs_of(search(k, radius=radius)) == pictures.ranking(value, wanted, radius)[:k]
        for rank in rng.integers(0, len(everything), 1).tolist() if everything else ():
            last, number = everything[rank]
            after = Position(last, number, int(rng.integers(0, 2 * rank + 1)))
            assert pairs_of(search(k, after=after)) == everything[rank + 1 : rank + 1 + k]
            expected = pictures.ranking(value, wanted, radius, after)[:k]
            assert pairs_of(search(k, after=after, radius=radius)) == expected
            assert count_at(last) == sum(pair[0] == last for pair in everything)
        assert count_at(view.bits * 3) == 0
    found = view.search_many(queries, 7, filter_key=key)
    for query, one in zip(integers, found, strict=True):
        assert pairs_of(one) == pictures.ranking(lambda code, q=query: distance(code, q), wanted)[:7]
