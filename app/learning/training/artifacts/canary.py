"""The canary: a picture by which a loaded artifact proves that it still computes the same codes."""

from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from app.encoding.artifact import Canary
from app.encoding.preprocess import Preprocessing, prepare


def compute_canary(graph: Path, output: str, how: Preprocessing) -> Canary:
    """Return the canary of a graph, with a margin that bounds what rounding can change.

    The margin is twice the change of y when graph optimisations are off and every convolution runs in float.
    """
    pixels = draw_canary()
    batch = prepare(pixels, how)[np.newaxis]
    levels = (ort.GraphOptimizationLevel.ORT_ENABLE_ALL, ort.GraphOptimizationLevel.ORT_DISABLE_ALL)
    y, unfused = (_run_at(level, graph, output, batch) for level in levels)
    return Canary(pixels, y, margin=max(1e-3, 2 * float(np.abs(y - unfused).max())))


def _run_at(
    level: ort.GraphOptimizationLevel, graph: Path, output: str, batch: NDArray[np.uint8]
) -> NDArray[np.float32]:
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    y: NDArray[np.float32] = session.run([output], {"pixels": batch})[0][0]
    return y


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
