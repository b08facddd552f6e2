"""What a service asks to be trained, from the method's name to the artifact."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.encoding.artifact import Artifact
from app.learning.datasets.splits import Split
from app.learning.nn.encoders.paper import PaperEncoder
from app.learning.training.make_network import Run
from app.learning.training.methods.registry import METHODS
from app.learning.training.networks import NETWORKS
from app.learning.training.train import train_artifact
from app.learning.training.watching import Watching


@dataclass(frozen=True, slots=True)
class Order:
    """A model to be trained."""

    name: str
    method: str = "itq"
    """A key of ``METHODS``, or of ``NETWORKS``, which train the paper's encoder too."""
    bits: int = 64
    encoder: str = "efficientnet_lite2"
    """A pretrained encoder's name; a network trains its own."""
    epochs: int | None = None
    """The method's own number where None."""
    seed: int = 0
    settings: dict[str, Any] = field(default_factory=dict)
    """The method's, where they differ from its defaults."""


def fill(order: Order, split: Split, out_dir: Path, watching: Watching) -> Artifact:
    """Train, measure and write one model; called again after a kill, it goes on from the last epoch.

    Args:
        order: What to train.
        split: What to learn from and to measure on.
        out_dir: Parent folder of the artifact.
        watching: Who is told of each epoch, and where it is kept.

    Raises:
        ValueError: There is no such method, setting or encoder, or there are too few pictures.
        ArtifactRefused: What was built does not do what it should.
    """
    settings = dict(order.settings)
    if order.epochs is not None:
        settings["epochs"] = order.epochs
    method = METHODS.get(order.method)
    if method is not None and order.epochs is not None and "epochs" not in method.__dataclass_fields__:
        raise ValueError(f"{order.method} has no epochs: it is solved in one step")
    if method is not None and method.needs_labels and len(split.gallery.kinds) == len(split.gallery):
        lacking = (
            "hardly any of these pictures has" if method.some_labels_do else "these pictures do not all have"
        )
        raise ValueError(f"{order.method} learns from labels, which {lacking}")
    return train_artifact(
        order.name,
        split,
        out_dir,
        method=order.method,
        bits=order.bits,
        encoder=PaperEncoder.name if order.method in NETWORKS else order.encoder,
        seed=order.seed,
        run=Run(watching=watching),
        **settings,
    )
