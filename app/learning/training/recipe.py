"""Recipes of the artifacts that are shipped: all that decides what ``lookalike models build NAME`` makes."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from app.encoding.preprocess import Preprocessing
from app.learning.training.methods.base import HashMethod
from app.learning.training.methods.itq import Itq


@dataclass(frozen=True, slots=True)
class Sibling:
    """One artifact of a recipe: a code length on the common encoder."""

    name: str
    summary: str
    """One sentence for people who choose a model."""
    bits: int
    method: HashMethod | None
    """None where the encoder and its hash layer are trained together."""

    @property
    def output(self) -> str:
        """Name of the graph's output that holds this sibling's y."""
        return f"y{self.bits}"


@dataclass(frozen=True, slots=True)
class Recipe:
    """One encoder file and the artifacts that share it; the first sibling's folder holds it."""

    siblings: tuple[Sibling, ...]
    encoder: str
    preprocessing: Preprocessing
    prepared_dim: int = 256
    """Principal directions that the hash layers see."""
    whiten: float = 0.0
    """See ``Preparation``."""
    descriptor_dim: int | None = None
    """Bytes of the descriptor, or None for models without."""
    descriptor_whiten: float = 0.5
    """Telling pictures apart gains from weak directions more than grouping kinds does."""
    quantise: bool = True
    """int8 convolutions; else float32 throughout, for comparison and for odd hardware."""
    network: str | None = None
    """A key of ``NETWORKS`` where encoder and hash layer are trained together."""
    epochs: int = 0
    """Of the network, where it is trained here."""
    learning_rate: float = 1e-3
    """Adam's, where the encoder is trained here."""
    seed: int = 0

    @property
    def precision(self) -> str:
        """The arithmetic, in words."""
        return "int8 convolutions (7-bit weights), float32 hash layer" if self.quantise else "float32"


LITE2: Final = Recipe(
    siblings=(
        Sibling(
            "lite2-256",
            "General pictures: EfficientNet-Lite2 features, 256 bits by ITQ, no labels used.",
            256,
            Itq(),
        ),
        Sibling(
            "lite2-64",
            "Very large collections: EfficientNet-Lite2 features, 64 bits by ITQ, no labels used.",
            64,
            Itq(),
        ),
    ),
    encoder="efficientnet_lite2",
    preprocessing=Preprocessing(224),
    descriptor_dim=192,
)
LITE0: Final = Recipe(
    siblings=(
        Sibling(
            "lite0-256",
            "General pictures, less work: EfficientNet-Lite0 features, 256 bits by ITQ, no labels used.",
            256,
            Itq(),
        ),
    ),
    encoder="efficientnet_lite0",
    preprocessing=Preprocessing(224),
    descriptor_dim=192,
)

PAPER: Final = Recipe(
    siblings=(
        Sibling(
            "paper-32",
            "The paper's autoencoder, 32 bits, small and quick: finds like colours and shapes, not kinds.",
            32,
            None,
        ),
    ),
    encoder="paper",
    preprocessing=Preprocessing(32),
    network="autoencoder",
    quantise=False,
    epochs=40,
)

RECIPES: Final = MappingProxyType(
    {sibling.name: recipe for recipe in (LITE2, LITE0, PAPER) for sibling in recipe.siblings}
)
