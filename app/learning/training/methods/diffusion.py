"""Diffusion contrast: positives are neighbours on the manifold of the gallery, not in feature space.

Two pictures of one kind may share no feature and yet be connected by a chain of near neighbours. Random walks
on the nearest-neighbour graph follow such chains. Their slowest modes separate groups that walks rarely leave,
and positives are drawn by distance in those modes.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import eigsh

from app.learning.training.methods.memory import keep_last
from app.learning.training.methods.neighbour_contrast import NeighbourContrast
from app.learning.training.methods.neighbours import nearest_neighbours


@dataclass(frozen=True)
class DiffusionContrast(NeighbourContrast):
    """Neighbour contrast with positives drawn in the slowest modes of a random walk."""

    name: ClassVar[str] = "diffusion_contrast"
    source: ClassVar[str] = (
        "Iscen, Tolias, Avrithis, Chum: Mining on Manifolds, CVPR 2018; Coifman, Lafon: Diffusion maps, 2006"
    )

    graph_neighbours: int = 10
    """Edges from each picture."""
    modes: int = 15
    """Dimensions of the embedding, about the number of kinds."""
    steps: int = 8
    """Length of the walk; the longer, the less the fast modes count."""

    def positives(self, features: NDArray[np.float32]) -> NDArray[np.int64]:
        """The ``neighbours`` nearest rows of each row in the embedding, shape (n, neighbours), int64."""
        embedded = diffusion_embedding(features, self.graph_neighbours, self.modes, self.steps)
        return nearest_neighbours(embedded, min(self.neighbours, len(features) - 1))


@keep_last
def diffusion_embedding(
    features: NDArray[np.float32], graph_neighbours: int, modes: int, steps: int
) -> NDArray[np.float32]:
    """Compute the slowest modes of a random walk on the nearest-neighbour graph.

    Edges are undirected and weighted by the cubed cosine. The walk has the matrix D^-1/2 A D^-1/2, and
    eigenvectors are scaled by eigenvalue^steps, as in diffusion maps.

    Args:
        features: Unit-length features, shape (n, d), float32.
        graph_neighbours: Number of edges from each picture.
        modes: Number of modes, less than n.
        steps: Length of the walk.

    Returns:
        Unit-length rows, shape (n, modes), float32.
    """
    values, vectors = _slowest_modes(features, graph_neighbours, modes)
    embedded = vectors * values.clip(min=0) ** steps
    unit: NDArray[np.float32] = (embedded / np.linalg.norm(embedded, axis=1, keepdims=True).clip(1e-12)).astype(
        np.float32
    )
    return unit


def count_slow_modes(features: NDArray[np.float32], graph_neighbours: int, slowest: float, most: int) -> int:
    """Count the modes of the random walk with an eigenvalue of at least ``slowest``, up to ``most``.

    A walk leaves a group of pictures rarely if its mode has an eigenvalue near 1, so the number grows with the
    number of groups, not with the number of pictures.

    Args:
        features: Unit-length features, shape (n, d), float32.
        graph_neighbours: Number of edges from each picture.
        slowest: Smallest eigenvalue that counts.
        most: Largest number to look for, less than n.
    """
    return int((_slowest_eigenvalues(features, graph_neighbours, most) >= slowest).sum())


@keep_last
def _slowest_eigenvalues(
    features: NDArray[np.float32], graph_neighbours: int, modes: int
) -> NDArray[np.float64]:
    return _slowest_modes(features, graph_neighbours, modes)[0]


def _slowest_modes(
    features: NDArray[np.float32], graph_neighbours: int, modes: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Eigenvalues (modes,) and eigenvectors (n, modes) of the walk, of the largest eigenvalues."""
    n, count = len(features), min(graph_neighbours, len(features) - 1)
    near = nearest_neighbours(features, count)
    weights = np.einsum("id,ikd->ik", features, features[near]).clip(min=0) ** 3
    edges = sparse.csr_matrix((weights.ravel(), (np.repeat(np.arange(n), count), near.ravel())), shape=(n, n))
    edges = edges.maximum(edges.T)
    scale = 1 / np.sqrt(np.asarray(edges.sum(axis=1)).ravel() + 1e-9)
    walk = sparse.diags(scale) @ edges @ sparse.diags(scale)
    start = np.random.default_rng(0).standard_normal(n)
    values, vectors = eigsh(walk, k=min(modes, n - 1), which="LA", v0=start)
    return values, vectors
