"""Decode large pictures: our path beside simplejpeg (libjpeg-turbo) and pyvips, on the same files in one run.

The files are made from photographs of a zip: enlarged to 12, 24 and 48 megapixels with fine noise, as JPEG
(baseline and progressive), PNG screenshots, TIFF, WebP, HEIC and JPEG 2000. Each peer decodes to a picture of
at most 512 pixels, by reduced-size decoding where it can. Engines take turns; times are medians of CPU and of
wall milliseconds. ``memory_mb`` is the growth of the peak resident memory of a fresh process that decodes the
file once. ``bits`` is the number of bits of the code under lite2-256 that differ from those of our path.

    pip install simplejpeg pyvips pyvips-binary
    python benchmarks/decode.py --pictures caltech101.zip [--rounds 5] [--only jpeg] [--json FILE]
"""

import argparse
import io
import json
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from app.encoding.artifact import load_artifact
from app.encoding.encoder import OnnxEncoder
from app.images.decoding import WORKING_SIZE, decode_in_process
from app.images.sniff import Limits

ROOT = Path(__file__).resolve().parent.parent
SIZES = {12: (4000, 3000), 24: (6000, 4000), 48: (8064, 6048)}
TIFF_SIZE = (3000, 2300)
"""20 MB without compression."""
LIMITS = Limits(max_bytes=200_000_000)

Decode = Callable[[bytes], np.ndarray]


def photograph(archive: Path, megapixels: int) -> Image.Image:
    """A photograph enlarged to so many megapixels, with noise of a sensor."""
    with zipfile.ZipFile(archive) as opened:
        names = sorted(name for name in opened.namelist() if name.endswith(".jpg"))
        small = Image.open(io.BytesIO(opened.read(names[1000 + megapixels]))).convert("RGB")
    large = np.asarray(small.resize(SIZES.get(megapixels, TIFF_SIZE), Image.Resampling.BICUBIC), np.int16)
    rng = np.random.default_rng(megapixels)
    noise = rng.integers(-4, 5, (1024, *large.shape[1:]), np.int16)
    repeated = np.tile(noise, (large.shape[0] // 1024 + 1, 1, 1))[: large.shape[0]]
    return Image.fromarray(np.clip(large + repeated, 0, 255).astype(np.uint8))


def screenshot(width: int, height: int) -> Image.Image:
    """A page of text with flat colours."""
    picture = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 0, width, height // 12), fill="#204080")
    for line in range(height // 40):
        draw.text(
            (40, height // 10 + 36 * line), f"line {line} of a page with some words in it " * 4, fill="black"
        )
    return picture


def files(archive: Path, only: str) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file whose name contains ``only``."""
    photographs: dict[str, tuple[int, str, dict[str, Any]]] = {}
    for megapixels in SIZES:
        photographs[f"JPEG, {megapixels} MP"] = (megapixels, "JPEG", {"quality": 90})
        photographs[f"JPEG progressive, {megapixels} MP"] = (
            megapixels,
            "JPEG",
            {"quality": 95, "progressive": True},
        )
    photographs |= {
        "WebP, 12 MP": (12, "WEBP", {"quality": 85, "method": 1}),
        "HEIC, 12 MP": (12, "HEIF", {"quality": 80, "enc_params": {"preset": "ultrafast"}}),
        "JPEG 2000, 12 MP": (12, "JPEG2000", {"quality_mode": "rates", "quality_layers": [12]}),
        "TIFF, 20 MB": (7, "TIFF", {}),
        "PNG, 12 MP": (12, "PNG", {"compress_level": 3}),
    }

    def saved(picture: Image.Image, kind: str, how: dict[str, Any]) -> bytes:
        content = io.BytesIO()
        picture.save(content, kind, **how)
        return content.getvalue()

    for name, (megapixels, kind, how) in photographs.items():
        if only.lower() in name.lower():
            yield name, saved(photograph(archive, megapixels), kind, how)
    for width, height in ((2560, 1440), (3840, 2160)):
        name = f"PNG screenshot, {width} × {height}"
        if only.lower() in name.lower():
            yield name, saved(screenshot(width, height), "PNG", {})


def by_pillow(content: bytes) -> np.ndarray:
    """Decode as the service does."""
    return decode_in_process(content, LIMITS).pixels


def by_simplejpeg(content: bytes) -> np.ndarray:
    """libjpeg-turbo with DCT scaling, then the same resampling as ours."""
    import simplejpeg  # noqa: PLC0415

    pixels = simplejpeg.decode_jpeg(content, min_width=WORKING_SIZE, min_height=WORKING_SIZE, min_factor=1)
    picture = Image.fromarray(pixels)
    scale = WORKING_SIZE / max(picture.size)
    size = (round(picture.width * scale), round(picture.height * scale))
    return np.asarray(picture.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0))


def by_vips(content: bytes) -> np.ndarray:
    """Thumbnail of pyvips, which shrinks on load where the format can."""
    import pyvips  # noqa: PLC0415

    picture = pyvips.Image.thumbnail_buffer(content, WORKING_SIZE, height=WORKING_SIZE, size="down")
    return picture.numpy()[..., :3]


def peers(name: str) -> dict[str, Decode]:
    """The engines that read a kind of file."""
    found = {"ours": by_pillow, "pyvips": by_vips}
    if name.startswith(("JPEG,", "JPEG progressive")):
        found["simplejpeg"] = by_simplejpeg
    return found


def memory_mb(path: Path, engine: str) -> float:
    """Growth of the peak memory of a fresh process that decodes a file once."""
    command = [sys.executable, __file__, "--once", engine, str(path)]
    return float(subprocess.run(command, check=True, capture_output=True, cwd=ROOT).stdout)


def once(engine: str, path: str) -> None:
    """Decode a small picture, then the file, and print by how much the peak memory grew, in MB."""
    decode = {"ours": by_pillow, "pyvips": by_vips, "simplejpeg": by_simplejpeg}[engine]
    small = io.BytesIO()
    Image.new("RGB", (600, 600)).save(small, "JPEG")
    decode(small.getvalue())
    content = Path(path).read_bytes()
    Path("/proc/self/clear_refs").write_text("5")  # reset the peak
    before = status_kb("VmRSS")
    decode(content)
    print((status_kb("VmHWM") - before) / 1e3)


def status_kb(name: str) -> int:
    """A line of this process's status, in kB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def measure(name: str, content: bytes, encoder: OnnxEncoder, rounds: int) -> Iterator[dict[str, Any]]:
    """Time the engines in turns, and compare their codes with ours."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        engines = peers(name)
        cpus: dict[str, list[float]] = {engine: [] for engine in engines}
        walls: dict[str, list[float]] = {engine: [] for engine in engines}
        codes: dict[str, np.ndarray] = {}
        for _ in range(rounds):
            for engine, decode in list(engines.items()):
                cpu, wall = time.process_time(), time.perf_counter()
                try:
                    pixels = decode(content)
                except Exception as error:  # noqa: BLE001 - a peer may lack the format
                    del engines[engine]
                    print(f"{name}: {engine} failed: {error}", flush=True)
                    continue
                cpus[engine].append((time.process_time() - cpu) * 1e3)
                walls[engine].append((time.perf_counter() - wall) * 1e3)
                if engine not in codes:
                    codes[engine] = (
                        encoder.encode(encoder.prepare(np.ascontiguousarray(pixels))[None]).y[0] >= 0
                    )
        ours = statistics.median(cpus["ours"])
        for engine in engines:
            cpu_ms = statistics.median(cpus[engine])
            yield {
                "file": name,
                "mb": round(len(content) / 1e6, 1),
                "engine": engine,
                "cpu_ms": round(cpu_ms, 1),
                "wall_ms": round(statistics.median(walls[engine]), 1),
                "memory_mb": round(memory_mb(Path(file.name), engine)),
                "ours_over_it": round(ours / cpu_ms, 2),
                "bits": int(np.count_nonzero(codes[engine] != codes["ours"])),
            }


def main() -> None:
    """Parse arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, help="a zip of photographs")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="measure files whose name contains this")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--once", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        once(*options.once)
        return
    encoder = OnnxEncoder(load_artifact(ROOT / "model_artifacts" / "lite2-256"), threads=1)
    rows = []
    for name, content in files(options.pictures, options.only):
        for row in measure(name, content, encoder, options.rounds):
            rows.append(row)
            print("  ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
