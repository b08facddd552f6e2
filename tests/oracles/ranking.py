"""The order of an answer, the slow way."""

from tests.oracles.hamming import distance


def ranking(codes, query, k, radius=None):
    """The first ``k`` (distance, number) pairs of a mapping of numbers to codes, no farther than ``radius``."""
    pairs = sorted((distance(code, query), number) for number, code in codes.items())
    return [pair for pair in pairs if radius is None or pair[0] <= radius][:k]
