"""Recipes: every setting that determines an artifact, and the recipes of the shipped models."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from app.encoding.preprocess import Preprocessing
from app.learning.training.methods.base import HashMethod
from app.learning.training.methods.itq import Itq

PREPARED_DIM: Final = 256


@dataclass(frozen=True, slots=True)
class ArtifactSpec:
    """One artifact of a recipe: a name and a code length on the recipe's encoder."""

    name: str
    summary: str
    """One sentence that helps users choose a model."""
    bits: int
    method: HashMethod | None
    """How the hash layer is fitted; None when it is trained together with the encoder."""

    @property
    def output(self) -> str:
        """Name of the graph output that holds this artifact's y."""
        return f"y{self.bits}"


@dataclass(frozen=True, slots=True)
class Recipe:
    """One encoder and the artifacts that share its file, which is in the first artifact's folder."""

    specs: tuple[ArtifactSpec, ...]
    encoder: str
    preprocessing: Preprocessing
    prepared_dim: int = PREPARED_DIM
    """Number of principal components passed to the hash layers."""
    whiten: float = 0.0
    """Whitening exponent of the hash layers' input; see ``FeaturePreparation``."""
    wordnet: float = 0.0
    """Weight of WordNet features beside the encoder's in the hash layers' input; 0 leaves them out."""
    teachers: tuple[str, ...] = ()
    """Encoders that help to say which training pictures are similar; the model does not contain them."""
    descriptor_dim: int | None = None
    """Bytes of the descriptor; None for a model without one."""
    descriptor_whiten: float = 0.5
    """Low-variance directions help to tell pictures apart more than to group them by kind."""
    quantise: bool = True
    """Whether convolutions run in int8; otherwise the whole model is float32."""
    network: str | None = None
    """A key of ``NETWORKS`` when encoder and hash layer are trained together."""
    epochs: int = 0
    """Training epochs of the network."""
    learning_rate: float = 1e-3
    """Adam's learning rate when the encoder is trained."""
    seed: int = 0

    @property
    def precision(self) -> str:
        """The arithmetic of the model, for people."""
        return "int8 convolutions (7-bit weights), float32 hash layer" if self.quantise else "float32"


LITE2: Final = Recipe(
    specs=(
        ArtifactSpec(
            "lite2-256",
            "General pictures: EfficientNet-Lite2 features, 256 bits by ITQ, no labels used.",
            256,
            Itq(),
        ),
        ArtifactSpec(
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
    specs=(
        ArtifactSpec(
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
    specs=(
        ArtifactSpec(
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
    {spec.name: recipe for recipe in (LITE2, LITE0, PAPER) for spec in recipe.specs}
)
