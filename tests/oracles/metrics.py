"""Retrieval metrics the slow way: write the ranking out, and for ties write out every order."""

from fractions import Fraction
from itertools import permutations, product


def average_precision(relevant, depth=None):
    """AP of one ranking, a list of booleans; divided by min(depth, number of relevant)."""
    total = sum(relevant)
    if total == 0:
        return Fraction(0)
    hits, gain = 0, Fraction(0)
    for position, is_relevant in enumerate(relevant[:depth], start=1):
        if is_relevant:
            hits += 1
            gain += Fraction(hits, position)
    return gain / (total if depth is None else min(total, depth))


def precision(relevant, k):
    """Share of relevant pictures among the first k."""
    return Fraction(sum(relevant[:k]), k)


def recall(relevant, k):
    """Share of the relevant pictures that are among the first k."""
    return Fraction(sum(relevant[:k]), sum(relevant)) if any(relevant) else Fraction(0)


def orders(groups):
    """Every ranking that breaks the ties of ``groups``, a list of lists of booleans, nearest first.

    Each permutation counts once, equal-looking ones too, so that a plain mean is the expectation.
    """
    for parts in product(*(permutations(group) for group in groups)):
        yield [is_relevant for part in parts for is_relevant in part]


def over_orders(groups, metric):
    """Mean, best and worst of a metric over every order of equals."""
    values = [metric(order) for order in orders(groups)]
    return sum(values) / len(values), max(values), min(values)
