"""Pairs of near codes are listed exactly; groups are stars around their centres."""

import numpy as np
import pytest

from app.index import near_pairs as module
from app.index.near_pairs import near_pairs
from app.index.pairs import TooManyComparisons
from app.index.stars import stars


def columns(codes):
    return np.ascontiguousarray(codes.T)


@pytest.mark.parametrize("room", [1, 1 << 18])
def test_pairs_are_those_of_a_comparison_of_all(monkeypatch, room):
    monkeypatch.setattr(module, "_ROOM", room)
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 1 << 62, (300, 4), np.uint64) & rng.integers(0, 1 << 62, (300, 4), np.uint64)
    codes[150:] = codes[:150] ^ np.uint64(5)
    others = codes ^ np.uint64(1)
    apart = np.bitwise_count(others[:, None] ^ codes[None]).sum(2)
    expected = {(i, j, apart[i, j]) for i, j in np.argwhere(apart <= 85).tolist() if i < j}

    found = near_pairs(columns(codes), columns(others), 85)

    assert len(expected) > 1000
    assert set(zip(found.first, found.second, found.distances, strict=True)) == expected
    assert len(found.first) == len(expected)


def test_too_many_codes_are_refused_with_the_number_of_comparisons():
    with pytest.raises(TooManyComparisons, match="45 comparisons"):
        near_pairs(np.zeros((1, 10), np.uint64), np.zeros((1, 10), np.uint64), 0, max_comparisons=44)


def test_too_many_pairs_are_refused(monkeypatch):
    monkeypatch.setattr(module, "MAX_PAIRS", 40)
    with pytest.raises(TooManyComparisons):
        near_pairs(np.zeros((1, 10), np.uint64), np.zeros((1, 10), np.uint64), 0)


def test_a_caller_bounds_the_pairs_of_several_lists():
    with pytest.raises(TooManyComparisons):
        near_pairs(np.zeros((1, 10), np.uint64), np.zeros((1, 10), np.uint64), 0, max_pairs=44)
    assert (
        len(near_pairs(np.zeros((1, 10), np.uint64), np.zeros((1, 10), np.uint64), 0, max_pairs=45).first) == 45
    )


def grouped(count, pairs, weights=None):
    first, second = np.array(pairs, np.int64).reshape(-1, 2).T
    weights = np.ones(count, np.int64) if weights is None else np.array(weights)
    return sorted(group.tolist() for group in stars(count, first, second, weights))


def test_a_chain_does_not_become_one_group():
    assert grouped(6, [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)]) == [[0, 1, 2], [3, 4]]


def test_the_centre_is_the_node_with_most_pictures_around_it():
    assert grouped(5, [(0, 1), (1, 2), (1, 3), (3, 4)]) == [[0, 1, 2, 3]]
    assert grouped(4, [(0, 1), (1, 2), (2, 3)], weights=[1, 1, 1, 9]) == [[1, 2, 3]]


def test_without_pairs_there_are_no_groups():
    assert grouped(3, []) == []
