"""Measure words learned from a collection's own tags, on pictures that were not tagged.

Every other picture of a collection may be tagged; n of each kind are, chosen by a fixed seed. The words rank
the other half: P@10 and mAP, mean over kinds, with and without the names of classes as the prior. "first" is
the share of the other half whose kind is the word of the highest estimate, mean over kinds; "suggested" the
share for which that estimate reaches the word's threshold. The last figure is the cross-validated P@10 that the
service shows. Reads what ``benchmarks/text.py --outputs FOLDER`` has written.

    python benchmarks/own_tags.py FOLDER [--model lite2-256] [--tagged 1 3 5 10 1000]
"""

import argparse
from pathlib import Path

import numpy as np

from app.domain.codes import pack_signs, unpack_signs
from app.encoding.artifact import load_artifact, read_class_weights
from app.words.learning import WordLearner, priors_of
from app.words.phrases import plain

ROOT = Path(__file__).resolve().parent.parent
COLLECTIONS = ("caltech101", "cifar10")


def precision_and_ap(scores: np.ndarray, is_relevant: np.ndarray) -> tuple[float, float]:
    """P@10 and average precision, best score first, ties in random order."""
    shuffled = np.random.default_rng(1).permutation(len(scores))
    ranked = is_relevant[shuffled[np.argsort(-scores[shuffled], kind="stable")]]
    precisions = np.cumsum(ranked) / np.arange(1, len(ranked) + 1)
    return float(ranked[:10].mean()), float(precisions[ranked].mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("outputs", type=Path)
    parser.add_argument("--model", default="lite2-256")
    parser.add_argument("--tagged", nargs="+", type=int, default=[1, 3, 5, 10, 1000])
    options = parser.parse_args()
    artifact = load_artifact(ROOT / "model_artifacts" / options.model)
    class_weights = read_class_weights(artifact)
    for name in COLLECTIONS:
        arrays = np.load(options.outputs / f"{name}-{options.model}.npz")
        kinds, codes = np.array([plain(kind) for kind in arrays["kinds"]]), pack_signs(arrays["y"])
        tagged_half, other = np.arange(len(kinds)) % 2 == 0, np.arange(len(kinds)) % 2 == 1
        signs = unpack_signs(codes[other], artifact.bits).astype(np.float32)
        words = np.unique(kinds).tolist()
        for count in options.tagged:
            rng = np.random.default_rng(3)
            chosen = {w: rng.permutation(np.flatnonzero(tagged_half & (kinds == w)))[:count] for w in words}
            rows = np.unique(np.concatenate(list(chosen.values())))
            learner = WordLearner(codes[rows], artifact.bits)
            tags = {word: np.searchsorted(rows, numbers).tolist() for word, numbers in chosen.items()}
            for way, priors in (("tags", {}), ("tags and names", priors_of(words, class_weights))):
                found = learner.learn(tags, priors, 0.5)
                measured = [precision_and_ap(signs @ one.weights, kinds[other] == one.word) for one in found]
                p10, ap = np.mean(measured, axis=0)
                estimates = np.stack([signs @ one.weights + one.offset for one in found])
                first = np.array(words)[estimates.argmax(axis=0)] == kinds[other]
                per_kind = np.mean([first[kinds[other] == word].mean() for word in words])
                best = estimates.argmax(axis=0)
                is_given = estimates.max(axis=0) >= np.array([one.threshold for one in found])[best]
                shown = np.mean([one.precision_at_10 for one in found])
                offered = sum(one.is_offered for one in found)
                print(
                    f"{options.model} {name} {count} tagged ({len(rows)}), {way}: P@10 {p10:.3f} "
                    f"mAP {ap:.3f}, first {per_kind:.3f}, suggested {is_given.mean():.2f} "
                    f"right {first[is_given].mean():.3f}; "
                    f"cross-validated P@10 {shown:.3f}, offered {offered} of {len(found)}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
