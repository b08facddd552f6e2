"""Asymmetric ranking against a sum over bits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.codes import pack_signs
from app.index.asymmetric import asymmetric_order
from app.index.collection_index import CollectionIndex
from tests.unit.index.pictures import delta_of, integers, random_codes


def contradiction(code, y):
    """Sum of |y_j| where bit j of a Python integer is not y's sign."""
    return sum(abs(float(v)) for j, v in enumerate(y) if (code >> j & 1) != (v >= 0))


@settings(max_examples=40, deadline=None)
@given(st.sampled_from([8, 64, 136, 256]), st.integers(0, 2**32))
def test_pictures_come_in_the_oracles_order(bits, seed):
    rng = np.random.default_rng(seed)
    index = CollectionIndex(bits)
    codes = random_codes(rng, 50, bits)
    index.load(np.arange(50), codes, 1)
    index.apply(delta_of(2, bits, {7: 3, 60: 5}, deleted=[8]))
    # Quarters add up exactly, so that sums in any order are equal.
    y = (rng.integers(-8, 9, bits) / 4).astype(np.float32)
    current = {n: c for n, c in enumerate(integers(codes)) if n != 8} | {7: 3, 60: 5}

    numbers, distances = asymmetric_order(index.view(), rng.permutation([*range(50), 60, 999]), y)

    expected = sorted((contradiction(code, y), number) for number, code in current.items())
    assert list(zip(distances.tolist(), numbers.tolist(), strict=True)) == expected


def test_outputs_of_one_magnitude_rank_as_hamming_distances_do():
    rng = np.random.default_rng(1)
    index = CollectionIndex(64)
    index.load(np.arange(300), random_codes(rng, 300, 64), 1)
    y = rng.choice([-1.0, 1.0], 64).astype(np.float32)
    found = index.view().search(pack_signs(y[None])[0], 40)

    numbers, distances = asymmetric_order(index.view(), found.numbers, y)

    assert numbers.tolist() == found.numbers.tolist()
    assert distances.tolist() == found.distances.tolist()


def test_outputs_of_another_length_are_refused():
    with pytest.raises(ValueError, match="64 bits"):
        asymmetric_order(CollectionIndex(64).view(), np.empty(0, np.int64), np.zeros(8, np.float32))
