"""Codes for benchmarks: uniform, clustered, and enlarged from real pictures under the shipped models."""

import zipfile
from pathlib import Path

import numpy as np

from app.domain.codes import pack_signs, words_for

ROOT = Path(__file__).resolve().parent.parent
REAL_MODELS = {64: "lite2-64", 256: "lite2-256"}


def uniform(rng: np.random.Generator, n: int, bits: int) -> np.ndarray:
    """Independent bits: the hardest case for anything but a scan."""
    codes = rng.integers(0, 2**64, (n, words_for(bits)), dtype=np.uint64)
    if bits % 64:
        codes[:, -1] &= np.uint64((1 << bits % 64) - 1)
    return codes


def clustered(rng: np.random.Generator, n: int, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """sign(W(μ + σε)) in 24 latent dimensions, σ = .45, a thousand Zipf-sized clusters; codes and clusters."""
    centres = rng.standard_normal((1000, 24), dtype=np.float32)
    projection = rng.standard_normal((24, bits), dtype=np.float32)
    weights = 1 / np.arange(1, 1001) ** 0.7
    clusters = rng.choice(1000, n, p=weights / weights.sum())
    parts = []
    for start in range(0, n, 65_536):
        z = centres[clusters[start : start + 65_536]]
        z = z + 0.45 * rng.standard_normal(z.shape, dtype=np.float32)
        parts.append(pack_signs(z @ projection))
    return np.concatenate(parts), clusters


def real(archives: list[str], pictures: int, kept: Path | None) -> dict[int, np.ndarray]:
    """Codes of pictures drawn evenly from zips, by code length; read from ``kept`` if it exists.

    Args:
        archives: Zips of .jpg and .png files.
        pictures: How many, of all archives together.
        kept: An .npz to read, or else to write.
    """
    if kept is not None and kept.exists():  # whatever pictures they are of
        with np.load(kept) as arrays:
            return {int(name): arrays[name] for name in arrays.files}
    codes = {bits: _codes_of(archives, pictures // len(archives), name) for bits, name in REAL_MODELS.items()}
    if kept is not None:
        np.savez(kept, **{str(bits): array for bits, array in codes.items()})
    return codes


def _codes_of(archives: list[str], each: int, model: str) -> np.ndarray:
    from app.encoding.artifact import load_artifact  # noqa: PLC0415
    from app.encoding.encoder import OnnxEncoder  # noqa: PLC0415
    from app.images.decode import decode_in_process  # noqa: PLC0415
    from app.images.sniff import Limits  # noqa: PLC0415

    encoder = OnnxEncoder(load_artifact(ROOT / "model_artifacts" / model), threads=1)
    codes = []
    for archive in archives:
        with zipfile.ZipFile(archive) as opened:
            names = [n for n in opened.namelist() if n.lower().endswith((".jpg", ".png"))]
            for i in np.random.default_rng(0).permutation(len(names))[:each]:
                pixels = decode_in_process(opened.read(names[i]), Limits()).pixels
                codes.append(pack_signs(encoder.encode(encoder.prepare(pixels)[None]).y))
    return np.random.default_rng(1).permutation(np.concatenate(codes))


def enlarged(rng: np.random.Generator, codes: np.ndarray, n: int, bits: int) -> np.ndarray:
    """``n`` codes drawn from real ones, in each of which up to a quarter of the bits are flipped.

    How many is drawn for each code, evenly from none: near copies, variants, and pictures of the same kind.
    """
    drawn = codes[rng.integers(0, len(codes), n)]
    for start in range(0, n, 65_536):
        part = drawn[start : start + 65_536]
        share = rng.random((len(part), 1), dtype=np.float32) / 4
        flips = np.packbits(rng.random((len(part), bits), dtype=np.float32) < share, axis=1, bitorder="little")
        part ^= flips.view("<u8")
    return drawn
