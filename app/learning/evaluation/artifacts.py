"""Evaluate an artifact on a split, with the encoder that serves (``lookalike evaluate``)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.encoding.encoder import Encoder
from app.learning.datasets.pictures import LabelledPictures
from app.learning.datasets.splits import Split
from app.learning.evaluation.protocol import UNKNOWN, Protocol
from app.learning.evaluation.retrieval import Labels, evaluate_codes


def evaluate_encoder(encoder: Encoder, split: Split, *, training_seed: int | str = UNKNOWN) -> dict[str, Any]:
    """Compute figures, curves, bit use and the protocol of an encoder on a split.

    Args:
        encoder: For instance an ``OnnxEncoder``.
        split: Gallery and queries.
        training_seed: Training seed of the model, for the protocol.
    """
    queries, gallery = (_encode(encoder, part) for part in (split.queries, split.gallery))
    evaluation = evaluate_codes(queries, gallery, Labels(split.queries.labels, split.gallery.labels))
    return {
        "model": encoder.name,
        "digest": encoder.digest,
        "code_length": encoder.bits,
        **evaluation.as_dict(),
        "protocol": Protocol.of(split, training_seed).as_dict(),
    }


def _encode(encoder: Encoder, pictures: LabelledPictures) -> NDArray[np.float32]:
    """Outputs y of every picture, shape (n, bits), float32."""
    rows = (encoder.encode(encoder.prepare(pictures.pixels(i))[np.newaxis]).y for i in range(len(pictures)))
    return np.concatenate(list(rows))
