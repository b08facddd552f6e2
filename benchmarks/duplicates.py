"""What the radius and the descriptor bound of ``GET /duplicates`` find, and what they get wrong.

Edits some pictures as people do, then counts the pairs of an original and its copy that satisfy both bounds
(found), the pairs of different originals that do (false), and the largest group of originals that false pairs
connect. Pictures of which the collection itself has copies (equal or almost equal pixels, and Faces_easy of
Caltech-101, which are crops of Faces) are left out. The folder of a picture is its kind.

    python benchmarks/duplicates.py caltech101.zip [--edited 400] [--outputs KEPT.npz] [--json FILE]

The first argument is a ZIP archive or a folder.
"""

import argparse
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from PIL import Image, ImageDraw, ImageFont, ImageOps
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from app.domain.codes import pack_signs
from app.encoding.artifact import Artifact, load_artifact
from app.encoding.preprocess import prepare
from app.images.decoding import decode_in_process
from app.images.sniff import Limits

ROOT = Path(__file__).resolve().parent.parent
MODELS = ("lite2-256", "lite2-64", "lite0-256")
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
DESCRIPTOR_CUTS = (0.05, 0.1, 0.125, 0.15, 0.175, 0.2, 0.25, 0.35)
RADII = {256: (0, 8, 16, 21, 24, 28, 32, 36, 40, 44, 48, 56, 64), 64: (0, 1, 2, 3, 4, 5, 6, 7, 8, 10)}
SAME_PICTURE = 2.0
"""Mean difference of 32 × 32 grey pixels, in levels of 255, below which two files show the same picture."""


def crop(removed: float) -> Callable[[Image.Image, np.random.Generator], Image.Image]:
    """A random window without this share of the area."""

    def edit(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
        width, height = (max(1, round(side * (1 - removed) ** 0.5)) for side in picture.size)
        left = int(rng.integers(picture.width - width + 1))
        top = int(rng.integers(picture.height - height + 1))
        return picture.crop((left, top, left + width, top + height))

    return edit


def text(picture: Image.Image, _: np.random.Generator) -> Image.Image:
    marked = picture.copy()
    draw = ImageDraw.Draw(marked)
    font = ImageFont.load_default(size=max(10, picture.height // 8))
    place = (picture.width * 0.05, picture.height * 0.8)
    draw.text(place, "SALE 50 % OFF", fill="white", stroke_width=2, stroke_fill="black", font=font)
    return marked


EDITS: dict[str, tuple[Callable[[Image.Image, np.random.Generator], Image.Image], int]] = {
    "JPEG q30": (lambda picture, _: picture, 30),
    "JPEG q10": (lambda picture, _: picture, 10),
    "half size": (lambda picture, _: picture.resize((picture.width // 2, picture.height // 2)), 90),
    "crop 10 %": (crop(0.1), 90),
    "crop 25 %": (crop(0.25), 90),
    "crop 50 %": (crop(0.5), 90),
    "flip": (lambda picture, _: ImageOps.mirror(picture), 90),
    "grey": (lambda picture, _: picture.convert("L"), 90),
    "border": (lambda picture, _: ImageOps.expand(picture, max(picture.size) // 12, "white"), 90),
    "text": (text, 90),
}
"""Each edit, and the quality that its result is saved with as JPEG."""


def edited(content: bytes, name: str, seed: int) -> bytes:
    """Return the file of an edited copy."""
    edit, quality = EDITS[name]
    with Image.open(io.BytesIO(content)) as opened:
        picture = edit(opened.convert("RGB"), np.random.default_rng(seed))
    written = io.BytesIO()
    picture.save(written, "JPEG", quality=quality)
    return written.getvalue()


class Collection:
    """Pictures of a ZIP archive or a folder."""

    def __init__(self, path: Path) -> None:
        self._archive = zipfile.ZipFile(path) if path.is_file() else None
        self._folder = path
        if self._archive is None:
            found = [str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()]
        else:
            found = self._archive.namelist()
        self.names = sorted(
            name for name in found if name.lower().endswith(SUFFIXES) and "/Faces_easy/" not in name
        )

    def read(self, name: str) -> bytes:
        """Return the bytes of a picture."""
        return (self._folder / name).read_bytes() if self._archive is None else self._archive.read(name)


class Outputs:
    """Outputs of several models; those that share an encoder share its run."""

    def __init__(self, models: list[str]) -> None:
        self._runs: dict[Path, tuple[ort.InferenceSession, list[Artifact]]] = {}
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        for name in models:
            artifact = load_artifact(ROOT / "model_artifacts" / name)
            path = Path(artifact.encoder_path)
            if path not in self._runs:
                self._runs[path] = (ort.InferenceSession(path, options), [])
            self._runs[path][1].append(artifact)

    def of(self, content: bytes) -> dict[str, np.ndarray]:
        """Return y and descriptor of each model, and 32 × 32 grey pixels."""
        pixels = decode_in_process(content, Limits()).pixels
        grey = np.asarray(Image.fromarray(pixels).convert("L").resize((32, 32)), np.uint8)
        found = {"grey": grey.ravel()}
        for session, artifacts in self._runs.values():
            batch = prepare(pixels, artifacts[0].preprocessing)[np.newaxis]
            for artifact in artifacts:
                manifest = artifact.manifest
                wanted = [manifest.y_output, manifest.descriptor.output]
                y, descriptor = session.run(wanted, {session.get_inputs()[0].name: batch})
                found |= {f"{manifest.name} y": y[0], f"{manifest.name} descriptor": descriptor[0]}
        return found


def encode(collection: Collection, count: int, models: list[str]) -> dict[str, Any]:
    """Encode every picture, and copies of ``count`` of them, spread evenly."""
    outputs = Outputs(models)
    names = collection.names
    rows = [outputs.of(collection.read(name)) for name in names]
    picked = np.linspace(0, len(names) - 1, count).astype(int)
    copies = [
        outputs.of(edited(collection.read(names[row]), edit, int(row))) for edit in EDITS for row in picked
    ]
    arrays = {"names": np.array(names), "picked": picked}
    for prefix, found in (("", rows), ("copies ", copies)):
        arrays |= {prefix + part: np.stack([row[part] for row in found]) for part in found[0]}
    return arrays


def distances(codes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Hamming distances of each of (n, words) to each of (m, words), shape (n, m)."""
    total = np.zeros((len(codes), len(others)), np.uint16)
    for word in range(codes.shape[1]):
        total += np.bitwise_count(codes[:, word, None] ^ others[None, :, word])
    return total


def cosine(descriptors: np.ndarray, others: np.ndarray) -> np.ndarray:
    """1 - cosine similarity of rows, shape (n,)."""
    a, b = descriptors.astype(np.float64), others.astype(np.float64)
    return 1 - (a * b).sum(1) / np.sqrt((a * a).sum(1) * (b * b).sum(1))


def close_pairs(codes: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of rows at most ``most`` apart: first rows, second rows, distances."""
    parts = []
    for start in range(0, len(codes), 256):
        found = distances(codes[start : start + 256], codes[start:])
        i, j = np.nonzero(found <= most)
        kept = j > i
        parts.append((i[kept] + start, j[kept] + start, found[i[kept], j[kept]]))
    return tuple(np.concatenate(part) for part in zip(*parts, strict=True))  # type: ignore[return-value]


def are_same(arrays: dict[str, Any], i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Whether two originals show the same picture, upright or mirrored."""
    grey = arrays["grey"].astype(np.int16).reshape(-1, 32, 32)
    differences = [np.abs(grey[i] - other).mean((1, 2)) for other in (grey[j], grey[j][:, :, ::-1])]
    return np.minimum(*differences) < SAME_PICTURE


def largest_group(count: int, first: np.ndarray, second: np.ndarray) -> int:
    """Size of the largest group of originals that these pairs connect; 1 without pairs."""
    graph = coo_array((np.ones(len(first), np.int8), (first, second)), shape=(count, count))
    _, groups = connected_components(graph, directed=False)
    return int(np.bincount(groups).max())


def measure(arrays: dict[str, Any], model: str) -> Iterator[dict[str, Any]]:
    """Yield one row for each radius and descriptor cut."""
    picked, kinds = arrays["picked"], np.array([str(Path(name).parent) for name in arrays["names"]])
    of_copy = np.tile(picked, len(EDITS))
    edits = np.repeat(list(EDITS), len(picked))
    descriptors = arrays[f"{model} descriptor"]
    apart = cosine(descriptors[of_copy], arrays[f"copies {model} descriptor"])
    bits = arrays[f"{model} y"].shape[1]
    codes, copies = pack_signs(arrays[f"{model} y"]), pack_signs(arrays[f"copies {model} y"])
    near = np.bitwise_count(codes[of_copy] ^ copies).sum(1)
    first, second, between = close_pairs(codes, RADII[bits][-1])
    false = ~are_same(arrays, first, second)
    first, second, between = first[false], second[false], between[false]
    false_apart = cosine(descriptors[first], descriptors[second])
    for radius in RADII[bits]:
        for cut in (None, *DESCRIPTOR_CUTS):
            limit = 2.0 if cut is None else cut
            found = (near <= radius) & (apart <= limit)
            wrong = (between <= radius) & (false_apart <= limit)
            others = kinds[first[wrong]] != kinds[second[wrong]]
            yield {
                "model": model,
                "radius": radius,
                "cut": cut,
                "found": round(float(found.mean()), 3),
                "by_edit": {edit: round(float(found[edits == edit].mean()), 3) for edit in EDITS},
                "false_pairs": int(wrong.sum()),
                "false_pairs_of_other_kinds": int(others.sum()),
                "pictures_in_false_pairs": len(set(first[wrong]) | set(second[wrong])),
                "largest_group": largest_group(len(codes), first[wrong], second[wrong]),
                "pictures": len(codes),
            }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("pictures", type=Path, help="a ZIP archive or a folder")
    parser.add_argument("--models", nargs="+", default=MODELS, help="names of shipped models with descriptors")
    parser.add_argument("--edited", type=int, default=400)
    parser.add_argument("--outputs", type=Path, help="an .npz to read, or else to write")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.outputs is not None and options.outputs.exists():
        with np.load(options.outputs) as stored:
            arrays = dict(stored)
    else:
        arrays = encode(Collection(options.pictures), options.edited, options.models)
        if options.outputs is not None:
            np.savez_compressed(options.outputs, **arrays)
    rows = [row for model in options.models for row in measure(arrays, model)]
    print("model     radius cut    found  false pairs (of other kinds)  pictures in them  largest group")
    for row in rows:
        false = f"{row['false_pairs']:12,} {row['false_pairs_of_other_kinds']:8,}"
        setting = f"{row['model']:9} {row['radius']:6} {row['cut'] or '-':>5} {row['found']:6.3f}"
        print(setting, false, f"{row['pictures_in_false_pairs']:16,} {row['largest_group']:14,}")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
