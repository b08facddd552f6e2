"""Straight-through reconstruction: the decoder sees only the code, which must distinguish pictures."""

from dataclasses import dataclass
from typing import ClassVar

from app.learning.training.methods.neighbour_contrast import NeighbourContrast


@dataclass(frozen=True)
class CodeReconstruction(NeighbourContrast):
    """Neighbour contrast without the contrastive term: reconstruction, quantisation, balance, decorrelation."""

    name: ClassVar[str] = "code_reconstruction"
    source: ClassVar[str] = (
        "Carreira-Perpiñán, Raziperchikolaei: Hashing with binary autoencoders, CVPR 2015; straight-through "
        "gradients of https://arxiv.org/abs/1308.3432"
    )

    contrast: float = 0.0
