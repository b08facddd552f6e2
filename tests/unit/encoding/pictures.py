"""Pictures for the tests of encoding, drawn by formula."""

import numpy as np


def waves(seed: int, height: int = 96, width: int = 128):
    """A smooth picture of coloured waves, (height, width, 3) uint8."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / 32
    channels = [np.sin(x * a + y * b + c) for a, b, c in rng.uniform(0.2, 3, (3, 3))]
    return np.round(127.5 + 127 * np.stack(channels, axis=-1)).astype(np.uint8)
