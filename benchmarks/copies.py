"""What the rule for copies finds, and what it gets wrong, beside bounds on codes and descriptors alone.

Edits some pictures as people do, then counts the pairs of an original and its copy that each rule calls copies
(found), and the pairs of different originals that it does (false). Pictures of which the collection itself has
copies are left out, as in ``duplicates.py``. Figures are given for the pictures that the rule was chosen on,
those whose position divided by 7 is even, and for the others.

    python benchmarks/copies.py caltech101.zip [--edited 150]

The first argument is a ZIP archive or a folder.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from duplicates import EDITS, Collection, Outputs, are_same, cosine, edited
from PIL import Image, ImageEnhance

from app.domain.calibration import COPY_RULE
from app.domain.codes import pack_signs
from app.domain.copies import NO_DISTANCE
from app.encoding.hash_orientations import ORIENTATIONS, turned_hashes
from app.encoding.perceptual import perceptual_hash
from app.images.decoding import decode_in_process
from app.images.sniff import Limits
from app.index.stars import stars

MODEL = "lite2-256"
CODE_BOUNDS = {"codes within 21 bits": (21, 2.0), "codes within 38 bits, descriptors within .15": (38, 0.15)}
MAX_CODE_DISTANCE = 38
ROWS = 128

EDITS |= {
    "96 px": (lambda picture, _: (picture.thumbnail((96, 96)), picture)[1], 90),
    "half saturation": (lambda picture, _: ImageEnhance.Color(picture).enhance(0.5), 90),
    "brighter": (lambda picture, _: ImageEnhance.Brightness(picture).enhance(1.4), 90),
    "turned 90": (lambda picture, _: picture.transpose(Image.Transpose.ROTATE_90), 90),
    "rotated 5": (
        lambda picture, _: picture.rotate(5, Image.Resampling.BILINEAR, fillcolor=(127, 127, 127)),
        90,
    ),
}


def outputs_of(outputs: Outputs, content: bytes) -> dict[str, Any]:
    """Return y, descriptor, grey pixels and the hashes in eight orientations; zeros without a hash."""
    hashed = perceptual_hash(decode_in_process(content, Limits()).pixels)
    hashes = np.zeros((ORIENTATIONS, 4), np.uint64) if hashed is None else hashed.codes
    return outputs.of(content) | {"hashes": hashes, "has_hash": hashed is not None}


def stacked(rows: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Return one array for each output."""
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def hash_distances(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> np.ndarray:
    """Return the distance of each pair of stored hashes in the best orientation, shape (n,)."""
    turned = (turned_hashes(first["hashes"][:, 0], number) for number in range(1, ORIENTATIONS + 1))
    apart = np.min([np.bitwise_count(one ^ second["hashes"][:, 0]).sum(1) for one in turned], axis=0)
    return np.where(first["has_hash"] & second["has_hash"], apart, NO_DISTANCE).astype(np.int64)


def by_rule(hashes: np.ndarray, codes: np.ndarray, descriptors: np.ndarray) -> np.ndarray:
    """Return which pairs the rule calls copies; beyond both bounds it does not look at descriptors."""
    near = (codes <= MAX_CODE_DISTANCE) | (hashes <= COPY_RULE.max_hash_distance)
    hashes = np.where(hashes <= COPY_RULE.max_hash_distance, hashes, NO_DISTANCE)
    return near & COPY_RULE.are_copies(hashes, descriptors)


def stranger_pairs(originals: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the pairs of different originals that any of the rules might call copies."""
    codes = pack_signs(originals[f"{MODEL} y"])
    hashes, has_hash = originals["hashes"][:, 0], originals["has_hash"]
    turned = [turned_hashes(hashes, number) for number in range(1, ORIENTATIONS + 1)]
    parts = []
    for start in range(0, len(codes), ROWS):
        rows = slice(start, start + ROWS)
        between = np.bitwise_count(codes[rows, None] ^ codes[None]).sum(2)
        apart = np.min([np.bitwise_count(one[rows, None] ^ hashes[None]).sum(2) for one in turned], axis=0)
        apart = np.where(has_hash[rows, None] & has_hash, apart, NO_DISTANCE)
        i, j = np.nonzero((between <= MAX_CODE_DISTANCE) | (apart <= COPY_RULE.max_hash_distance))
        kept = j > i + start
        i, j = i[kept], j[kept]
        parts.append((i + start, j, between[i, j], apart[i, j]))
    first, second, between, apart = (np.concatenate(part) for part in zip(*parts, strict=True))
    different = ~are_same(originals, first, second)
    first, second = first[different], second[different]
    descriptors = originals[f"{MODEL} descriptor"]
    return {
        "first": first,
        "second": second,
        "codes": between[different],
        "hashes": apart[different].astype(np.int64),
        "descriptors": cosine(descriptors[first], descriptors[second]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("pictures", type=Path, help="a ZIP archive or a folder")
    parser.add_argument("--edited", type=int, default=150)
    options = parser.parse_args()
    collection, outputs = Collection(options.pictures), Outputs([MODEL])
    names = collection.names
    picked = np.linspace(0, len(names) - 1, options.edited).astype(int)
    originals = stacked([outputs_of(outputs, collection.read(name)) for name in names])
    copies = stacked(
        [
            outputs_of(outputs, edited(collection.read(names[row]), edit, int(row)))
            for edit in EDITS
            for row in picked
        ]
    )
    rows, edits = np.tile(picked, len(EDITS)), np.repeat(list(EDITS), len(picked))
    of_copies = {name: array[rows] for name, array in originals.items()}
    near = {
        "codes": np.bitwise_count(pack_signs(of_copies[f"{MODEL} y"]) ^ pack_signs(copies[f"{MODEL} y"])).sum(
            1
        ),
        "hashes": hash_distances(of_copies, copies),
        "descriptors": cosine(of_copies[f"{MODEL} descriptor"], copies[f"{MODEL} descriptor"]),
    }
    strangers = stranger_pairs(originals)
    rules = {
        name: (lambda d, bounds=bounds: (d["codes"] <= bounds[0]) & (d["descriptors"] <= bounds[1]))
        for name, bounds in CODE_BOUNDS.items()
    }
    rules["the rule for copies"] = lambda d: by_rule(d["hashes"], d["codes"], d["descriptors"])
    first, second = strangers["first"], strangers["second"]
    for name, rule in rules.items():
        found, false = rule(near), rule(strangers)
        print(name)
        for part, of_part in (("all", None), ("chosen on", 0), ("others", 1)):
            are_own = (
                np.ones(len(names), bool) if of_part is None else np.arange(len(names)) // 7 % 2 == of_part
            )
            wrong = false & are_own[first] & are_own[second]
            pairs = are_own.sum() * (are_own.sum() - 1) / 2
            groups = stars(len(names), first[wrong], second[wrong], np.ones(len(names), np.int64))
            largest = max((len(group) for group in groups), default=1)
            print(
                f"  {part:10} found {found[are_own[rows]].mean():.3f}, false {wrong.sum():,} of {pairs:,.0f} "
                f"pairs ({wrong.sum() / pairs * 1e5:.2f} in 100,000), largest group around a centre {largest}"
            )
        for edit in EDITS:
            print(f"    {edit:16} {found[edits == edit].mean():.2f}")


if __name__ == "__main__":
    main()
