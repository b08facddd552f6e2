"""The canary: a picture by which a loaded artifact proves that it still computes the same codes."""

import numpy as np
from numpy.typing import NDArray


def draw_canary(width: int = 160, height: int = 120) -> NDArray[np.uint8]:
    """Draw a landscape with sky, hills and sun from formulas, identical on every machine and free of rights.

    Returns:
        Shape (height, width, 3), uint8.
    """
    y, x = np.mgrid[0:height, 0:width] / np.array([height, width])[:, None, None]
    hills = 0.62 + 0.12 * np.sin(7 * x) + 0.05 * np.sin(23 * x + 1)
    texture = 0.5 + 0.5 * np.sin(90 * x + 40 * np.sin(25 * y))
    sky = np.stack([90 + 120 * y, 150 + 70 * y, np.full_like(y, 235)], axis=-1)
    land = np.stack([60 + 50 * texture, 110 + 70 * texture * (1 - y), 50 + 20 * texture], axis=-1)
    scene = np.where((y > hills)[..., None], land, sky)
    sun = (x - 0.72) ** 2 * (width / height) ** 2 + (y - 0.25) ** 2 < 0.012
    scene[sun] = (255, 236, 150)
    return scene.round().astype(np.uint8)
