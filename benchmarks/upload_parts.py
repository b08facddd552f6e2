"""Measure what the serving process does with a decoded upload: CPU milliseconds of each step, in one thread.

    OPENBLAS_NUM_THREADS=1 python benchmarks/upload_parts.py [--data caltech101.zip] [--pictures 40]

Each figure is the least of three rounds, divided by the number of pictures. Serving processes use one thread of
OpenBLAS, so the variable makes the hash comparable.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from app.domain.variants import WHOLE
from app.encoding.artifact import load_artifact
from app.encoding.colours import colour_signature
from app.encoding.encoder import OnnxEncoder
from app.encoding.perceptual import perceptual_hash
from app.images.decode import decode_in_process
from app.images.regions import content_of
from app.images.sniff import Limits
from benchmarks.service import ROOT, load_pictures

ROUNDS = 3


def cpu_ms(step: Callable[[Any], object], inputs: Sequence[Any]) -> float:
    """Return the CPU milliseconds of ``step`` for one input."""
    step(inputs[0])
    rounds = []
    for _ in range(ROUNDS):
        start = time.thread_time()
        for one in inputs:
            step(one)
        rounds.append((time.thread_time() - start) * 1e3 / len(inputs))
    return min(rounds)


def main() -> None:
    """Parse arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="zip of JPEG pictures; the sample gallery without it")
    parser.add_argument("--model", type=Path, default=ROOT / "model_artifacts" / "lite2-256")
    parser.add_argument("--pictures", type=int, default=40)
    arguments = parser.parse_args()
    encoder = OnnxEncoder(load_artifact(arguments.model), threads=1)
    files = load_pictures(arguments.data, arguments.pictures)
    decoded = [decode_in_process(content, Limits()).pixels for content in files]
    prepared = [encoder.prepare(pixels)[np.newaxis] for pixels in decoded]
    pairs = [np.concatenate([one, one]) for one in prepared]
    print(f"with an even border: {sum(content_of(pixels) != WHOLE for pixels in decoded)} of {len(decoded)}")
    steps: list[tuple[str, Callable[[Any], object], Sequence[Any]]] = [
        ("look for borders", content_of, decoded),
        ("scale", encoder.prepare, decoded),
        ("perceptual hash", perceptual_hash, decoded),
        ("colour signature", colour_signature, decoded),
        ("encode", encoder.encode, prepared),
        ("encode two variants", encoder.encode, pairs),
    ]
    for name, step, inputs in steps:
        print(f"{name:20} {cpu_ms(step, inputs):7.3f} ms", flush=True)


if __name__ == "__main__":
    main()
