"""Principal directions and the rotation of iterative quantisation, in NumPy alone."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

ITQ_ITERATIONS: Final = 50
"""Alternations between codes and rotation; 50 as in the paper."""


def principal_directions(
    centred: NDArray[np.float64], dim: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute the ``dim`` directions of largest variance, largest first.

    Args:
        centred: Shape (n, d), float64; every column has mean zero.
        dim: Number of directions, at most d.

    Returns:
        Variances, shape (dim,), and directions as columns, shape (d, dim). The largest component of each
        direction is positive, so that the result does not depend on the LAPACK in use.
    """
    rows, columns = centred.shape
    if dim < rows < columns:
        # The time follows the rows, of which a small collection has far fewer than an encoder has features.
        _, deviations, transposed = np.linalg.svd(centred, full_matrices=False)
        variances, directions = deviations[:dim] ** 2 / rows, transposed[:dim].T
    else:
        variances, directions = np.linalg.eigh(centred.T @ centred / rows)
        variances, directions = variances[::-1][:dim], directions[:, ::-1][:, :dim]
    largest = np.abs(directions).argmax(axis=0)
    return variances, directions * np.sign(directions[largest, np.arange(directions.shape[1])])


def itq_rotation(
    projected: NDArray[np.float64], seed: int, iterations: int = ITQ_ITERATIONS
) -> NDArray[np.float64]:
    """Compute the rotation R that minimises ‖sign(VR) − VR‖ of projected features V.

    Gong, Lazebnik, Gordo, Perronnin: Iterative Quantization, TPAMI 2013, Eq. 2.

    Args:
        projected: V, shape (n, bits).
        seed: Seed of the first rotation.
        iterations: Alternations between codes and rotation.

    Returns:
        Shape (bits, bits).
    """
    bits = projected.shape[1]
    rotation, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((bits, bits)))
    for _ in range(iterations):
        signs = np.where(projected @ rotation >= 0, 1.0, -1.0)
        # Orthogonal Procrustes problem: the rotation closest to the codes.
        left, _, right = np.linalg.svd(signs.T @ projected)
        rotation = (left @ right).T
    return rotation
