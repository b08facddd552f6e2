"""Networks that learn from pictures, not from features: by what each is called, trained and explained."""

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from torch import nn

from app.learning.nn.autoencoder import HashingAutoencoder, Reading
from app.learning.nn.contrastive import ContrastiveNetwork
from app.learning.nn.encoders.paper import PaperEncoder
from app.learning.training.distributed import gather
from app.learning.training.methods.cibhash import CibHash


@dataclass(frozen=True, slots=True)
class Network:
    """One way to train the paper's encoder and a hash layer together."""

    method: str
    """As model.json and the card call it."""
    source: str
    build: Callable[[int], nn.Module]
    """Makes the network for a code length; it has ``encoder``, ``hash_layer`` and ``encode``."""


NETWORKS: Final = MappingProxyType(
    {
        "autoencoder": Network(
            f"autoencoder, {Reading.FROM_CODES.value}",
            "the paper's network, its decoder seeing the codes",
            lambda bits: HashingAutoencoder(bits, Reading.FROM_CODES),
        ),
        "contrast": Network(
            "contrast",
            CibHash.source,
            lambda bits: ContrastiveNetwork(PaperEncoder(), bits, gather=gather),
        ),
    }
)
