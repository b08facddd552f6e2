"""Add class_weights.npy to shipped models, from their weights and the classifier of their encoder's package.

The model's digest stays the same, and so do its codes. ``lookalike models build`` writes the same file.

    python -m tools.make_class_weights MODEL ... [--figures FILE-OF-benchmarks/text.py]
"""

import argparse
import json
from pathlib import Path
from typing import Any, Final

from safetensors.numpy import load_file

from app.encoding.artifact import WEIGHTS, read_manifest, write_class_weights
from app.encoding.manifest import ArtifactManifest
from app.learning.nn.encoders.efficientnet_lite import classifier_weights
from app.learning.training.artifacts.card import model_card
from app.learning.training.artifacts.class_weights import class_weights

ROOT: Final = Path(__file__).resolve().parent.parent
SHOWN: Final = ("collection", "words", "count", "precision_at_10", "map", "hamming", "float")


def add(folder: Path, figures: list[dict[str, Any]]) -> None:
    """Write the file, its figures and the card of one model."""
    manifest, tensors = read_manifest(folder), load_file(folder / WEIGHTS)
    classifier = classifier_weights(manifest.training["encoder"])
    if classifier is None:
        raise SystemExit(f"the encoder of {folder.name} has no classifier")
    weights = class_weights(
        classifier,
        tensors["preparation.mean"],
        tensors["preparation.projection"],
        tensors[f"hash_layers.{manifest.y_output}.weight"],
    )
    source = manifest.pretrained[0]
    own = [{key: row[key] for key in SHOWN} for row in figures if row["model"] == folder.name]
    texts = {
        "origin": f"the classifier in {source.package} {source.version}, carried through preparation and hash "
        "layer; no picture was used.",
        "figures": own,
    }
    described: ArtifactManifest = manifest.model_copy(
        update={"calibration": manifest.calibration | {"text": texts}}
    )
    write_class_weights(folder, weights, texts, model_card(described, shipped=True))


def main() -> None:
    """Add the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--figures", type=Path, help="JSON written by benchmarks/text.py")
    options = parser.parse_args()
    figures = json.loads(options.figures.read_text(encoding="utf-8")) if options.figures else []
    for model in options.models:
        add(ROOT / "model_artifacts" / model, figures)
        print(f"{model}: written")


if __name__ == "__main__":
    main()
