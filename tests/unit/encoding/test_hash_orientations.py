"""Stored hashes can be turned: nearly what the hashes of the turned pictures are."""

import numpy as np
import pytest

from app.encoding.hash_orientations import turned_hashes
from app.encoding.perceptual import perceptual_hash
from tests.unit.encoding.test_perceptual import scene


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_hashes_are_near_those_of_turned_pictures(orientation):
    hashes = np.stack([perceptual_hash(scene(seed, 300, 400)).codes for seed in range(10)])

    turned = turned_hashes(hashes[:, 0], orientation)

    apart = np.bitwise_count(turned[:, None] ^ hashes).sum(axis=2).mean(axis=0)
    assert apart.argmin() == orientation - 1
    assert apart[orientation - 1] < 40


def test_no_hashes_stay_none():
    assert turned_hashes(np.empty((0, 4), np.uint64), 6).shape == (0, 4)
