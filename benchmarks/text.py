"""Measure searches by words: names of kinds, and broader words, as queries against whole collections.

P@10 and mAP of weighted bits, as the service ranks them, of their signs alone (rank hamming), and of the
encoder's own class probabilities in float32, which no stored code can give. "shares" ranks by the softmax of
the scores of all classes, estimated from the bits, and "reordered" does so with the first 2,000 by weighted
bits. Ties are in random order, with one
seed. A word that is not understood counts as 0. Collections: Caltech-101 (8,677 pictures) and every other test
picture of CIFAR-10 by name (5,000).

    python benchmarks/text.py FOLDER-OF-caltech101.zip-AND-cifar10.zip [--models lite2-256 lite0-256]
                              [--outputs FOLDER-TO-KEEP-ENCODER-OUTPUTS] [--json FILE]
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort

from app.domain.codes import hamming, pack_signs, unpack_signs
from app.encoding.artifact import Artifact, load_artifact, read_class_weights
from app.encoding.preprocess import prepare
from app.index.weighted import BitWeights
from app.learning.datasets.caltech101 import load_caltech101
from app.learning.datasets.folder import load_pictures
from app.learning.datasets.pictures import LabelledPictures
from app.learning.nn.encoders.efficientnet_lite import classifier_weights
from app.words.phrases import plain
from app.words.understanding import NotUnderstood, class_shares, understand, word_weights

ROOT = Path(__file__).resolve().parent.parent
POOLED = "ReduceMean"
WAYS = ("weighted", "hamming", "float", "shares", "reordered")
REORDERED = 2_000
"""Pictures that are ordered again."""
NAMES = {
    "Faces": "face",
    "Faces_easy": "face",
    "Leopards": "leopard",
    "Motorbikes": "motorbike",
    "airplanes": "airplane",
    "car_side": "car",
    "cougar_body": "cougar",
    "cougar_face": "cougar",
    "crocodile_head": "crocodile",
    "flamingo_head": "flamingo",
}
"""Names of kinds whose folder is called otherwise."""
BROAD = {
    "caltech101": {
        "insect": {"ant", "butterfly", "dragonfly", "mayfly"},
        "musical instrument": {
            "accordion",
            "electric guitar",
            "euphonium",
            "grand piano",
            "mandolin",
            "saxophone",
        },
        "bird": {"emu", "flamingo", "ibis", "pigeon", "rooster"},
        "cat": {"leopard", "cougar", "wild cat"},
        "reptile": {"crocodile", "hawksbill", "stegosaurus", "brontosaurus"},
    },
    "cifar10": {
        "dog": {"dog"},
        "bird": {"bird"},
        "vehicle": {"automobile", "truck", "ship", "airplane"},
        "motor vehicle": {"automobile", "truck"},
        "mammal": {"cat", "deer", "dog", "horse"},
    },
}


@dataclass(frozen=True)
class Encoded:
    """A collection under a model."""

    kinds: np.ndarray
    """Name of each picture's kind."""
    y: np.ndarray
    features: np.ndarray
    """Pooled features of the encoder, shape (n, 1280)."""


def collections(data: Path) -> dict[str, LabelledPictures]:
    cifar = load_pictures(data / "cifar10.zip", "cifar10", under="test/")
    return {"caltech101": load_caltech101(data), "cifar10": cifar.subset(np.arange(0, len(cifar), 2))}


def encode(artifact: Artifact, pictures: LabelledPictures) -> Encoded:
    graph = onnx.load(artifact.encoder_path)
    pooled = [node.output[0] for node in graph.graph.node if node.op_type == POOLED][-1]
    graph.graph.output.append(onnx.ValueInfoProto(name=pooled))
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    outputs = [artifact.manifest.y_output, pooled]
    rows = [
        session.run(outputs, {"pixels": prepare(pictures.pixels(i), artifact.preprocessing)[np.newaxis]})
        for i in range(len(pictures))
    ]
    kinds = np.array([pictures.kinds[label] for label in pictures.labels])
    return Encoded(kinds, *(np.concatenate(part) for part in zip(*rows, strict=True)))


def kept(folder: Path | None, name: str, compute: Callable[[], Encoded]) -> Encoded:
    path = None if folder is None else folder / f"{name}.npz"
    if path is not None and path.exists():
        arrays = np.load(path)
        return Encoded(arrays["kinds"], arrays["y"], arrays["features"])
    found = compute()
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, kinds=found.kinds, y=found.y, features=found.features)
    return found


def precision_and_ap(scores: np.ndarray, is_relevant: np.ndarray) -> tuple[float, float]:
    """P@10 and average precision, best score first."""
    shuffled = np.random.default_rng(1).permutation(len(scores))
    ranked = is_relevant[shuffled[np.argsort(-scores[shuffled], kind="stable")]]
    hits = np.cumsum(ranked)
    return float(ranked[:10].mean()), float((hits / np.arange(1, len(ranked) + 1))[ranked].sum() / ranked.sum())


def measure(model: str, name: str, encoded: Encoded, artifact: Artifact) -> list[dict[str, Any]]:
    class_weights = read_class_weights(artifact)
    codes = pack_signs(encoded.y)
    logits = encoded.features @ classifier_weights(artifact.manifest.training["encoder"]).T
    probabilities = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    names = np.array([NAMES.get(kind, plain(kind)) for kind in encoded.kinds])
    queries = {str(word): names == word for word in np.unique(names)}
    broad = {word: np.isin(names, list(kinds)) for word, kinds in BROAD[name].items()}
    estimated = class_shares(unpack_signs(codes, artifact.bits), class_weights)
    rows: dict[str, list[dict[str, Any]]] = {}
    for group, words in (("kinds", queries), ("broad", broad)):
        for word, is_relevant in words.items():
            try:
                found = understand(word)
            except NotUnderstood:
                row = {"word": word} | dict.fromkeys(WAYS, (0.0, 0.0))
                rows.setdefault(f"{group}, not understood", []).append(row)
                continue
            weights, classes = word_weights(found, class_weights), found[0].meaning.classes
            query = BitWeights.of(weights.rows, biases=np.array(weights.biases), softness=weights.softness)
            costs, shares = query.costs_of(codes), estimated[:, list(classes)].sum(axis=1)
            row = {
                "word": word,
                "weighted": precision_and_ap(-costs, is_relevant),
                "hamming": precision_and_ap(-hamming(codes, query.code), is_relevant),
                "float": precision_and_ap(probabilities[:, list(classes)].sum(axis=1), is_relevant),
                "shares": precision_and_ap(shares, is_relevant),
                "reordered": precision_and_ap(reordered(costs, shares), is_relevant),
            }
            relation = found[0].meaning.relation
            rows.setdefault(group if group == "broad" else f"{group}, {relation}", []).append(row)
    rows["kinds, all"] = [row for group, some in rows.items() if group.startswith("kinds") for row in some]
    return [summary(model, name, group, some) for group, some in sorted(rows.items())]


def reordered(costs: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Scores that put the first ``REORDERED`` by cost in the order of shares, before the others by cost."""
    first = np.argsort(costs, kind="stable")[:REORDERED]
    scores = -costs.astype(np.float64) - costs.max() - 1
    scores[first] = shares[first]
    return scores


def summary(model: str, name: str, group: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    means = {way: np.mean([row[way] for row in rows], axis=0).round(4).tolist() for way in WAYS}
    return {
        "model": model,
        "collection": name,
        "words": group,
        "count": len(rows),
        "precision_at_10": means["weighted"][0],
        "map": means["weighted"][1],
        "hamming": means["hamming"],
        "float": means["float"],
        "shares": means["shares"],
        "reordered": means["reordered"],
        "each": [
            {key: np.round(value, 3).tolist() if key != "word" else value for key, value in row.items()}
            for row in rows
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--models", nargs="+", default=["lite2-256", "lite2-64", "lite0-256"])
    parser.add_argument("--outputs", type=Path, help="folder of encoder outputs, read where they are there")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    began, rows = time.monotonic(), []
    for model in options.models:
        artifact = load_artifact(ROOT / "model_artifacts" / model)
        for name, pictures in collections(options.data).items():
            encoded = kept(options.outputs, f"{name}-{model}", lambda p=pictures, a=artifact: encode(a, p))
            for row in measure(model, name, encoded, artifact):
                rows.append(row)
                ways = {
                    "weighted": [row["precision_at_10"], row["map"]],
                    "hamming": row["hamming"],
                    **{way: row[way] for way in ("float", "shares", "reordered")},
                }
                measured = ", ".join(f"{way} {p:.3f}/{ap:.3f}" for way, (p, ap) in ways.items())
                print(f"{model} {name} {row['words']} ({row['count']}): {measured}", flush=True)
    print(f"{time.monotonic() - began:.0f} s")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
