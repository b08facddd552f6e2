"""Variants of a query picture: rotations, reflections and regions of it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle of an upright picture, in fractions of its width and height."""

    x: float
    y: float
    width: float
    height: float

    def within(self, outer: Self) -> Self:
        """Convert from fractions of ``outer`` to fractions of the picture that contains ``outer``."""
        x, y = outer.x + self.x * outer.width, outer.y + self.y * outer.height
        return type(self)(x, y, self.width * outer.width, self.height * outer.height)


WHOLE: Final = Region(0.0, 0.0, 1.0, 1.0)


class Regions(StrEnum):
    """Which parts of a query picture to search with, beside the whole."""

    NONE = "none"
    BORDERS = "borders"
    """The content without even borders, if there are any."""
    AUTO = "auto"
    """The content without even borders, and windows."""


@dataclass(frozen=True, slots=True)
class QueryVariant:
    """A query picture as it is encoded."""

    orientation: int = 1
    """EXIF orientation, 1 to 8."""
    region: Region = WHOLE
