"""Colours of the sample gallery: mixing them, and naming the one that a picture shows most."""

import colorsys
from typing import Final

import numpy as np
from numpy.random import Generator
from PIL import Image

from tools.sample_gallery.canvas import Colour

_HUES: Final = (
    (0.04, "red"),
    (0.11, "orange"),
    (0.18, "yellow"),
    (0.45, "green"),
    (0.54, "turquoise"),
    (0.71, "blue"),
    (0.83, "purple"),
    (0.95, "pink"),
    (1.01, "red"),
)
"""Upper bound of each hue, as a fraction of the colour circle."""


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """A colour from hue (wraps around at 1), saturation and value."""
    return colorsys.hsv_to_rgb(hue % 1.0, min(max(saturation, 0.0), 1.0), min(max(value, 0.0), 1.0))


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """``share`` of the second colour in the first."""
    red, green, blue = (a + (b - a) * share for a, b in zip(first, second, strict=True))
    return red, green, blue


def scaled(colour: Colour, factor: float) -> Colour:
    """A colour made darker, or lighter up to white."""
    red, green, blue = (min(channel * factor, 1.0) for channel in colour)
    return red, green, blue


def varied(rng: Generator, colour: Colour, hue: float = 0.02, value: float = 0.1) -> Colour:
    """A colour a little beside the given one."""
    h, s, v = colorsys.rgb_to_hsv(*colour)
    return hsv(h + rng.uniform(-hue, hue), s * rng.uniform(0.85, 1.1), v * rng.uniform(1 - value, 1 + value))


def dominant_colour(picture: Image.Image) -> str:
    """Name the colour that most of a picture shows, vivid pixels counting more than pale ones."""
    small = picture.convert("RGB").resize((16, 16), Image.Resampling.BOX)
    votes: dict[str, float] = {}
    for red, green, blue in np.asarray(small).reshape(-1, 3) / 255:
        hue, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
        name = _name(hue, saturation, value)
        votes[name] = votes.get(name, 0.0) + 0.35 + saturation * value
    return max(sorted(votes), key=votes.__getitem__)


def _name(hue: float, saturation: float, value: float) -> str:
    if value < 0.2:
        return "black"
    if saturation < 0.16:
        return "white" if value > 0.8 else "grey"
    name = next(name for bound, name in _HUES if hue < bound)
    # Dark orange is what people call brown.
    return "brown" if name in {"orange", "red"} and value < 0.62 and saturation < 0.75 else name
