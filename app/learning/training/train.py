"""``lookalike train FOLDER|DATASET``: an artifact fitted to somebody's own pictures."""

from pathlib import Path
from typing import Any, Final

from app.domain.ids import parse_name
from app.encoding.artifact import Artifact, load_artifact
from app.encoding.preprocess import Preprocessing
from app.learning.datasets.caltech101 import split_caltech101
from app.learning.datasets.cifar10 import split_cifar10
from app.learning.datasets.folder import UNLABELLED, load_pictures
from app.learning.datasets.splits import Split, split_every_tenth
from app.learning.nn.encoders.paper import PaperEncoder
from app.learning.training.make import make_artifacts
from app.learning.training.make_network import Run, make_network_artifact
from app.learning.training.methods.registry import hash_method
from app.learning.training.networks import NETWORKS
from app.learning.training.recipe import PAPER, Recipe, Sibling

PAPER_EPOCHS: Final = PAPER.epochs


def named_split(source: str, data_dir: Path, unlabelled: str = UNLABELLED) -> Split:
    """The split of a data set by name, or of a folder or zip of ``…/<kind>/<picture>``.

    Args:
        source: ``caltech101``, ``cifar10`` or a path.
        data_dir: Where the data sets are.
        unlabelled: Name of the folder, in a folder or zip, of pictures to learn from whose kind is not known.

    Raises:
        FileNotFoundError: There are no pictures.
        ValueError: Pictures without a label are there, and fewer than two kinds of others.
    """
    if source == "caltech101":
        return split_caltech101(data_dir)
    if source == "cifar10":
        return split_cifar10(data_dir)
    return split_every_tenth(load_pictures(Path(source), unlabelled=unlabelled))


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
    run: Run | None = None,
    **settings: Any,
) -> Artifact:
    """Fit a hash method to the gallery of a split and write the artifact, measured on the split's queries.

    Under torchrun the first rank fits and writes, all train where a network is trained, all return the same.

    Args:
        name: The model's name.
        split: What to learn from and to measure on.
        out_dir: Parent folder of the artifact.
        method: A key of ``METHODS``; of ``NETWORKS`` where ``encoder`` is ``paper``.
        bits: Code length.
        encoder: A pretrained encoder's name, or ``paper`` to train the paper's from these pictures.
        input_size: Side of a pretrained encoder's input, in pixels.
        descriptor_dim: Bytes of the descriptor, or None; the paper's encoder has none.
        seed: Of everything random.
        run: Checkpoint, early stop and ranks of a network's training.
        settings: The method's, where they differ from its defaults; ``epochs`` of a network.

    Raises:
        InvalidId: ``name`` may not name a model.
        ValueError: There is no such method, setting or encoder.
        ArtifactRefused: What was built does not do what it should.
    """
    run = run or Run()
    if encoder == PaperEncoder.name:
        recipe = _network_recipe(parse_name(name), split, method, bits, seed, **settings)
        (artifact,) = make_network_artifact(recipe, split, out_dir, run)
        return artifact
    fitted = hash_method(method, **settings)
    if split.unlabelled is not None and fitted.needs_labels and not fitted.some_labels_do:
        raise ValueError(f"{method} needs labels of all pictures; semi_supervised and few_shot need some")
    sibling = Sibling(
        parse_name(name),
        f"Fitted on {split.gallery.name}: {encoder} features, {bits} bits by {method}.",
        bits,
        fitted,
    )
    recipe = Recipe((sibling,), encoder, Preprocessing(input_size), descriptor_dim=descriptor_dim, seed=seed)
    if run.ranks.is_first:
        make_artifacts(recipe, split, out_dir, watching=run.watching)
    run.ranks.wait()
    return load_artifact(out_dir / sibling.name)


def _network_recipe(
    name: str, split: Split, method: str, bits: int, seed: int, epochs: int = PAPER_EPOCHS
) -> Recipe:
    if method not in NETWORKS:
        raise ValueError(f"the paper's encoder is trained by {' or '.join(NETWORKS)}, not by {method}")
    summary = f"Trained on {split.gallery.name}: the paper's encoder, {bits} bits by {method}."
    return Recipe(
        (Sibling(name, summary, bits, None),),
        PaperEncoder.name,
        Preprocessing(PaperEncoder.input_size),
        network=method,
        quantise=False,
        epochs=epochs,
        seed=seed,
    )
