"""Samples of more than eight bits become eight: which value is white, and how it is scaled."""

import io
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.images.containers.source import Samples

_DEPTHS: Final = (8, 10, 12, 14)
"""Depths of sensors whose samples are stored in larger ones without being scaled."""
_ROWS: Final = 256
"""Rows scaled at a time: floats of a whole picture would take eight times its space."""
_MOST_LOOKED_AT: Final = 1_000_000
_HIGHLIGHTS: Final = 99.9
"""Percentile that is white in floats beyond 1: a few glints must not turn the picture black."""


def white_of(samples: NDArray[np.generic], bits: int) -> float:
    """The value that stands for white.

    Args:
        samples: Unsigned integers or floats, any shape.
        bits: Declared bits of a sample.

    Returns:
        For integers the largest of the declared depth. Where 16 or 32 bits are declared and no sample needs
        as many, the largest of the depth that holds all of them. For floats 1 or, where they go beyond,
        what all but the brightest stay below.
    """
    if samples.size == 0:
        return 1.0
    if np.issubdtype(samples.dtype, np.floating):
        return _white_of_floats(samples)
    top = int(samples.max())
    if bits in {16, 32}:
        for depth in (*_DEPTHS, 16):
            if top < 1 << depth and depth < bits:
                return float((1 << depth) - 1)
    return float((1 << bits) - 1)


def _white_of_floats(samples: NDArray[np.generic]) -> float:
    some = samples.reshape(-1)[:: max(1, samples.size // _MOST_LOOKED_AT)].astype(np.float64)
    some = some[np.isfinite(some)]
    top = float(some.max(initial=0.0))
    if top <= 1.0:
        return 1.0
    if np.array_equal(some, np.rint(some)):
        # Integers in the clothes of floats.
        return next((float((1 << depth) - 1) for depth in (*_DEPTHS, 16) if top < 1 << depth), top)
    return max(1.0, float(np.percentile(some, _HIGHLIGHTS)))


def eight_bit(samples: NDArray[np.generic], white: float, *, is_negative: bool = False) -> NDArray[np.uint8]:
    """Scale samples so that ``white`` becomes 255, rounded and clipped.

    Args:
        samples: Unsigned integers or floats, any shape.
        white: The value that stands for white.
        is_negative: Whether that value stands for black instead, and 0 for white.
    """
    scaled = np.empty(samples.shape, np.uint8)
    for start in range(0, len(samples), _ROWS):
        some = np.nan_to_num(samples[start : start + _ROWS].astype(np.float64), posinf=white, neginf=0.0)
        scaled[start : start + _ROWS] = np.clip(np.rint(some * (255.0 / white)), 0, 255)
    return 255 - scaled if is_negative else scaled


def picture_of(samples: Samples, *, is_negative: bool = False) -> Image.Image:
    """A picture of eight bits a sample from samples that were read without a decoder."""
    has_alpha = samples.mode in {"LA", "La", "RGBA", "RGBa"}
    colours = samples.values[..., :-1] if has_alpha else samples.values
    bands = [eight_bit(colours, white_of(colours, samples.bits), is_negative=is_negative)]
    if has_alpha:
        alpha = samples.values[..., -1:]
        is_float = np.issubdtype(alpha.dtype, np.floating)
        bands.append(eight_bit(alpha, 1.0 if is_float else float((1 << samples.bits) - 1)))
    stacked = np.concatenate(bands, axis=2)
    height, width, count = stacked.shape
    if count == 1:
        return Image.fromarray(stacked[..., 0])
    return Image.frombuffer(
        samples.mode, (width, height), np.ascontiguousarray(stacked), "raw", samples.mode, 0, 1
    )


def from_deep_mode(picture: Image.Image, bits: int | None, *, is_negative: bool = False) -> Image.Image:
    """A grey picture of eight bits from one of Pillow's modes of 12, 16 or 32 bits a sample."""
    samples = np.asarray(picture)
    if picture.mode == "I":
        # Pillow has no mode of unsigned 32-bit samples.
        samples = samples.view(np.uint32) if bits == 32 else samples.clip(0)
    white = white_of(samples, bits or (16 if picture.mode != "F" else 32))
    return Image.fromarray(eight_bit(samples, white, is_negative=is_negative))


_OTHER_BYTES: Final = {
    "RGB;16B": ("RGB", "RGB;16L"),
    "RGBA;16B": ("RGBA", "RGBA;16L"),
    "RGB;16L": ("RGB", "RGB;16B"),
    "RGBA;16L": ("RGBA", "RGBA;16B"),
    "RGB;16N": ("RGB", "RGB;16B"),
    "RGBA;16N": ("RGBA", "RGBA;16B"),
}
"""Pillow keeps the high bytes of these. Read in the other order they give the low ones."""
_UNSCALED_TOP: Final = 64
"""High bytes below it leave at least two bits of sixteen unused: the samples may be of a smaller depth."""


def rawmode_of(opened: Image.Image) -> str:
    """How a file's samples are stored, in Pillow's words, before they are loaded; empty if unknown."""
    tiles: list[Any] = getattr(opened, "tile", [])
    if not tiles:
        return ""
    args = tiles[0][3]
    return str(args[0]) if isinstance(args, tuple) and args else str(args)


def with_low_bytes(picture: Image.Image, rawmode: str, content: bytes, decoder: str) -> Image.Image:
    """A picture of 16-bit colours, of which Pillow kept the high bytes, scaled by the depth they really have.

    Args:
        picture: What Pillow made of the file, loaded.
        rawmode: How its samples are stored.
        content: The file.
        decoder: Pillow's name of the plugin that read it.

    Returns:
        The same picture where the samples use the whole range.
    """
    if rawmode not in _OTHER_BYTES:
        return picture
    high = np.asarray(picture)
    colours = high[..., :3]
    if int(colours.max(initial=0)) >= _UNSCALED_TOP:
        return picture
    mode, swapped = _OTHER_BYTES[rawmode]
    with Image.open(io.BytesIO(content), formats=[decoder]) as again:
        again.tile = [_with_rawmode(tile, swapped) for tile in again.tile]
        low = np.asarray(again)
    values = (colours.astype(np.uint16) << 8) | low[..., :3]
    scaled = eight_bit(values, white_of(values, 16))
    if mode == "RGBA":
        scaled = np.concatenate([scaled, high[..., 3:]], axis=2)
    return Image.fromarray(np.ascontiguousarray(scaled))


def _with_rawmode(tile: Any, rawmode: str) -> Any:
    args = tile.args
    return tile._replace(args=(rawmode, *args[1:]) if isinstance(args, tuple) else rawmode)
