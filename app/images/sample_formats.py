"""Reduce samples of more than eight bits to eight: find the white level and scale to it."""

import io
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.images.containers.source import Samples

_DEPTHS: Final = (8, 10, 12, 14)
"""Sensor depths whose samples are often stored unscaled in larger types."""
_ROWS: Final = 256
"""Rows scaled at a time: a whole picture as floats would need eight times its memory."""
_MAX_SAMPLES: Final = 1_000_000
_HIGHLIGHTS: Final = 99.9
"""Percentile that becomes white in floats above 1, so that a few highlights do not darken the picture."""


def white_of(samples: NDArray[np.generic], bits: int) -> float:
    """Return the value that represents white.

    Args:
        samples: Unsigned integers or floats, any shape.
        bits: Declared bits per sample.

    Returns:
        For integers, the maximum of the declared depth; if 16 or 32 bits are declared but not used, the maximum
        of the smallest sensor depth that contains all samples. For floats, 1, or a high percentile if samples
        exceed 1.
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
    subset = samples.reshape(-1)[:: max(1, samples.size // _MAX_SAMPLES)].astype(np.float64)
    subset = subset[np.isfinite(subset)]
    top = float(subset.max(initial=0.0))
    if top <= 1.0:
        return 1.0
    if np.array_equal(subset, np.rint(subset)):
        # Integers stored as floats.
        return next((float((1 << depth) - 1) for depth in (*_DEPTHS, 16) if top < 1 << depth), top)
    return max(1.0, float(np.percentile(subset, _HIGHLIGHTS)))


def eight_bit(samples: NDArray[np.generic], white: float, *, is_negative: bool = False) -> NDArray[np.uint8]:
    """Scale samples so that ``white`` becomes 255, rounded and clipped.

    Args:
        samples: Unsigned integers or floats, any shape.
        white: The value that represents white.
        is_negative: Whether ``white`` represents black instead, and 0 white.
    """
    scaled = np.empty(samples.shape, np.uint8)
    for start in range(0, len(samples), _ROWS):
        rows = np.nan_to_num(samples[start : start + _ROWS].astype(np.float64), posinf=white, neginf=0.0)
        scaled[start : start + _ROWS] = np.clip(np.rint(rows * (255.0 / white)), 0, 255)
    return 255 - scaled if is_negative else scaled


def picture_of(samples: Samples, *, is_negative: bool = False) -> Image.Image:
    """Return an 8-bit picture from samples that were read without a decoder."""
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
    """Convert a picture in one of Pillow's modes with 12, 16 or 32 bits per sample to 8-bit grey."""
    samples = np.asarray(picture)
    if picture.mode == "I":
        # Pillow has no mode for unsigned 32-bit samples.
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
"""Raw modes of which Pillow keeps the high bytes, with the raw mode that yields the low bytes."""
_UNSCALED_TOP: Final = 64
"""If all high bytes are below it, at least two of 16 bits are unused, and the depth may be smaller."""


def rawmode_of(opened: Image.Image) -> str:
    """Return Pillow's raw mode of a file that is not loaded yet; empty if unknown."""
    tiles: list[Any] = getattr(opened, "tile", [])
    if not tiles:
        return ""
    args = tiles[0][3]
    return str(args[0]) if isinstance(args, tuple) and args else str(args)


def with_low_bytes(picture: Image.Image, rawmode: str, content: bytes, decoder: str) -> Image.Image:
    """Rescale a picture with 16-bit samples, of which Pillow kept the high bytes, by their actual depth.

    Args:
        picture: The loaded picture.
        rawmode: Pillow's raw mode of the file.
        content: The file.
        decoder: Name of the Pillow plugin that read it.

    Returns:
        The rescaled picture, or ``picture`` itself if the samples use the whole range.
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
