"""Signs of the principal components: ITQ without its rotation."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from app.learning.nn.hash_layer import LinearHash
from app.learning.rotation import principal_directions
from app.learning.training.methods.base import HashMethod, TrainingSet


@dataclass(frozen=True)
class PcaSign(HashMethod):
    """One bit per principal direction; late bits carry little, which ITQ's rotation corrects."""

    name: ClassVar[str] = "pca_sign"
    source: ClassVar[str] = "Wang, Zhang, Jing, Ma: AnnoSearch, CVPR 2006; PCAH in Gong et al., TPAMI 2013"

    def fit(self, training: TrainingSet, bits: int, seed: int) -> LinearHash:  # noqa: ARG002 - nothing is random
        """Fit the directions; ``bits`` is at most the number of features."""
        features = training.features.astype(np.float64)
        mean = features.mean(axis=0)
        _, directions = principal_directions(features - mean, bits)
        return LinearHash.of(mean, directions)
