"""Descriptors in memory: what was put is returned, changed pictures are not, and memory is bounded."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.index.descriptor_cache import DescriptorBudget, DescriptorCache

WIDTH = 4
FIRST_BYTES = 1_024 * (WIDTH + 9)


def numbers_of(*numbers: int) -> NDArray[np.int64]:
    return np.array(numbers, np.int64)


def put(cache: DescriptorCache, *numbers: int, value: int = 1) -> None:
    rows = np.full((len(numbers), WIDTH), value, np.int8)
    cache.put(numbers_of(*numbers), rows, np.ones(len(numbers), np.bool_))


def known(cache: DescriptorCache, *numbers: int) -> list[bool]:
    is_known: list[bool] = cache.get(numbers_of(*numbers), WIDTH)[2].tolist()
    return is_known


def test_it_returns_what_was_put_and_tells_pictures_without_a_descriptor_from_unknown_ones() -> None:
    cache = DescriptorBudget(1_000_000).new_cache()
    rows = np.array([[1, 2, 3, -4], [9, 9, 9, 9]], np.int8)
    cache.put(numbers_of(7, 8), rows, np.array([True, False]))

    found, is_described, is_known = cache.get(numbers_of(8, 6, 7), WIDTH)

    assert is_known.tolist() == [True, False, True]
    assert is_described.tolist() == [False, False, True]
    assert found.tolist() == [[0] * WIDTH, [0] * WIDTH, [1, 2, 3, -4]]


def test_it_grows_until_it_holds_a_whole_collection() -> None:
    cache = DescriptorBudget(1_000_000).new_cache()

    put(cache, *range(5_000, 5_900))
    put(cache, *range(5_900, 9_000))

    assert all(known(cache, *range(5_000, 9_000)))


@given(st.lists(st.lists(st.integers(1, 5_000), min_size=1, unique=True), min_size=1, max_size=6))
def test_within_a_small_budget_it_forgets_pictures_but_never_mixes_them_up(batches: list[list[int]]) -> None:
    cache = DescriptorBudget(2 * FIRST_BYTES).new_cache()
    for batch in batches:
        rows = np.array([[n % 100, n // 100, 0, 0] for n in batch], np.int8)
        cache.put(numbers_of(*batch), rows, np.ones(len(batch), np.bool_))

    every = numbers_of(*{n for batch in batches for n in batch})
    rows, is_described, is_known = cache.get(every, WIDTH)

    assert cache.nbytes <= 2 * FIRST_BYTES
    assert (is_described == is_known).all()
    assert is_known.any()
    for number, row in zip(every[is_known].tolist(), rows[is_known].tolist(), strict=True):
        assert row == [number % 100, number // 100, 0, 0]


def test_a_changed_picture_is_forgotten_and_its_neighbour_in_the_same_slot_is_not() -> None:
    cache = DescriptorBudget(FIRST_BYTES).new_cache()
    put(cache, 1, 2)

    cache.forget(numbers_of(1 + 1_024, 2))

    assert known(cache, 1, 2) == [True, False]


def test_a_reader_learns_what_changed_while_it_read() -> None:
    cache = DescriptorBudget(FIRST_BYTES).new_cache()

    with cache.reading() as changed, cache.reading() as other:
        cache.forget(numbers_of(3))
    cache.forget(numbers_of(4))

    assert changed == other == {3}


def test_a_budget_of_zero_keeps_nothing() -> None:
    cache = DescriptorBudget(0).new_cache()

    put(cache, 1)

    assert known(cache, 1) == [False]
    assert cache.nbytes == 0


def test_a_small_collection_gets_room_from_a_large_one() -> None:
    budget = DescriptorBudget(4 * FIRST_BYTES)
    large, small = budget.new_cache(), budget.new_cache()
    put(large, *range(4_000))
    assert large.nbytes == 4 * FIRST_BYTES

    put(small, 1)

    assert known(small, 1) == [True]
    assert large.nbytes + small.nbytes <= 4 * FIRST_BYTES


def test_a_collection_that_is_dropped_gives_its_memory_back() -> None:
    budget = DescriptorBudget(FIRST_BYTES)
    dropped = budget.new_cache()
    put(dropped, 1)
    kept = budget.new_cache()
    put(kept, 1)
    assert kept.nbytes == 0

    del dropped
    put(kept, 1)

    assert known(kept, 1) == [True]
