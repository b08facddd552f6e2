"""Run ONNX graphs over pictures, and torch modules over features in memory."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from torch import nn


def open_onnx_graph(
    path: Path, *, threads: int = 1
) -> Callable[[NDArray[np.uint8]], list[NDArray[np.generic]]]:
    """Return a function from a batch of prepared pictures, (n, S, S, 3) uint8, to the graph's outputs."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda batch: session.run(None, {"pixels": batch})


def run_onnx_graph(
    path: Path, batches: Iterable[NDArray[np.uint8]], *, threads: int = 1
) -> list[NDArray[np.generic]]:
    """Compute each output of a graph for all pictures, in order.

    Args:
        path: An ONNX file with the input ``pixels``.
        batches: Prepared pictures, (n, S, S, 3) uint8 each.
        threads: Number of threads.
    """
    run = open_onnx_graph(path, threads=threads)
    outputs = [run(batch) for batch in batches]
    return [np.concatenate(parts) for parts in zip(*outputs, strict=True)]


@torch.no_grad()
def apply_module(module: nn.Module, features: NDArray[np.float32], batch: int = 4096) -> NDArray[np.float32]:
    """Apply a torch module to features in memory, (n, d) to (n, m), batch by batch."""
    parts = [
        module(torch.from_numpy(np.ascontiguousarray(features[i : i + batch]))).numpy()
        for i in range(0, len(features), batch)
    ]
    return np.concatenate(parts)
