"""Settings of a run of the paper's experiments."""

from dataclasses import dataclass

from app.learning.nn.autoencoder import LossReading


@dataclass(frozen=True, slots=True)
class PaperSettings:
    """Epochs, seeds and encoders; the paper uses 100 epochs."""

    epochs: int = 100
    seeds: tuple[int, ...] = (0,)
    collections: tuple[str, ...] = ("cifar10", "caltech101")
    bits: tuple[int, ...] = (16, 32, 64, 128, 256)
    encoder: str = "efficientnet_lite2"
    input_sizes: tuple[tuple[str, int], ...] = (("cifar10", 160), ("caltech101", 224))
    """Input side of the pretrained encoder by collection; pictures of 32 pixels gain nothing beyond 160."""
    method_epochs: int = 20
    """Epochs of hash methods on features."""
    quantisation_weight: float = 0.1
    """λ, not given in the paper; it weighs sums over pixels and bits."""
    readings: tuple[LossReading, ...] = tuple(LossReading)
    """Readings of the paper's loss to train."""
    label_draws: int = 10
    """Draws of labelled pictures that results with few labels are averaged over."""

    def input_size(self, collection: str) -> int:
        """Side of the pretrained encoder's input, in pixels."""
        return dict(self.input_sizes)[collection]
