"""Decode a file to its working picture: the same path for queries, indexing, thumbnails and training."""

import io
import mmap
import random
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, UnidentifiedImageError
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile

from app.domain.errors import NotAnImage, PictureRefused, UnsupportedFormat
from app.images import colour, plugins
from app.images.blank import contrast_of, is_blank
from app.images.containers.exif import orientation_of
from app.images.containers.jpeg2000 import halvings_of
from app.images.containers.source import Source
from app.images.decoding_memory import decoding_bytes
from app.images.formats import AVIF, JPEG, JPEG_XL, PNG, TIFF, WEBP, PictureFormat
from app.images.frames import later_frames
from app.images.sample_formats import from_deep_mode, picture_of, rawmode_of, with_low_bytes
from app.images.sniff import Limits, sniff
from app.images.sources import check_pixels, source_of

WORKING_SIZE: Final = 512
"""Longest side of a working picture, in pixels."""

Crop = tuple[float, float, float, float]
"""x, y, width and height as fractions of the upright picture."""
_PILLOW_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""The transposition that turns a picture of each EXIF orientation upright."""
_SWAPS_SIDES: Final = frozenset({5, 6, 7, 8})
"""Orientations that swap width and height."""
_AVERAGED_MODES: Final = frozenset({"L", "LA", "RGB", "RGBA"})
"""Modes of 8-bit samples whose averages are colours; those of palette indexes are not."""
_DEEP_MODES: Final = frozenset({"I", "I;16", "I;16B", "I;16L", "I;16N", "F"})
_ALPHA_MODES: Final = frozenset({"RGBA", "LA", "PA", "RGBa", "La"})
_BACKGROUNDS: Final = ("white", "black")
"""Backgrounds of transparent parts: the first, unless the contrast on the second is much higher."""
_FAINT: Final = 8.0
"""Contrast, in levels of 255, below which the second background is tried."""
_MIN_CONTRAST_RATIO: Final = 4.0
"""Minimum contrast of the second background relative to the first."""
_BYTES_PER_SAMPLE: Final = 5
"""Memory of a JPEG 2000 picture of one tile while it is decoded, in bytes for each sample."""
_TAIL: Final = 4_096
"""Bytes appended to a JPEG without an end marker to test whether it is complete."""

plugins.register()


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """A picture, upright, in 8-bit sRGB."""

    pixels: NDArray[np.uint8]
    """Shape (H, W, 3); the longer side at most 512 pixels."""
    width: int
    """Width of the upright picture before it was reduced."""
    height: int
    """Height of the upright picture before it was reduced."""
    format: str
    media_type: str
    is_blank: bool = False
    """Whether it is nearly uniform, so that its code does not identify copies."""


def _ignore(number: int) -> None:
    pass


@dataclass(frozen=True, slots=True)
class _Job:
    """How to decode a picture, and whom to tell."""

    limits: Limits
    crop: Crop | None
    on_size: Callable[[int], None]
    on_need: Callable[[int], None]


def decode_in_process(
    content: bytes,
    limits: Limits,
    crop: Crop | None = None,
    *,
    on_size: Callable[[int], None] = _ignore,
    on_need: Callable[[int], None] = _ignore,
) -> DecodedImage:
    """Decode a picture in the current process, which a hostile file may stall or exhaust.

    Args:
        content: The file.
        limits: Decoding limits.
        crop: The part to decode, as fractions of the upright picture.
        on_size: Called with the number of pixels that the decoder must process, once the header is read and
            within the limits. Not called for JPEG, which is scaled down while it is decoded.
        on_need: Called with about how many bytes of memory decoding takes, before they are used.

    Raises:
        PictureRefused: The file is not a picture, damaged, not supported, or over a limit.
    """
    found = sniff(content, limits)
    # Pillow plugins may raise any exception. It means that the file is damaged, or of a variant that the plugin
    # does not support.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            source = source_of(content, found.format, limits, on_need)
            job = _Job(limits, crop, on_size, on_need)
            return _decoded(source, found.format, found.media_type, job)
    except (PictureRefused, MemoryError):
        raise
    except Exception as error:
        if _means_unsupported(error, found.format):
            raise UnsupportedFormat(
                f"this variant of {found.format.name} is not supported; save it with 8-bit RGB or grey samples"
            ) from error
        raise NotAnImage(f"{found.format.name} data, damaged or truncated") from error


def _means_unsupported(error: Exception, kind: PictureFormat) -> bool:
    """Return whether a plugin's error means an unsupported variant rather than a damaged file."""
    if isinstance(error, NotImplementedError):
        return True
    message = str(error).lower()
    return any(phrase in message for phrase in ("unsupported", "not supported", "unrecognized image mode")) or (
        # The directory was read successfully.
        kind is TIFF and isinstance(error, UnidentifiedImageError)
    )


def _decoded(source: Source, kind: PictureFormat, media_type: str, job: _Job) -> DecodedImage:
    if source.samples is not None:
        picture = picture_of(source.samples, is_negative=source.is_negative)
        size = picture.size
        pixels = _composited(picture, replace(source, is_negative=False), job.crop)
    else:
        pixels, size, source = _decode_with_pillow(source, kind, job)
        if source.is_unended and not _is_whole(source, kind, job, pixels):
            raise NotAnImage(f"{kind.name} data, damaged or truncated")
    width, height = size
    if source.orientation in _SWAPS_SIDES:
        width, height = height, width
    return DecodedImage(pixels, width, height, kind.name, media_type, is_blank(pixels))


def _is_whole(source: Source, kind: PictureFormat, job: _Job, pixels: NDArray[np.uint8]) -> bool:
    """Return whether a JPEG without an end marker is complete: appended bytes change no pixel."""
    tail = bytes(random.Random(0).choices(range(0xFF), k=_TAIL))  # noqa: S311 - any bytes without a marker work
    extended = replace(source, content=source.content[:-2] + tail + source.content[-2:])
    return np.array_equal(pixels, _decode_with_pillow(extended, kind, replace(job, on_size=_ignore))[0])


def _decode_with_pillow(
    source: Source, kind: PictureFormat, job: _Job, *, may_halve: bool = True
) -> tuple[NDArray[np.uint8], tuple[int, int], Source]:
    """Return the working picture's pixels, the stored size, and the source with the decoder's metadata."""
    with Image.open(io.BytesIO(source.content), formats=[kind.decoder]) as opened:
        size = opened.size
        check_pixels(*size, job.limits.max_pixels_of(kind))
        if kind is not JPEG:
            job.on_size(size[0] * size[1])
        source = _with_decoder_metadata(source, opened, kind)
        if kind is JPEG:
            _scale_jpeg(opened, job.limits, job.crop)
        halvings = 0
        if isinstance(opened, Jpeg2KImageFile) and job.crop is None and may_halve:
            opened.reduce = halvings = _halvings(opened, source.content)
        rawmode = rawmode_of(opened)
        job.on_need(decoding_bytes(kind, opened, size, rawmode) >> 2 * halvings)
        try:
            opened.load()
        except OSError as error:
            if halvings == 0:
                _raise_if_memory_ran_out(error, opened, size)
                raise
            # Some tiles or components may have fewer levels than the main header says.
            return _decode_with_pillow(source, kind, job, may_halve=False)
        first = with_low_bytes(opened, rawmode, source.content, kind.decoder)
        pixels = _composited(first, source, job.crop)
        if kind.is_animated and is_blank(pixels):
            # The animation fades in: use the frame with the highest contrast.
            for frame in later_frames(opened):
                later = _composited(frame, source, job.crop)
                if not is_blank(later) and contrast_of(later) > contrast_of(pixels):
                    pixels = later
    return pixels, size, source


def _raise_if_memory_ran_out(error: OSError, opened: Image.Image, size: tuple[int, int]) -> None:
    """Tell a lack of memory from damage.

    Pillow raises ``OSError`` for both, and OpenJPEG does not say which. It holds four bytes for each sample,
    and Pillow copies each tile; if these do not fit into the address space, the file may be whole.

    Raises:
        MemoryError: The decoder had too little memory.
    """
    is_full = "out of memory" in str(error)
    if isinstance(opened, Jpeg2KImageFile):
        try:
            mmap.mmap(-1, _BYTES_PER_SAMPLE * len(opened.getbands()) * size[0] * size[1]).close()
        except OSError:
            is_full = True
    if is_full:
        raise MemoryError from error


def _with_decoder_metadata(source: Source, opened: Image.Image, kind: PictureFormat) -> Source:
    """Add the decoder's profile and orientation for formats whose containers are not parsed here."""
    if kind in {JPEG, PNG, WEBP, TIFF}:
        return source
    profile = opened.info.get("icc_profile")
    orientation = 1
    if kind is AVIF or (kind is JPEG_XL and getattr(opened, "jpeg", False)):
        # The AVIF plugin reports the container's rotation as EXIF. A JPEG inside a JPEG XL keeps its EXIF
        # block; the decoders of other JPEG XL files and of HEIF apply the rotation themselves.
        orientation = orientation_of(opened.info.get("exif") or b"")
    return replace(source, icc_profile=profile if isinstance(profile, bytes) else None, orientation=orientation)


def _scale_jpeg(opened: Image.Image, limits: Limits, crop: Crop | None) -> None:
    """Let the decoder scale down, which saves memory and three quarters of the time on large pictures."""
    width, height = opened.size
    if crop is None:
        opened.draft(None, (WORKING_SIZE, WORKING_SIZE))
    elif width * height > limits.max_pixels:
        part = 2 if width * height <= 4 * limits.max_pixels else 4
        opened.draft(None, (width // part, height // part))


def _halvings(opened: Jpeg2KImageFile, content: bytes) -> int:
    """Return how often the JPEG 2000 decoder should halve the picture.

    It stays at least twice as large as the working picture, so that the code changes by few bits.
    """
    if opened.mode not in _AVERAGED_MODES:
        return 0
    possible = [
        halvings
        for halvings in range(1, halvings_of(content) + 1)
        if max(opened.size) >> halvings >= 2 * WORKING_SIZE
        # Pillow rounds the reduced sides to the nearest number, its decoder rounds them up.
        and all(not 0 < side % (1 << halvings) < 1 << halvings - 1 for side in opened.size)
    ]
    return max(possible, default=0)


def _composited(picture: Image.Image, source: Source, crop: Crop | None) -> NDArray[np.uint8]:
    """Return the working picture, composited on a background that keeps its content visible."""
    has_alpha = picture.mode in _ALPHA_MODES or "transparency" in picture.info
    pixels = _working_picture(_flattened(picture, source, _BACKGROUNDS[0]), source, crop)
    if has_alpha and (contrast := contrast_of(pixels)) < _FAINT:
        other = _working_picture(_flattened(picture, source, _BACKGROUNDS[1]), source, crop)
        if not is_blank(other) and contrast_of(other) > _MIN_CONTRAST_RATIO * contrast:
            return other
    return pixels


def _flattened(picture: Image.Image, source: Source, background: str) -> Image.Image:
    """Convert any mode to RGB, or to the mode that the profile describes, on ``background``."""
    profile = source.icc_profile
    if picture.mode in _DEEP_MODES:
        picture = from_deep_mode(picture, source.bits, is_negative=source.is_negative)
    if picture.mode in _ALPHA_MODES or "transparency" in picture.info:
        is_grey = picture.mode in {"L", "LA", "La"}
        rgba = picture.convert("LA").convert("RGBA") if picture.mode == "La" else picture.convert("RGBA")
        flat = Image.new("RGB", picture.size, background)
        flat.paste(rgba, mask=rgba.getchannel("A"))
        return flat.convert("L") if is_grey and colour.is_described(profile, "L") else flat
    if picture.mode == "LAB":
        return colour.from_lab(picture)
    if picture.mode == "CMYK" and source.has_plain_inks:
        picture = ImageChops.invert(picture)
    if picture.mode in {"L", "CMYK"} and colour.is_described(profile, picture.mode):
        return picture
    return picture.convert("RGB")


def _working_picture(picture: Image.Image, source: Source, crop: Crop | None) -> NDArray[np.uint8]:
    """Turn, crop and reduce a picture, then convert the remaining pixels to sRGB."""
    if source.orientation in _PILLOW_TURNS:
        picture = picture.transpose(_PILLOW_TURNS[source.orientation])
    if crop is not None:
        picture = picture.crop(_box(crop, *picture.size))
    longest = max(picture.size)
    if longest > WORKING_SIZE:
        scale = WORKING_SIZE / longest
        size = tuple(max(1, round(side * scale)) for side in picture.size)
        picture = picture.resize((size[0], size[1]), Image.Resampling.BICUBIC, reducing_gap=3.0)
    pixels = np.asarray(colour.to_srgb(picture, source.icc_profile), dtype=np.uint8)
    return pixels if source.gamma is None else colour.from_gamma(pixels, source.gamma)


def _box(crop: Crop, width: int, height: int) -> tuple[int, int, int, int]:
    x, y, w, h = crop
    left = min(width - 1, max(0, round(x * width)))
    top = min(height - 1, max(0, round(y * height)))
    right = min(width, max(left + 1, round((x + w) * width)))
    bottom = min(height, max(top + 1, round((y + h) * height)))
    return left, top, right, bottom
