"""Hamming search the slow way: Python integers, every pair, no cleverness."""


def distance(a, b):
    """Number of bits in which two codes, Python integers, differ."""
    return (a ^ b).bit_count()


def as_integer(words):
    """A code's words, least significant first, as one integer."""
    return sum(int(word) << (64 * i) for i, word in enumerate(words))


class Pictures:
    """What an index should hold: numbers to codes, filters to the numbers that they allow."""

    def __init__(self, codes=(), filters=()):
        self.codes = dict(codes)
        self.filters = {key: set(numbers) for key, numbers in dict(filters).items()}

    def copy(self):
        return Pictures(self.codes, self.filters)

    def candidates(self, filter_key=None):
        if filter_key is None:
            return self.codes
        return {number: code for number, code in self.codes.items() if number in self.filters[filter_key]}

    def count_at(self, query, wanted, filter_key=None):
        return sum(distance(code, query) == wanted for code in self.candidates(filter_key).values())


def groups(codes, radius):
    """Connected components of at least two of a mapping of numbers to codes, pairs being within ``radius``.

    Equal codes belong together even under a negative radius.
    """
    group_of = {number: {number} for number in codes}
    for a in codes:
        for b in codes:
            if distance(codes[a], codes[b]) <= max(radius, 0) and group_of[a] is not group_of[b]:
                group_of[a] |= group_of[b]
                for number in group_of[b]:
                    group_of[number] = group_of[a]
    distinct = {id(group): sorted(group) for group in group_of.values() if len(group) > 1}
    return sorted(distinct.values())
