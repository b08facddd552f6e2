"""Colours become sRGB: by the file's own profile, by a declared gamma, by the inks of CMYK and by CIE Lab.

A profile that describes sRGB changes nothing, not even a rounding: pictures that carry it and pictures that
carry none have equal pixels.
"""

import io
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

MAX_PROFILE_BYTES: Final = 4_000_000
"""Larger profiles are left out of account; those of presses take up to 3 MB."""
_KEPT_TRANSFORMS: Final = 16
_MOST_DIFFERENCE: Final = 3
"""Levels by which a profile may move a colour and still be taken for sRGB's own."""
_GRID: Final = (0, 16, 32, 48, 80, 112, 144, 176, 208, 240, 255)
_SPACES: Final = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab ": "LAB"}
"""Pillow's mode of the pictures that a profile's colour space describes."""
_INTENT: Final = ImageCms.Intent.RELATIVE_COLORIMETRIC
_FLAGS: Final = ImageCms.Flags.BLACKPOINTCOMPENSATION


def to_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """A picture of mode L, RGB or CMYK in sRGB, by its profile where that is readable and describes the mode.

    Args:
        picture: A picture whose samples have eight bits.
        profile: The file's ICC profile.
    """
    transform = None if profile is None else _transform(profile, picture.mode)
    return picture.convert("RGB") if transform is None else transform.apply(picture)


def is_described(profile: bytes | None, mode: str) -> bool:
    """Whether a profile says anything of the colours of pictures of a mode."""
    return profile is not None and _transform(profile, mode) is not None


def from_lab(picture: Image.Image) -> Image.Image:
    """A picture of mode LAB in sRGB."""
    return _lab_transform().apply(picture)


def from_gamma(pixels: NDArray[np.uint8], gamma: float) -> NDArray[np.uint8]:
    """Pixels that a file encoded with an exponent of its own, in sRGB.

    Args:
        pixels: Shape (H, W, 3), uint8.
        gamma: The exponent by which light was encoded, such as 0.45455.
    """
    light = (np.arange(256) / 255.0) ** (1.0 / gamma)
    encoded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    table = np.rint(encoded * 255.0).astype(np.uint8)
    converted: NDArray[np.uint8] = table[pixels]
    return converted


@lru_cache(maxsize=_KEPT_TRANSFORMS)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """What turns a mode's colours into sRGB; None where the profile is damaged, of another space, or sRGB."""
    if len(profile) > MAX_PROFILE_BYTES:
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if _SPACES.get(source.profile.xcolor_space) != mode:
            return None
        transform = ImageCms.buildTransform(source, _srgb(), mode, "RGB", _INTENT, _FLAGS)
        return None if _changes_nothing(transform, mode) else transform
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        # A broken profile never costs the picture.
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
    return int(np.abs(before - after).max()) <= _MOST_DIFFERENCE
