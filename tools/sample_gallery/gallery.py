"""Draw the sample gallery: a few hundred pictures in groups that look alike, the same bytes on each run."""

import io
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.random import Generator
from PIL import Image

from tools.sample_gallery import nature, scenes, textures, things
from tools.sample_gallery.canvas import SIZE, Array, X, Y, as_field
from tools.sample_gallery.colours import dominant_colour

Painter = Callable[[Generator], Array]
"""Draws one picture of its group: a canvas of shape (SIZE, SIZE, 3), 0 to 1."""

JPEG_QUALITY: Final = 80

PAINTERS: Final[dict[str, dict[str, Painter]]] = {
    "scene": {
        "sunset": scenes.sunset,
        "mountain": scenes.mountain,
        "city-night": scenes.city_night,
        "forest": scenes.forest,
        "desert": scenes.desert,
        "beach": scenes.beach,
        "hills": scenes.hills,
        "aurora": scenes.aurora,
    },
    "object": {
        "apple": nature.apple,
        "mug": things.mug,
        "car": things.car,
        "daisy": nature.daisy,
        "fish": nature.fish,
        "house": things.house,
        "balloon": things.balloon,
        "butterfly": nature.butterfly,
        "clock": things.clock,
        "mushroom": nature.mushroom,
        "sailboat": things.sailboat,
    },
    "texture": {
        "brick": textures.brick,
        "wood": textures.wood,
        "stripes": textures.stripes,
        "water": textures.water,
        "knit": textures.knit,
        "pebbles": textures.pebbles,
        "marble": textures.marble,
    },
}
"""Painters by kind and group."""


@dataclass(frozen=True, slots=True)
class SamplePicture:
    """One picture of the sample gallery."""

    name: str
    """Unique and usable as an id: the group and a number, ``sunset-03``."""
    group: str
    """The pictures of a group look alike."""
    jpeg: bytes
    metadata: dict[str, str | float]
    """``label`` (the group), ``kind`` (scene, object, texture), ``colour`` (the dominant one's name),
    ``brightness`` (mean luma, 0 to 1)."""


def draw_gallery(seed: int = 0, per_group: int = 12) -> Iterator[SamplePicture]:
    """Draw the gallery lazily, the groups taking turns.

    A picture depends on the seed, its group's name and its number only: a smaller gallery is a part of a larger
    one, and a new group leaves the others as they are. The bytes are the same on each run with the same Pillow.

    Args:
        seed: Another seed draws another gallery.
        per_group: Pictures in each group.

    Yields:
        JPEG pictures of 256 × 256 pixels.
    """
    for number in range(per_group):
        for kind, painters in PAINTERS.items():
            for group, paint in painters.items():
                rng = np.random.default_rng((seed, zlib.crc32(group.encode()), number))
                yield _finish(_develop(paint(rng), rng), f"{group}-{number + 1:02d}", group, kind)


def _develop(canvas: Array, rng: Generator) -> Image.Image:
    """What a camera does to a scene: exposure, white balance, contrast, a vignette and grain."""
    exposure = rng.uniform(0.88, 1.1)
    balance = as_field([1 + rng.uniform(-0.04, 0.04), 1.0, 1 + rng.uniform(-0.04, 0.04)])
    corner = (X - 0.5) ** 2 + (Y - 0.5) ** 2
    light = (
        np.clip(canvas * balance, 0, 1.4)
        * as_field(exposure * (1.03 - rng.uniform(0.1, 0.5) * corner))[..., None]
    )
    # A gentle shoulder keeps highlights from clipping to flat white.
    above = np.maximum(light - 0.8, 0)
    light = np.where(light > 0.8, 0.8 + above / (1 + 1.6 * above), light)
    grain = rng.standard_normal((SIZE, SIZE), dtype=np.float32) * np.float32(rng.uniform(0.006, 0.016))
    pixels = np.clip(light + grain[..., None], 0, 1) * 255 + 0.5
    return Image.fromarray(pixels.astype(np.uint8))


def _finish(picture: Image.Image, name: str, group: str, kind: str) -> SamplePicture:
    """Encode a picture and describe it."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=JPEG_QUALITY)
    brightness = round(float(np.asarray(picture.convert("L"), dtype=np.float64).mean()) / 255, 2)
    metadata: dict[str, str | float] = {
        "label": group,
        "kind": kind,
        "colour": dominant_colour(picture),
        "brightness": brightness,
    }
    return SamplePicture(name, group, file.getvalue(), metadata)
