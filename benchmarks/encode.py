"""Measure the cost of encoding one picture: each shipped model, the same network in float32 and in eager torch.

Times are medians of the process's CPU milliseconds, one thread, one picture at a time, decoding and scaling
left out; the three take turns, so that a busy machine slows all alike. The peers need the extra ``train``.

    python benchmarks/encode.py [--rounds 60] [--models lite2-256 lite0-256 paper-32]
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from app.encoding.artifact import load_artifact
from app.encoding.encoder import OnnxEncoder
from app.images.decoding import decode_in_process
from app.images.sniff import Limits
from app.learning.nn.encoders.base import PictureEncoder
from app.learning.nn.encoders.paper import PaperEncoder
from app.learning.nn.encoders.registry import load_encoder
from app.learning.training.artifacts.onnx_export import export_fp32
from app.learning.training.features.extraction import open_onnx_graph
from tools.sample_gallery import draw_gallery

ROOT = Path(__file__).resolve().parent.parent
WARM_UP = 5


def cpu_ms(work: Callable[[], object]) -> float:
    """CPU milliseconds of one call."""
    begin = time.process_time()
    work()
    return 1000 * (time.process_time() - begin)


def network_of(name: str, side: int) -> PictureEncoder:
    """The torch network from which a model's encoder was exported; its weights do not affect the time."""
    return PaperEncoder().eval() if name == PaperEncoder.name else load_encoder(name, side)


def measure(model: str, rounds: int) -> dict[str, object]:
    """Median CPU milliseconds per picture of a shipped model and its two peers."""
    artifact = load_artifact(ROOT / "model_artifacts" / model)
    encoder = OnnxEncoder(artifact, threads=1)
    pixels = decode_in_process(next(iter(draw_gallery(per_group=1))).jpeg, Limits()).pixels
    batch = encoder.prepare(pixels)[np.newaxis]
    network = network_of(artifact.manifest.training["encoder"], batch.shape[1])
    tensor = torch.from_numpy(batch)
    with tempfile.TemporaryDirectory() as scratch:
        export_fp32(network, batch.shape[1], ["features"], Path(scratch) / "fp32.onnx")
        fp32 = open_onnx_graph(Path(scratch) / "fp32.onnx")
    ways: dict[str, Callable[[], object]] = {
        "shipped": lambda: encoder.encode(batch),
        "fp32": lambda: fp32(batch),
        "torch": lambda: network(tensor),
    }
    times: dict[str, list[float]] = {way: [] for way in ways}
    with torch.no_grad():
        for turn in range(WARM_UP + rounds):
            for way, work in ways.items():
                taken = cpu_ms(work)
                if turn >= WARM_UP:
                    times[way].append(taken)
    medians = {way: float(np.median(taken)) for way, taken in times.items()}
    return {
        "model": model,
        "input": batch.shape[1],
        "encoder_mb": round(artifact.encoder_path.stat().st_size / 1e6, 1),
        "precision": artifact.manifest.training["precision"],
        **{f"{way}_ms": round(ms, 2) for way, ms in medians.items()},
        "shipped_to_fp32": round(medians["shipped"] / medians["fp32"], 2),
        "shipped_to_torch": round(medians["shipped"] / medians["torch"], 2),
    }


def main() -> None:
    """Measure, and print one JSON line per model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--models", nargs="+", default=["lite2-256", "lite0-256", "paper-32"])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for model in arguments.models:
        print(json.dumps(measure(model, arguments.rounds)), flush=True)


if __name__ == "__main__":
    main()
