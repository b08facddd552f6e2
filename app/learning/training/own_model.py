"""Train a model on a user's own pictures: the one entry point of the command and of the service."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from app.domain.codes import check_bits
from app.domain.ids import parse_name
from app.encoding.artifact import Artifact, load_artifact
from app.encoding.preprocess import Preprocessing
from app.learning.datasets.splits import Split
from app.learning.nn.encoders.paper import PaperEncoder
from app.learning.nn.encoders.registry import check_encoder
from app.learning.training.end_to_end.networks import NETWORKS
from app.learning.training.end_to_end.pipeline import RunOptions, train_end_to_end_artifact
from app.learning.training.frozen_encoder.pipeline import BuildOptions, build_frozen_encoder_artifacts
from app.learning.training.methods.base import HashMethod
from app.learning.training.methods.registry import METHODS, hash_method
from app.learning.training.recipe import PAPER, PREPARED_DIM, ArtifactSpec, Recipe

DEFAULT_METHOD: Final = "diffusion_similarity"
DEFAULT_SETTINGS: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {DEFAULT_METHOD: MappingProxyType({"local": 0.5})}
)
"""Settings by method that suit one's own pictures better than the defaults, which are those of the research."""
DEFAULT_ENCODER: Final = "efficientnet_lite2"
DEFAULT_BITS: Final = (256, 128, 64, 32, 16)
"""Code lengths by preference: longer codes find more, but fitting them takes more pictures than bits."""
MAX_WORDNET: Final = 2.0
NETWORK_BITS: Final = 64
"""Default code length of a network, whose encoder has 128 features."""


@dataclass(frozen=True, slots=True)
class TrainingRequest:
    """A model to train, with the defaults of the command and of the service."""

    name: str
    method: str | None = None
    """A key of ``METHODS``, or of ``NETWORKS``, which train the paper's encoder too; None for the default."""
    bits: int | None = None
    """Code length; None for 256, or the longest of 128, 64, 32 and 16 that the pictures are enough for."""
    encoder: str | None = None
    """Name of a pretrained encoder; None for ``efficientnet_lite2``, or for the network's own."""
    input_size: int = 224
    """Side of a pretrained encoder's input, in pixels."""
    descriptor_dim: int | None = 192
    """Bytes of the descriptor, or None; networks have none."""
    wordnet: float = 0.0
    """Weight of WordNet features beside the encoder's; see ``Recipe.wordnet``."""
    teachers: tuple[str, ...] = ()
    """Names of further pretrained encoders, for methods with ``uses_teacher``; see ``Recipe.teachers``."""
    epochs: int | None = None
    """None for the default of the method."""
    seed: int = 0
    settings: dict[str, Any] = field(default_factory=dict)
    """Settings of the method that differ from its defaults."""

    @property
    def method_name(self) -> str:
        """The method, or the default one."""
        return self.method or DEFAULT_METHOD


def train_own_model(
    request: TrainingRequest, split: Split, out_dir: Path, run: RunOptions | None = None
) -> Artifact:
    """Train, measure and write one model; called again after a kill, it resumes from the last epoch.

    Under torchrun the first rank fits and writes, all ranks train if a network is trained, and all ranks return
    the artifact.

    Args:
        request: What to train.
        split: What to learn from and to measure on.
        out_dir: Parent folder of the artifact.
        run: Checkpoint, early stop, progress, ranks and cache.

    Raises:
        InvalidId: The name is not allowed.
        ValueError: There is no such method, setting or encoder, the pictures do not suffice for the method, or
            WordNet features do not fit the encoder.
        ArtifactRefused: The written artifact fails its own verification.
    """
    run = run or RunOptions()
    if not 0 <= request.wordnet <= MAX_WORDNET:
        raise ValueError(f"the weight of WordNet features is a number from 0 to {MAX_WORDNET:g}")
    if request.bits is not None:
        check_bits(request.bits)
    if request.method_name in NETWORKS or request.encoder == PaperEncoder.name:
        (artifact,) = train_end_to_end_artifact(_network_recipe(request, split), split, out_dir, run)
        return artifact
    recipe = _frozen_recipe(request, split)
    if run.ranks.is_first:
        checkpoint = run.checkpoint if run.observer is None else run.observer.checkpoint
        options = BuildOptions(checkpoint, run.observer, run.cache, run.shipped_dir, run.in_use)
        build_frozen_encoder_artifacts(recipe, split, out_dir, options)
    run.ranks.wait()
    return load_artifact(out_dir / recipe.specs[0].name)


def default_bits(pictures: int) -> int:
    """The longest default code length for this many pictures.

    Raises:
        ValueError: There are too few pictures for any.
    """
    for bits in DEFAULT_BITS:
        if bits < pictures:
            return bits
    raise ValueError(f"training needs more than {DEFAULT_BITS[-1]} pictures; there are {pictures}")


def _frozen_recipe(request: TrainingRequest, split: Split) -> Recipe:
    method = _method_for(request, split)
    encoder = request.encoder or DEFAULT_ENCODER
    _check_teachers(request, encoder, method)
    bits = request.bits or default_bits(len(split.training_pictures))
    summary = f"Fitted on {split.gallery.name}: {encoder} features, {bits} bits by {request.method_name}."
    return Recipe(
        (ArtifactSpec(parse_name(request.name), summary, bits, method),),
        encoder,
        Preprocessing(request.input_size),
        # Linear methods cannot have more bits than prepared features.
        prepared_dim=max(PREPARED_DIM, bits),
        wordnet=request.wordnet,
        teachers=request.teachers,
        descriptor_dim=request.descriptor_dim,
        seed=request.seed,
    )


def _check_teachers(request: TrainingRequest, encoder: str, method: HashMethod) -> None:
    if request.teachers and not method.uses_teacher:
        able = ", ".join(name for name, known in METHODS.items() if known.uses_teacher)
        raise ValueError(f"{request.method_name} learns from no teacher; {able} does")
    names = (encoder, *request.teachers)
    for name in request.teachers:
        if names.count(name) > 1:
            raise ValueError(f"{name} is named twice; teachers are encoders other than {encoder}")
        check_encoder(name)


def _method_for(request: TrainingRequest, split: Split) -> HashMethod:
    """The hash method with its settings.

    Raises:
        ValueError: There is no such method or setting, or the pictures lack the labels that it needs.
    """
    settings = {**DEFAULT_SETTINGS.get(request.method_name, {}), **request.settings}
    if request.epochs is not None:
        known = METHODS.get(request.method_name)
        if known is not None and "epochs" not in known.__dataclass_fields__:
            raise ValueError(f"{request.method_name} has no epochs: it is solved in one step")
        settings["epochs"] = request.epochs
    method = hash_method(request.method_name, **settings)
    if method.needs_labels and not split.has_kinds:
        needed = "labels of some pictures" if method.partial_labels else "labels of all pictures"
        raise ValueError(
            f"{request.method_name} needs {needed}, at least two kinds of two pictures each; "
            "train these pictures with a method that needs none, such as itq"
        )
    if method.needs_labels and not method.partial_labels and split.unlabelled is not None:
        raise ValueError(
            f"{request.method_name} needs labels of all pictures; semi_supervised and few_shot need only some"
        )
    return method


def _network_recipe(request: TrainingRequest, split: Split) -> Recipe:
    names = " or ".join(NETWORKS)
    if request.method_name not in NETWORKS:
        raise ValueError(f"the paper's encoder is trained by {names}, not by {request.method_name}")
    if request.encoder not in {None, PaperEncoder.name}:
        raise ValueError(f"{request.method_name} trains the paper's encoder, not {request.encoder}")
    if request.wordnet:
        raise ValueError(f"WordNet features need a pretrained encoder; {request.method_name} trains its own")
    if request.teachers:
        raise ValueError(f"teachers need a pretrained encoder; {request.method_name} trains its own")
    if request.settings:
        raise ValueError(f"{request.method_name} has no setting {', '.join(sorted(request.settings))}")
    bits = request.bits or NETWORK_BITS
    summary = f"Trained on {split.gallery.name}: the paper's encoder, {bits} bits by {request.method_name}."
    return Recipe(
        (ArtifactSpec(parse_name(request.name), summary, bits, None),),
        PaperEncoder.name,
        Preprocessing(PaperEncoder.input_size),
        network=request.method_name,
        quantise=False,
        epochs=PAPER.epochs if request.epochs is None else request.epochs,
        seed=request.seed,
    )
