"""Straight-through reconstruction: the decoder sees only the code, so the code must tell pictures apart."""

from dataclasses import dataclass
from typing import ClassVar

from app.learning.training.methods.neighbour_contrast import NeighbourContrast


@dataclass(frozen=True)
class CodeReconstruction(NeighbourContrast):
    """Neighbour contrast without its contrast: reconstruction, quantisation, balance, decorrelation."""

    name: ClassVar[str] = "code_reconstruction"
    source: ClassVar[str] = (
        "Carreira-Perpiñán, Raziperchikolaei: Hashing with binary autoencoders, CVPR 2015; straight-through "
        "gradients of https://arxiv.org/abs/1308.3432"
    )

    contrast: float = 0.0
