"""Stored hashes can be turned: nearly what the hashes of the turned pictures are."""

import numpy as np
import pytest

from app.encoding.hash_orientations import in_all_orientations, turned_hashes
from app.encoding.perceptual import perceptual_hash
from tests.unit.encoding.test_perceptual import scene


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_hashes_are_near_those_of_turned_pictures(orientation):
    hashes = np.stack([perceptual_hash(scene(seed, 300, 400)).codes for seed in range(10)])

    turned = turned_hashes(hashes[:, 0], orientation)

    apart = np.bitwise_count(turned[:, None] ^ hashes).sum(axis=2).mean(axis=0)
    assert apart.argmin() == orientation - 1
    assert apart[orientation - 1] < 40


def test_a_few_hashes_are_turned_as_many_are():
    hashes = np.random.default_rng(0).integers(0, 2**64, (3, 4), dtype=np.uint64)

    turned = in_all_orientations(hashes)

    expected = np.concatenate([turned_hashes(hashes, number) for number in range(1, 9)])
    np.testing.assert_array_equal(turned, expected)
    assert in_all_orientations(hashes[:0]).shape == (0, 4)


def test_no_hashes_stay_none():
    assert turned_hashes(np.empty((0, 4), np.uint64), 6).shape == (0, 4)
