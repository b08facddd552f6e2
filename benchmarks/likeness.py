"""Measure the order of search answers: kinds beside float features, and twenty kinds of edited copies.

Three collections: Caltech-101 (7,766 pictures, 911 queries; the shipped models were fitted on it), five kinds
of flowers (every tenth picture of a kind is a query) and CIFAR-10 (every fifth training picture, 1,000
queries). Relevant are pictures of the same kind. Copies: 100 pictures of Caltech-101, evenly spaced by name,
are edited in twenty ways and searched among its 8,677; relevant is the original. Ties are expected over every
order. "auto" is what the service does with an upload: perceptual matches first, then the candidates by
descriptors, then the others by distance.

Encodings are kept in ``--cache``; encoding takes about ten minutes on one core, measuring again one.

    python -m benchmarks.likeness FOLDER-OF-ZIPS [--only copies|kinds] [--cache FOLDER] [--json FILE]
"""

import argparse
import hashlib
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime as ort
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from app.domain.codes import hamming, pack_signs
from app.domain.variants import WHOLE
from app.encoding.artifact import load_artifact
from app.encoding.colours import colour_signature
from app.encoding.hash_orientations import ORIENTATIONS
from app.encoding.perceptual import perceptual_hash
from app.encoding.preprocess import prepare
from app.images.regions import content_of, cut, regions_of
from app.learning.datasets.caltech101 import load_caltech101, split_caltech101
from app.learning.datasets.cifar10 import split_cifar10
from app.learning.datasets.folder import load_pictures
from app.learning.datasets.pictures import LabelledPictures
from app.learning.datasets.splits import Split, split_every_tenth
from app.learning.evaluation.metrics import figures
from app.learning.evaluation.ties import TiedRanking, precision_at
from app.services.searching.perceptual_matches import MATCH_COLOURS, MATCH_RADIUS, TURNED
from app.services.searching.reranking import CANDIDATES, Descriptors, by_expansion

ROOT = Path(__file__).resolve().parent.parent
COPIES = 100
CIFAR_STEP = 5
MODEL = "lite2-256"
CANDIDATE_NUMBERS = (100, CANDIDATES, 400, 800)
COLOURS = (0.0, 0.1, 0.25, 0.5, 1.0)

Rgb = Image.Image


# Twenty edits -------------------------------------------------------------------------------------------------


def _written(picture: Rgb, quality: int) -> Rgb:
    octets = io.BytesIO()
    picture.save(octets, "JPEG", quality=quality)
    return Image.open(octets).convert("RGB")


def _small(picture: Rgb, side: int) -> Rgb:
    small = picture.copy()
    small.thumbnail((side, side), Image.Resampling.BILINEAR)
    return small


def _crop(picture: Rgb, area: float, rng: np.random.Generator) -> Rgb:
    width, height = (max(1, round(extent * area**0.5)) for extent in picture.size)
    left, top = int(rng.integers(picture.width - width + 1)), int(rng.integers(picture.height - height + 1))
    return picture.crop((left, top, left + width, top + height))


def _captioned(picture: Rgb) -> Rgb:
    """White capitals with black edges at the top and at the bottom."""
    made = picture.copy()
    draw = ImageDraw.Draw(made)
    size = max(10, made.width // 9)
    for text, y in (("WHEN YOU SEE IT", 0.02), ("EVERY TIME", 0.86)):
        draw.text(
            (made.width * 0.08, made.height * y), text, "white", font_size=size, stroke_width=2, stroke_fill=0
        )
    return made


def _on_phone(picture: Rgb, ground: str, ink: str) -> Rgb:
    """A screenshot of 360 x 780 points: status bar, the picture across the width, icons below."""
    screen = Image.new("RGB", (360, 780), ground)
    shown = picture.resize(
        (360, max(1, round(picture.height * 360 / picture.width))), Image.Resampling.BILINEAR
    )
    shown = shown.crop((0, 0, 360, min(shown.height, 600)))
    draw = ImageDraw.Draw(screen)
    draw.text((24, 10), "9:41", ink, font_size=14)
    draw.text((290, 10), "5G 87%", ink, font_size=12)
    screen.paste(shown, (0, 90 + (600 - shown.height) // 2))
    for x in (40, 140, 240, 320):
        draw.ellipse((x, 720, x + 24, 744), outline=ink, width=2)
    return screen


def _on_desktop(picture: Rgb) -> Rgb:
    """A window of a viewer on a desktop of 960 x 600 points with a coloured ground."""
    screen = Image.new("RGB", (960, 600), (28, 84, 128))
    draw = ImageDraw.Draw(screen)
    draw.rectangle((0, 0, 960, 24), (240, 240, 240))
    draw.text((12, 4), "File  Edit  View  Window  Help", "black", font_size=13)
    shown = ImageOps.contain(picture, (620, 480), Image.Resampling.BILINEAR)
    x, y = 300 + (620 - shown.width) // 2, 70
    draw.rectangle((x - 2, y - 26, x + shown.width + 2, y + shown.height + 2), (222, 222, 222))
    draw.text((x + 8, y - 22), "picture.jpg", "black", font_size=13)
    screen.paste(shown, (x, y))
    return screen


def _on_screen(picture: Rgb, rng: np.random.Generator) -> Rgb:
    """A photograph of a monitor on a desk, taken at an angle, with moire and noise."""
    scene = Image.new("RGB", (640, 480), (96, 84, 72))
    draw = ImageDraw.Draw(scene)
    draw.rectangle((0, 360, 640, 480), (134, 108, 80))
    draw.rectangle((110, 60, 530, 380), (18, 18, 20))
    shown = ImageOps.contain(picture, (380, 280), Image.Resampling.BILINEAR)
    scene.paste(shown, (320 - shown.width // 2, 220 - shown.height // 2))
    corners = ((0, 0), (0, 480), (640, 480), (640, 0))
    moved = [axis for x, y in corners for axis in (x + rng.integers(-30, 31), y + rng.integers(-24, 25))]
    scene = scene.transform((640, 480), Image.Transform.QUAD, moved, Image.Resampling.BILINEAR)
    pixels = np.asarray(scene, np.float32)
    pixels *= 1 + 0.04 * np.sin(np.arange(640) * 2.1)[None, :, None]
    pixels = pixels * 0.9 + 12 + rng.normal(0, 5, pixels.shape)
    return _written(Image.fromarray(pixels.clip(0, 255).astype(np.uint8)), 80)


def _collage(picture: Rgb, others: list[Rgb], place: int) -> Rgb:
    tiles = [*others[:place], picture, *others[place:]]
    made = Image.new("RGB", (400, 400), "white")
    for i, tile in enumerate(tiles[:4]):
        made.paste(ImageOps.fit(tile, (198, 198), Image.Resampling.BILINEAR), (202 * (i % 2), 202 * (i // 2)))
    return made


PHONES: Final = (("black", "white"), ("white", "black"))
"""Ground and ink of a phone's screen."""

Edit = Callable[[Rgb, np.random.Generator, list[Rgb]], Rgb]

EDITS: Final[dict[str, Edit]] = {
    "same, as PNG": lambda p, _r, _o: p,
    "JPEG q10": lambda p, _r, _o: _written(p, 10),
    "JPEG q5": lambda p, _r, _o: _written(p, 5),
    "thumbnail 96": lambda p, _r, _o: _small(p, 96),
    "thumbnail 48": lambda p, _r, _o: _small(p, 48),
    "blur": lambda p, _r, _o: p.filter(ImageFilter.GaussianBlur(max(p.size) / 75)),
    "grey": lambda p, _r, _o: p.convert("L").convert("RGB"),
    "fax": lambda p, _r, _o: p.convert("1").convert("RGB"),
    "brightness 1.4": lambda p, _r, _o: ImageEnhance.Brightness(p).enhance(1.4),
    "contrast .5": lambda p, _r, _o: ImageEnhance.Contrast(p).enhance(0.5),
    "saturation .3": lambda p, _r, _o: ImageEnhance.Color(p).enhance(0.3),
    "mirror": lambda p, _r, _o: ImageOps.mirror(p),
    "rotate 5": lambda p, _r, _o: p.rotate(5, Image.Resampling.BILINEAR, fillcolor=(127, 127, 127)),
    "crop 80 %": lambda p, r, _o: _crop(p, 0.8, r),
    "crop 50 %": lambda p, r, _o: _crop(p, 0.5, r),
    "caption": lambda p, _r, _o: _captioned(p),
    "border 20 %": lambda p, _r, _o: ImageOps.expand(p, round(0.2 * max(p.size)), "white"),
    "phone screenshot": lambda p, r, _o: _on_phone(p, *PHONES[int(r.integers(2))]),
    "photo of a screen": lambda p, r, _o: _on_screen(p, r),
    "collage of 4": lambda p, r, o: _collage(p, o, int(r.integers(4))),
}
MORE_EDITS: Final[dict[str, Edit]] = {
    "crop 25 %": lambda p, r, _o: _crop(p, 0.25, r),
    "border 40 %": lambda p, _r, _o: ImageOps.expand(p, round(0.4 * max(p.size)), "black"),
    "turned by 90": lambda p, _r, _o: p.transpose(Image.Transpose.ROTATE_90),
    "turned by 180": lambda p, _r, _o: p.transpose(Image.Transpose.ROTATE_180),
    "desktop screenshot": lambda p, _r, _o: _on_desktop(p),
}
"""Edits that are reported but do not count for the mean over twenty."""


# Encodings ----------------------------------------------------------------------------------------------------


OUTPUTS: Final = ("y", "descriptors", "features", "hashes", "has_hash", "colours")


class Encoder:
    """The encoder of a model, with the float features behind its codes."""

    def __init__(self, model: str) -> None:
        artifact = load_artifact(ROOT / "model_artifacts" / model)
        self.preprocessing = artifact.preprocessing
        self.digest = artifact.digest
        graph = onnx.load(str(artifact.encoder_path))
        # The signed roots of the pooled features, scaled to unit length; their squares are the features.
        self._outputs = [artifact.manifest.y_output, "descriptor", "div_1"]
        graph.graph.output.append(onnx.helper.make_tensor_value_info("div_1", onnx.TensorProto.FLOAT, None))
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = ort.InferenceSession(graph.SerializeToString(), options)

    def __call__(self, pixels: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return the values named in ``OUTPUTS`` of a picture."""
        pixels = np.ascontiguousarray(pixels)
        batch = prepare(pixels, self.preprocessing)[None]
        y, descriptor, features = self._session.run(self._outputs, {"pixels": batch})
        hashed = perceptual_hash(pixels)
        return (
            y[0],
            descriptor[0],
            features.reshape(-1).astype(np.float16),
            np.zeros((ORIENTATIONS, 4), np.uint64) if hashed is None else hashed.codes,
            np.bool_(hashed is not None),
            np.frombuffer(colour_signature(pixels), np.int8),
        )


def encoded(encoder: Encoder, name: str, pictures: LabelledPictures, cache: Path) -> dict[str, np.ndarray]:
    file = cache / f"{name}-4-{encoder.digest[:12]}.npz"
    if not file.exists():
        save(file, [encoder(pictures.pixels(i)) for i in range(len(pictures))])
    return dict(np.load(file))


def encoded_copies(
    encoder: Encoder, pictures: LabelledPictures, rows: np.ndarray, cache: Path
) -> dict[str, dict]:
    """Each edit's outputs of all regions, the whole picture first: lists of arrays (regions, …)."""
    found = {}
    for edit, make in (EDITS | MORE_EDITS).items():
        digest = hashlib.sha256(f"{edit} 4 {encoder.digest}".encode()).hexdigest()[:16]
        file = cache / f"copies-{digest}.npz"
        if not file.exists():
            outputs, counts, are_trimmed = [], [], []
            for i in rows.tolist():
                rng = np.random.default_rng(i)
                others = [picture(pictures, (i + 1999 * k) % len(pictures)) for k in (1, 2, 3)]
                pixels = np.asarray(make(picture(pictures, i), rng, others))
                regions = regions_of(pixels)
                outputs += [encoder(cut(pixels, region)) for region in regions]
                counts.append(len(regions))
                are_trimmed.append(content_of(pixels) != WHOLE)
            save(file, outputs, counts=np.array(counts), are_trimmed=np.array(are_trimmed))
        found[edit] = dict(np.load(file))
    return found


def picture(pictures: LabelledPictures, row: int) -> Rgb:
    return Image.fromarray(pictures.pixels(row))


def save(file: Path, outputs: list[tuple[np.ndarray, ...]], **more: np.ndarray) -> None:
    columns = {name: np.stack(column) for name, column in zip(OUTPUTS, zip(*outputs, strict=True), strict=True)}
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez(file, **columns, **more)


def collections(data: Path) -> Iterator[tuple[str, Split]]:
    yield "caltech101", split_caltech101(data)
    yield "flowers5", split_every_tenth(load_pictures(data / "flowers5.zip", "flowers5"))
    cifar = split_cifar10(data)
    rows = np.arange(0, len(cifar.gallery), CIFAR_STEP)
    yield "cifar10", Split(cifar.gallery.subset(rows), cifar.queries, f"every {CIFAR_STEP}th of the gallery")


# Measurements -------------------------------------------------------------------------------------------------


class Gallery:
    """Codes, descriptors, float features, hashes and colours to search among."""

    def __init__(self, outputs: dict[str, np.ndarray]) -> None:
        self.codes = pack_signs(outputs["y"])
        self.bits = outputs["y"].shape[1]
        self.octets = outputs["descriptors"]
        self.descriptors = unit(self.octets)
        self.roots = outputs["features"].astype(np.float32)
        self.features = pooled(self.roots)
        self.hashes, self.has_hash = outputs["hashes"][:, 0], outputs["has_hash"]
        self.colours = unit(outputs["colours"])

    def hamming(self, y: np.ndarray) -> np.ndarray:
        """Distance to the nearest of several codes, shape (n,)."""
        return np.min([hamming(self.codes, code) for code in pack_signs(y)], axis=0)

    def descriptor(self, descriptors: np.ndarray) -> np.ndarray:
        """Distance to the nearest of several descriptors, shape (n,)."""
        return (1 - self.descriptors @ unit(descriptors).T).min(axis=1)

    def reranked(self, y: np.ndarray, descriptors: np.ndarray, candidates: int) -> np.ndarray:
        """Keys that order as the service does: the candidates by descriptor, the others by code."""
        by_code = self.hamming(y)
        first = np.argsort(by_code, kind="stable")[:candidates]
        keys = by_code.astype(float) + 10
        keys[first] = self.descriptor(descriptors)[first]
        return keys

    def expanded(self, y: np.ndarray, descriptors: np.ndarray) -> np.ndarray:
        """Keys that order as ``rank=expanded`` does, without perceptual matches."""
        by_code = self.hamming(y)
        first = np.argsort(by_code, kind="stable")[:CANDIDATES]
        keys = by_code.astype(float) + 10
        stored = Descriptors(self.octets[first], np.ones(len(first), np.bool_))
        keys[first] = by_expansion(stored, descriptors)[0]
        return keys

    def auto(self, query: dict[str, np.ndarray], *, turned: bool = True, colour: float = 0.0) -> np.ndarray:
        """Keys that order as the service does by default.

        Args:
            query: Outputs of the query's variants, the whole picture first.
            turned: Whether to look for turned copies of the first two variants by their hashes.
            colour: Weight of colours.
        """
        by_code = self.hamming(query["y"])
        first = np.argsort(by_code, kind="stable")[:CANDIDATES]
        keys = by_code.astype(float) + 10
        distances = 1 - self.descriptors[first] @ unit(query["descriptors"]).T
        shades = 1 - self.colours @ unit(query["colours"]).T
        keys[first] = ((1 - colour) * distances + colour * shades[first]).min(axis=1)
        has_hash, hashes = query["has_hash"], query["hashes"]
        upright, others = hashes[has_hash, 0], hashes[:2][has_hash[:2], 1:].reshape(-1, 4)
        # Upright matches replace turned ones.
        for queries, added in ((others if turned else others[:0], TURNED), (upright, 0)):
            if not len(queries):
                continue
            apart = np.bitwise_count(self.hashes[:, None] ^ queries).sum(axis=2).min(axis=1)
            is_match = (apart <= MATCH_RADIUS) & self.has_hash
            if colour:
                is_match &= shades.min(axis=1) <= MATCH_COLOURS
            matches = np.flatnonzero(is_match)
            near = self.descriptor(query["descriptors"])[matches]
            keys[matches] = (apart[matches] + added + near.clip(0) / 4) / 256 - 1
        return keys

    def floats(self, roots: np.ndarray) -> np.ndarray:
        """1 - cosine of the pooled features of a query, given by their signed roots, shape (n,)."""
        return 1 - self.features @ pooled(roots[None].astype(np.float32))[0]

    def rooted(self, roots: np.ndarray) -> np.ndarray:
        """1 - cosine of the signed roots of the pooled features, shape (n,)."""
        return 1 - self.roots @ roots.astype(np.float32)


def pooled(roots: np.ndarray) -> np.ndarray:
    """Pooled features of unit length, (n, d), from their signed roots."""
    return unit(roots * np.abs(roots))


def unit(rows: np.ndarray) -> np.ndarray:
    rows = rows.astype(np.float32)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)


def ranking_of(keys: np.ndarray, relevant: np.ndarray) -> TiedRanking:
    _, groups = np.unique(keys, return_inverse=True)
    counts = np.bincount(groups)
    return TiedRanking(counts[None], np.bincount(groups[relevant], minlength=len(counts))[None])


def kinds(encoder: Encoder, data: Path, cache: Path) -> Iterator[dict[str, Any]]:
    """Figures of each collection, by ranking."""
    for name, split in collections(data):
        queries = encoded(encoder, f"{name}-queries", split.queries, cache)
        gallery = Gallery(encoded(encoder, f"{name}-gallery", split.gallery, cache))
        orders: dict[str, Callable[[int], np.ndarray]] = {
            "hamming": lambda i, q=queries, g=gallery: g.hamming(q["y"][i : i + 1]),
            **{
                f"descriptor, {n} candidates": lambda i, q=queries, g=gallery, n=n: g.reranked(
                    q["y"][i : i + 1], q["descriptors"][i : i + 1], n
                )
                for n in CANDIDATE_NUMBERS
            },
            f"expanded, {CANDIDATES} candidates": lambda i, q=queries, g=gallery: g.expanded(
                q["y"][i : i + 1], q["descriptors"][i : i + 1]
            ),
            **{
                f"auto, colour {colour:g}": lambda i, q=queries, g=gallery, colour=colour: g.auto(
                    {key: q[key][i : i + 1] for key in OUTPUTS}, colour=colour
                )
                for colour in COLOURS
            },
            "float features": lambda i, q=queries, g=gallery: g.floats(q["features"][i]),
            "signed roots of float features": lambda i, q=queries, g=gallery: g.rooted(q["features"][i]),
        }
        for ranking, keys in orders.items():
            rankings = [
                ranking_of(keys(i), split.gallery.labels == label)
                for i, label in enumerate(split.queries.labels)
            ]
            found = figures(iter(rankings))
            first = float(np.mean([precision_at(one, 1) for one in rankings]))
            row = {"mAP": found.map_all, "P@10": found.precision_at_10, "recall@1": first}
            yield {"collection": name, "ranking": ranking, **{k: round(v, 4) for k, v in row.items()}}


def copies(encoder: Encoder, data: Path, cache: Path) -> Iterator[dict[str, Any]]:
    """Recall@1 and @10 of each edit, by ranking, and their means over the twenty."""
    split, pictures = split_caltech101(data), load_caltech101(data)
    parts = [
        encoded(encoder, f"caltech101-{part}", getattr(split, part), cache) for part in ("queries", "gallery")
    ]
    gallery = Gallery({key: np.concatenate([part[key] for part in parts]) for key in parts[0]})
    place = {name: i for i, name in enumerate((*split.queries.names, *split.gallery.names))}
    rows = np.linspace(0, len(pictures) - 1, COPIES).astype(int)
    means: dict[str, list[tuple[float, float]]] = {}
    for edit, outputs in encoded_copies(encoder, pictures, rows, cache).items():
        recalls: dict[str, list[tuple[float, float]]] = {}
        counts, are_trimmed = outputs["counts"], outputs["are_trimmed"]
        for i, end, count, is_trimmed in zip(rows, np.cumsum(counts), counts, are_trimmed, strict=True):
            target = place[pictures.names[i]]
            whole, every = slice(end - count, end - count + 1), slice(end - count, end)
            y, descriptors = outputs["y"], outputs["descriptors"]
            trimmed = slice(end - count, end - count + 1 + int(is_trimmed))
            parts_of = {
                name: {key: outputs[key][rows] for key in OUTPUTS}
                for name, rows in (("whole", whole), ("trimmed", trimmed), ("every", every))
            }
            keys = {
                "hamming": gallery.hamming(y[whole]),
                **{
                    f"descriptor, {n} candidates": gallery.reranked(y[whole], descriptors[whole], n)
                    for n in CANDIDATE_NUMBERS
                },
                "regions, hamming": gallery.hamming(y[every]),
                "regions, descriptor": gallery.reranked(y[every], descriptors[every], CANDIDATES),
                "auto, neither turned nor trimmed": gallery.auto(parts_of["whole"], turned=False),
                "auto, not trimmed": gallery.auto(parts_of["whole"]),
                "auto": gallery.auto(parts_of["trimmed"]),
                "auto, regions": gallery.auto(parts_of["every"]),
                "auto, colour .25": gallery.auto(parts_of["trimmed"], colour=0.25),
                "float features": gallery.floats(outputs["features"][end - count]),
                "signed roots of float features": gallery.rooted(outputs["features"][end - count]),
            }
            for ranking, found in keys.items():
                recalls.setdefault(ranking, []).append(recall_of(found, target))
        for ranking, found in recalls.items():
            first, tenth = np.mean(found, axis=0).tolist()
            yield {"edit": edit, "ranking": ranking, "recall@1": round(first, 3), "recall@10": round(tenth, 3)}
            if edit in EDITS:
                means.setdefault(ranking, []).append((first, tenth))
    for ranking, found in means.items():
        first, tenth = np.mean(found, axis=0).tolist()
        yield {"edit": "mean", "ranking": ranking, "recall@1": round(first, 3), "recall@10": round(tenth, 3)}


def recall_of(keys: np.ndarray, target: int) -> tuple[float, float]:
    nearer, equal = int((keys < keys[target]).sum()), int((keys == keys[target]).sum())
    first, tenth = (min(max((k - nearer) / equal, 0.0), 1.0) for k in (1, 10))
    return first, tenth


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path, default=Path("likeness-cache"))
    parser.add_argument("--only", choices=("copies", "kinds"))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    encoder, rows = Encoder(MODEL), []
    measures = {"copies": copies, "kinds": kinds}
    for measure in [measures[options.only]] if options.only else measures.values():
        for row in measure(encoder, options.data, options.cache):
            rows.append(row)
            print("  ".join(str(value) for value in row.values()), flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
