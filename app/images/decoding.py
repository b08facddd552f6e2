"""The one way from bytes to the working picture, for queries, indexing, thumbnails and training alike."""

import io
import warnings
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from app.domain.errors import ImageTooManyPixels, NotAnImage
from app.images.sniff import FORMATS, Limits, sniff

WORKING_SIZE: Final = 512
"""Longest side of a working picture, in pixels."""

Crop = tuple[float, float, float, float]
"""x, y, width and height as fractions of the upright picture."""

_ORIENTATION_TAG: Final = 0x0112
_UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns a picture of each EXIF orientation upright."""
_TURNED: Final = frozenset({5, 6, 7, 8})
_SIXTEEN_BIT: Final = frozenset({"I", "I;16", "I;16B", "I;16L", "I;16N"})


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """A picture, upright, in RGB."""

    pixels: NDArray[np.uint8]
    """Shape (H, W, 3); the longer side at most 512 pixels."""
    width: int
    """Of the whole picture, upright, before it was reduced."""
    height: int
    format: str
    media_type: str


def decode_in_process(content: bytes, limits: Limits, crop: Crop | None = None) -> DecodedImage:
    """Decode the first frame in this very process, which a hostile file may stall or exhaust.

    Raises:
        PictureRefused: It is no picture, damaged, or over a limit.
    """
    found = sniff(content, limits)
    # Pillow raises whatever its plugins raise; here is the edge where all of it means a damaged file.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(content), formats=FORMATS) as opened:
                _check_pixels(opened, limits)
                pixels, width, height = _working_picture(opened, crop)
    except ImageTooManyPixels:
        raise
    except Image.DecompressionBombError as error:
        raise ImageTooManyPixels from error
    except MemoryError:
        raise
    except Exception as error:
        raise NotAnImage(f"{found.format} data, damaged or truncated") from error
    return DecodedImage(pixels, width, height, found.format, found.media_type)


def _check_pixels(opened: Image.Image, limits: Limits) -> None:
    width, height = opened.size
    if width * height > limits.max_pixels:
        raise ImageTooManyPixels(
            f"the picture has {width} × {height} pixels; at most {limits.max_pixels:,} are decoded"
        )


def _working_picture(opened: Image.Image, crop: Crop | None) -> tuple[NDArray[np.uint8], int, int]:
    """Pixels of the working picture, and the size of the whole one, upright."""
    width, height = opened.size
    if crop is None:
        # JPEG only: the decoder itself scales down, which takes a quarter of the time on a large photograph.
        opened.draft(None, (WORKING_SIZE, WORKING_SIZE))
    opened.load()
    orientation = opened.getexif().get(_ORIENTATION_TAG, 1)
    picture = _to_rgb(opened)
    if orientation in _UPRIGHT:
        picture = picture.transpose(_UPRIGHT[orientation])
    if orientation in _TURNED:
        width, height = height, width
    if crop is not None:
        picture = picture.crop(_box(crop, *picture.size))
    longest = max(picture.size)
    if longest > WORKING_SIZE:
        scale = WORKING_SIZE / longest
        size = tuple(max(1, round(side * scale)) for side in picture.size)
        picture = picture.resize((size[0], size[1]), Image.Resampling.BICUBIC, reducing_gap=3.0)
    return np.asarray(picture, dtype=np.uint8), width, height


def _to_rgb(picture: Image.Image) -> Image.Image:
    """Any mode in RGB: deep samples are scaled, not clipped; transparent parts lie on white."""
    if picture.mode in _SIXTEEN_BIT or picture.mode == "F":
        rgb = _from_deep_samples(picture).convert("RGB")
    elif picture.mode in {"RGBA", "LA", "PA", "RGBa", "La"} or "transparency" in picture.info:
        rgba = picture.convert("RGBA")
        rgb = Image.new("RGB", picture.size, "white")
        rgb.paste(rgba, mask=rgba.getchannel("A"))
    else:
        rgb = picture.convert("RGB")
    return rgb


def _from_deep_samples(picture: Image.Image) -> Image.Image:
    samples = np.nan_to_num(np.asarray(picture, dtype=np.float64), posinf=0.0, neginf=0.0)
    if picture.mode == "F":
        top = float(samples.max(initial=0.0))
        white = 1.0 if top <= 1.0 else max(255.0, top)
    else:
        white = 255.0 if samples.max(initial=0.0) <= 255.0 and picture.mode == "I" else 65_535.0
    return Image.fromarray(np.clip(samples * (255.0 / white), 0, 255).astype(np.uint8))


def _box(crop: Crop, width: int, height: int) -> tuple[int, int, int, int]:
    x, y, w, h = crop
    left = min(width - 1, max(0, round(x * width)))
    top = min(height - 1, max(0, round(y * height)))
    right = min(width, max(left + 1, round((x + w) * width)))
    bottom = min(height, max(top + 1, round((y + h) * height)))
    return left, top, right, bottom


# A truncated file must be refused, never padded with grey: its code would be that of another picture.
ImageFile.LOAD_TRUNCATED_IMAGES = False
