"""Diffusion similarity: codes should be as similar as their pictures are along chains of near neighbours.

Diffusion contrast draws one positive per picture and treats the rest of the batch as negatives, although many
have the same kind. Here every other picture of the batch has a share in the target, so that parts of one kind
that are connected by few neighbours still get nearer codes than different kinds.
"""

from dataclasses import dataclass, replace
from typing import ClassVar, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from app.learning.nn import losses
from app.learning.nn.hash_layer import binarise
from app.learning.training.methods.base import TrainingSet
from app.learning.training.methods.diffusion import count_slow_modes, diffusion_embedding
from app.learning.training.methods.gradient import GradientMethod, Objective
from app.learning.training.methods.neighbours import nearest_neighbours

SLOWEST: Final = 0.6
"""Modes with at least this eigenvalue are kept."""
MIN_MODES: Final = 8
MAX_MODES: Final = 300
MIN_PICTURES_A_MODE: Final = 4
MIN_NEIGHBOURS: Final = 10
MAX_NEIGHBOURS: Final = 30


@dataclass(frozen=True)
class DiffusionSimilarity(GradientMethod):
    """Cross-entropy between similarity in the diffusion embedding and similarity of codes."""

    name: ClassVar[str] = "diffusion_similarity"
    source: ClassVar[str] = (
        "Passalis, Tefas: Learning Deep Representations with Probabilistic Knowledge Transfer, ECCV 2018, "
        "from the embedding of Coifman, Lafon: Diffusion maps, 2006"
    )

    uses_teacher: ClassVar[bool] = True

    epochs: int | None = None
    learning_rate: float = 3e-3
    graph_neighbours: int = 10
    """Number of edges from each picture."""
    modes: int | None = None
    """Dimensions of the embedding, about twice the number of kinds; None for the slow modes of the graph."""
    steps: int = 3
    """Length of the walk; the longer, the less the fast modes count."""
    neighbours: int | None = None
    """Each picture is paired with one of this many nearest ones, so that no batch lacks neighbours; None for
    about the size of a group, 10 to 30."""
    sharpness: float = 2.0
    """The target is proportional to this power of the cosine in the embedding."""
    temperature: float = 0.1
    """Temperature of the softmax over codes; the lower, the more the order among near codes counts."""
    local: float = 0.0
    """Share of the loss that compares codes with the features themselves instead of the embedding, 0 to 1. More
    orders the first results better, less finds more of a kind."""
    local_sharpness: float = 8.0
    """The target of this share is proportional to this power of the cosine of the centred features."""
    quantisation: float = 0.1
    balance: float = 0.1

    def suited_to(self, features: NDArray[np.float32]) -> "DiffusionSimilarity":
        """Return the method with epochs, modes and neighbours that suit the pictures."""
        n, modes = len(features), self.modes
        if modes is None:
            most = max(1, min(MAX_MODES, n // MIN_PICTURES_A_MODE))
            slow = count_slow_modes(features, self.graph_neighbours, SLOWEST, most)
            modes = max(min(MIN_MODES, most), slow)
        neighbours = self.neighbours
        if neighbours is None:
            neighbours = min(MAX_NEIGHBOURS, max(MIN_NEIGHBOURS, n // modes), n - 1)
        suited = super().suited_to(features)
        return replace(self, epochs=suited.epochs, modes=modes, neighbours=neighbours)

    def objective(self, layer: nn.Module, training: TrainingSet, bits: int) -> Objective:  # noqa: ARG002 - the interface
        """The cross-entropy, and two terms that keep bits in use."""
        return _Loss(self, layer, training)


class _Loss(Objective):
    def __init__(self, method: DiffusionSimilarity, layer: nn.Module, training: TrainingSet) -> None:
        super().__init__(layer, training)
        self.method = method
        if method.modes is None or method.neighbours is None:
            raise ValueError("modes and neighbours must be chosen, see suited_to")
        embedded = diffusion_embedding(training.targets, method.graph_neighbours, method.modes, method.steps)
        near = nearest_neighbours(embedded, min(method.neighbours, len(embedded) - 1))
        self.embedded, self.near = torch.from_numpy(embedded), torch.from_numpy(near)
        targets = torch.from_numpy(training.targets)
        centred = targets - targets.mean(dim=0)
        self.directions = nn.functional.normalize(centred, dim=1)

    def forward(self, rows: Tensor, rng: np.random.Generator) -> Tensor:
        """The loss of the pictures in these rows and of one near neighbour of each."""
        m = self.method
        picked = torch.from_numpy(rng.integers(0, self.near.shape[1], len(rows)))
        both = torch.cat([rows, self.near[rows, picked]])
        y, code = binarise(self.layer(self.features[both]))
        targets = losses.shares_of_others(_similarity(self.embedded[both], m.sharpness))
        if m.local:
            directions = losses.shares_of_others(_similarity(self.directions[both], m.local_sharpness))
            # The cross-entropy is linear in its targets.
            targets = targets.lerp_(directions, m.local)
        loss = losses.similarity_cross_entropy(code, targets, m.temperature)
        return loss + m.quantisation * losses.quantisation(y, code) + m.balance * losses.balance(y)


def _similarity(rows: Tensor, sharpness: float) -> Tensor:
    """Return a power of the cosines of unit vectors (n, d), 0 where they are negative, shape (n, n)."""
    return (rows @ rows.T).clamp(min=0) ** sharpness
