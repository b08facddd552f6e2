"""Recipes of the artifacts that are shipped: all that decides what ``lookalike models build NAME`` makes."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from app.encoding.preprocess import Preprocessing
from app.learning.training.methods.base import HashMethod
from app.learning.training.methods.itq import Itq


@dataclass(frozen=True, slots=True)
class Recipe:
    """One artifact."""

    name: str
    summary: str
    """One sentence for people who choose a model."""
    encoder: str
    preprocessing: Preprocessing
    method: HashMethod
    bits: int
    prepared_dim: int
    """Principal directions that the hash layer sees."""
    whiten: float
    """See ``Preparation``."""
    descriptor_dim: int | None
    """Bytes of the descriptor, or None for a model without."""
    seed: int = 0


RECIPES: Final = MappingProxyType(
    {
        recipe.name: recipe
        for recipe in (
            Recipe(
                name="lite0-256",
                summary="General pictures: EfficientNet-Lite0 features, 256 bits by ITQ, no labels used.",
                encoder="efficientnet_lite0",
                preprocessing=Preprocessing(224),
                method=Itq(),
                bits=256,
                prepared_dim=256,
                whiten=0.0,
                descriptor_dim=64,
            ),
        )
    }
)
