"""Networks that are trained on pixels rather than on features, by name."""

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from torch import nn

from app.learning.nn.autoencoder import HashingAutoencoder, LossReading
from app.learning.nn.contrastive import ContrastiveNetwork
from app.learning.nn.encoders.paper import PaperEncoder
from app.learning.training.end_to_end.distributed import gather_rows
from app.learning.training.methods.cibhash import CibHash


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """One way to train the paper's encoder and a hash layer together."""

    method: str
    """Name in model.json and on the card."""
    source: str
    build: Callable[[int], nn.Module]
    """Builds the network for a code length, with ``encoder``, ``hash_layer`` and ``encode``."""


NETWORKS: Final = MappingProxyType(
    {
        "autoencoder": NetworkSpec(
            f"autoencoder, {LossReading.FROM_CODES.value}",
            "the paper's network, its decoder seeing the codes",
            lambda bits: HashingAutoencoder(bits, LossReading.FROM_CODES),
        ),
        "contrast": NetworkSpec(
            "contrast",
            CibHash.source,
            lambda bits: ContrastiveNetwork(PaperEncoder(), bits, gather=gather_rows),
        ),
    }
)
