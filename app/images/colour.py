"""Convert colours to sRGB from ICC profiles, a declared gamma, CMYK or CIE Lab.

An sRGB profile is ignored, so that pictures with and without it have exactly the same pixels.
"""

import io
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

MAX_PROFILE_BYTES: Final = 4_000_000
"""Larger profiles are ignored; printing profiles have up to 3 MB."""
_KEPT_TRANSFORMS: Final = 16
_MAX_DIFFERENCE: Final = 3
"""Largest change of a colour, in levels, by a profile that counts as sRGB."""
_GRID: Final = (0, 16, 32, 48, 80, 112, 144, 176, 208, 240, 255)
_SPACES: Final = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab ": "LAB"}
"""Pillow's mode for each colour space of a profile."""
_INTENT: Final = ImageCms.Intent.RELATIVE_COLORIMETRIC
_FLAGS: Final = ImageCms.Flags.BLACKPOINTCOMPENSATION


def to_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert a picture of mode L, RGB or CMYK to sRGB, with its profile if that is valid for the mode.

    Args:
        picture: A picture with 8-bit samples.
        profile: The file's ICC profile.
    """
    transform = None if profile is None else _transform(profile, picture.mode)
    return picture.convert("RGB") if transform is None else transform.apply(picture)


def is_described(profile: bytes | None, mode: str) -> bool:
    """Return whether a profile is valid for a mode and changes colours."""
    return profile is not None and _transform(profile, mode) is not None


def from_lab(picture: Image.Image) -> Image.Image:
    """Convert a picture of mode LAB to sRGB."""
    return _lab_transform().apply(picture)


def from_gamma(pixels: NDArray[np.uint8], gamma: float) -> NDArray[np.uint8]:
    """Convert gamma-encoded pixels to sRGB.

    Args:
        pixels: Shape (H, W, 3), uint8.
        gamma: The encoding exponent, such as 0.45455.
    """
    light = (np.arange(256) / 255.0) ** (1.0 / gamma)
    encoded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    table = np.rint(encoded * 255.0).astype(np.uint8)
    converted: NDArray[np.uint8] = table[pixels]
    return converted


@lru_cache(maxsize=_KEPT_TRANSFORMS)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the transform of a profile to sRGB; None if it is damaged, of another mode, or sRGB."""
    if len(profile) > MAX_PROFILE_BYTES:
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if _SPACES.get(source.profile.xcolor_space) != mode:
            return None
        transform = ImageCms.buildTransform(source, _srgb(), mode, "RGB", _INTENT, _FLAGS)
        return None if _changes_nothing(transform, mode) else transform
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        # Decode the picture without a broken profile.
        return None


@lru_cache(maxsize=1)
def _lab_transform() -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(ImageCms.createProfile("LAB"), _srgb(), "LAB", "RGB", _INTENT, _FLAGS)


@lru_cache(maxsize=1)
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    if mode not in {"L", "RGB"}:
        return False
    levels = np.array(_GRID, np.uint8)
    bands = 1 if mode == "L" else 3
    colours = np.stack(np.meshgrid(*[levels] * bands), axis=-1).reshape(1, -1, bands)
    grid = Image.fromarray(colours[..., 0] if bands == 1 else colours)
    before = np.asarray(grid.convert("RGB"), np.int16)
    after = np.asarray(transform.apply(grid), np.int16)
    return int(np.abs(before - after).max()) <= _MAX_DIFFERENCE
