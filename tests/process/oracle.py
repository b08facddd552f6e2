"""What the service must answer, computed offline from the same files in the plainest way."""

from pathlib import Path

import numpy as np

from app.domain.codes import hamming, pack_signs
from app.encoding.artifact import load_artifact
from app.encoding.encoder import OnnxEncoder
from app.images.decode import decode_in_process
from app.images.sniff import Limits

ARTIFACTS = Path(__file__).resolve().parents[2] / "model_artifacts"


class Oracle:
    """Encodes by itself and ranks by sorting whole distance arrays."""

    def __init__(self, model: str) -> None:
        self.encoder = OnnxEncoder(load_artifact(ARTIFACTS / model), threads=1)

    def y(self, contents: list[bytes]) -> np.ndarray:
        prepared = [self.encoder.prepare(decode_in_process(c, Limits()).pixels) for c in contents]
        return np.concatenate([self.encoder.encode(p[None]).y for p in prepared])

    def codes(self, contents: list[bytes]) -> np.ndarray:
        return pack_signs(self.y(contents))


def ranking(codes: np.ndarray, query: np.ndarray, k: int) -> list[tuple[int, int]]:
    """(position, distance) of the nearest ``k``, equal distances in the order of ``codes``."""
    distances = hamming(codes, query)
    order = np.argsort(distances, kind="stable")[:k]
    return [(int(i), int(distances[i])) for i in order]
