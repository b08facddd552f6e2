"""``lookalike train FOLDER|DATASET``: an artifact fitted to somebody's own pictures."""

from pathlib import Path
from typing import Any

from app.domain.ids import parse_name
from app.encoding.artifact import Artifact
from app.encoding.preprocess import Preprocessing
from app.learning.datasets.caltech101 import split_caltech101
from app.learning.datasets.cifar10 import split_cifar10
from app.learning.datasets.folder import load_pictures
from app.learning.datasets.splits import Split, split_every_tenth
from app.learning.training.build import make_artifacts
from app.learning.training.methods.registry import hash_method
from app.learning.training.recipe import Recipe, Sibling


def named_split(source: str, data_dir: Path) -> Split:
    """The split of a data set by name, or of a folder or zip of ``…/<kind>/<picture>``.

    Args:
        source: ``caltech101``, ``cifar10`` or a path.
        data_dir: Where the data sets are.

    Raises:
        FileNotFoundError: There are no pictures.
    """
    if source == "caltech101":
        return split_caltech101(data_dir)
    if source == "cifar10":
        return split_cifar10(data_dir)
    return split_every_tenth(load_pictures(Path(source)))


def train_artifact(
    name: str,
    split: Split,
    out_dir: Path,
    *,
    method: str = "itq",
    bits: int = 256,
    encoder: str = "efficientnet_lite2",
    input_size: int = 224,
    descriptor_dim: int | None = 192,
    seed: int = 0,
    **settings: Any,
) -> Artifact:
    """Fit a hash method to the gallery of a split and write the artifact, measured on the split's queries.

    Args:
        name: The model's name.
        split: What to learn from and to measure on.
        out_dir: Parent folder of the artifact.
        method: A key of ``METHODS``.
        bits: Code length.
        encoder: A pretrained encoder's name.
        input_size: Side of its input, in pixels.
        descriptor_dim: Bytes of the descriptor, or None.
        seed: Of everything random.
        settings: The method's, where they differ from its defaults.

    Raises:
        InvalidId: ``name`` may not name a model.
        ValueError: There is no such method, setting or encoder.
        ArtifactRefused: What was built does not do what it should.
    """
    sibling = Sibling(
        parse_name(name),
        f"Fitted on {split.gallery.name}: {encoder} features, {bits} bits by {method}.",
        bits,
        hash_method(method, **settings),
    )
    recipe = Recipe((sibling,), encoder, Preprocessing(input_size), descriptor_dim=descriptor_dim, seed=seed)
    (artifact,) = make_artifacts(recipe, split, out_dir)
    return artifact
