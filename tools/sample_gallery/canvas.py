"""The paint box of the sample gallery: coordinate fields, noise, masks, blends and light.

A canvas is a float32 array of shape (SIZE, SIZE, 3) with values 0 to 1; a field or a mask is (SIZE, SIZE).
Positions are fractions of the picture's side, x to the right and y downwards. Sines and exponentials are
taken in float64: their last bits differ between processors, and in float32 that would show in the bytes.
"""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw

SIZE: Final = 256
SUPERSAMPLING: Final = 4
"""Outlines are drawn this many times larger and averaged down."""

Array = NDArray[np.float32]
Colour = tuple[float, float, float]
"""Red, green and blue, 0 to 1."""
Point = tuple[float, float]

_STEPS: Final = (np.arange(SIZE, dtype=np.float32) + np.float32(0.5)) / np.float32(SIZE)
X: Final[Array] = np.ascontiguousarray(np.broadcast_to(_STEPS, (SIZE, SIZE)))
Y: Final[Array] = np.ascontiguousarray(X.T)


def as_field(values: ArrayLike | Image.Image) -> Array:
    """The values as float32."""
    return np.asarray(values, dtype=np.float32)


def smoothstep(field: ArrayLike, low: float, high: float) -> Array:
    """0 below ``low``, 1 above ``high``, smooth between; ``low`` may exceed ``high`` for a falling step."""
    t = np.clip((as_field(field) - np.float32(low)) / np.float32(high - low), 0, 1)
    return as_field(t * t * (3 - 2 * t))


def wave(phase: ArrayLike) -> Array:
    """sin(phase), phase in radians."""
    return as_field(np.sin(np.asarray(phase, dtype=np.float64)))


def falloff(distance: ArrayLike, reach: float) -> Array:
    """exp(-distance / reach): light that fades."""
    return as_field(np.exp(-np.asarray(distance, dtype=np.float64) / reach))


def distance_to(x: float, y: float, squash: float = 1.0) -> Array:
    """Distance of each pixel from a point; ``squash`` > 1 flattens the circles into wide ellipses."""
    return as_field(np.sqrt((X - x) ** 2 + ((Y - y) * squash) ** 2))


def noise(rng: Generator, across: int, down: int, octaves: int = 4, gain: float = 0.5) -> Array:
    """Fractal value noise, stretched to 0 to 1.

    Args:
        rng: Source of randomness.
        across: Cells of the coarsest octave from left to right.
        down: Cells of the coarsest octave from top to bottom.
        octaves: Layers, each twice as fine as the one before.
        gain: Strength of a layer relative to the one before.
    """
    total = np.zeros((SIZE, SIZE), np.float32)
    strength = 1.0
    for octave in range(octaves):
        cells = (min(down << octave, SIZE) + 3, min(across << octave, SIZE) + 3)
        lattice = Image.fromarray(rng.random(cells, dtype=np.float32))
        # One and a half cells lie outside on each side, so that the edge is as lively as the middle.
        box = (1.5, 1.5, cells[1] - 1.5, cells[0] - 1.5)
        total += np.float32(strength) * as_field(
            lattice.resize((SIZE, SIZE), Image.Resampling.BICUBIC, box=box)
        )
        strength *= gain
    low, high = total.min(), total.max()
    return as_field((total - low) / (high - low))


def profile(rng: Generator, cells: int, octaves: int = 6, gain: float = 0.5) -> Array:
    """Fractal noise along x only, 0 to 1, shape (SIZE,): the outline of a ridge."""
    middle: Array = noise(rng, cells, 1, octaves, gain)[SIZE // 2]
    return middle


def lookup(texture: Array, u: ArrayLike, v: ArrayLike) -> Array:
    """Read a field at (u, v), in fractions of its side, mirrored at its edges."""

    def index(coordinate: ArrayLike) -> NDArray[np.intp]:
        cell = (as_field(coordinate) * SIZE).astype(np.intp) % (2 * SIZE)
        return np.minimum(cell, 2 * SIZE - 1 - cell)

    return texture[index(v), index(u)]


def ramp(field: ArrayLike, colours: Sequence[Colour]) -> Array:
    """Colour a field: 0 gets the first colour, 1 the last, the others lie evenly between.

    Returns:
        A canvas of the field's shape with a last axis of 3.
    """
    steps = np.linspace(0, 1, 1024)
    stops = np.linspace(0, 1, len(colours))
    table = np.stack([np.interp(steps, stops, [c[i] for c in colours]) for i in range(3)], axis=-1)
    return as_field(table).take((np.clip(as_field(field), 0, 1) * 1023).astype(np.intp), axis=0, mode="clip")


def flat(colour: Colour) -> Array:
    """A canvas of one colour."""
    return as_field(np.broadcast_to(as_field(colour), (SIZE, SIZE, 3)).copy())


def blend(canvas: Array, paint: Array | Colour, mask: ArrayLike) -> None:
    """Lay paint over the canvas, in place, where the mask is 1."""
    cover = as_field(mask)
    window = _window(cover)
    colours = as_field(paint)
    part = canvas[window]
    part += ((colours[window] if colours.ndim == 3 else colours) - part) * cover[window][..., None]


def _window(mask: Array, margin: int = 0) -> tuple[slice, slice]:
    """The rows and columns that hold a mask, with a margin in pixels."""
    spans = []
    for axis in (1, 0):
        held = np.flatnonzero(mask.any(axis=axis))
        first, last = (int(held[0]), int(held[-1]) + 1) if held.size else (0, 0)
        spans.append(slice(max(first - margin, 0), min(last + margin, SIZE)))
    return spans[0], spans[1]


def glow(canvas: Array, colour: Colour, strength: ArrayLike) -> None:
    """Add light of a colour to the canvas, in place."""
    canvas += as_field(strength)[..., None] * as_field(colour)


def shade(canvas: Array, mask: ArrayLike, darkness: float) -> None:
    """Darken the canvas, in place: a shadow where the mask is 1."""
    canvas *= (1 - np.float32(darkness) * as_field(mask))[..., None]


def polygon(*outlines: ArrayLike) -> Array:
    """The mask of filled polygons, each with points of shape (n, 2)."""
    shapes = [np.asarray(outline, dtype=np.float64) for outline in outlines]
    return _draw(shapes, 0.0, lambda pen, points: pen.polygon(points, fill=255))


def ellipse(x: float, y: float, rx: float, ry: float) -> Array:
    """The mask of a filled, upright ellipse."""
    turns = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    return polygon(np.stack([x + rx * np.cos(turns), y + ry * np.sin(turns)], axis=-1))


def strokes(lines: Sequence[tuple[Sequence[Point], float]]) -> Array:
    """The mask of lines with round joints, each a list of points and a width."""
    paths = [np.asarray(points, dtype=np.float64) for points, _ in lines]
    widths = iter([max(1, round(width * SIZE * SUPERSAMPLING)) for _, width in lines])
    return _draw(
        paths,
        max(width for _, width in lines),
        lambda pen, points: pen.line(points, fill=255, width=next(widths), joint="curve"),
    )


def _draw(
    shapes: Sequence[NDArray[np.float64]],
    margin: float,
    draw: Callable[[ImageDraw.ImageDraw, list[Point]], None],
) -> Array:
    """Draw outlines on an enlarged sheet no larger than they need, averaged down into a mask."""
    mask = np.zeros((SIZE, SIZE), np.float32)
    corners = np.concatenate(shapes)
    low = np.clip(np.floor((corners.min(axis=0) - margin) * SIZE).astype(np.int64) - 1, 0, SIZE)
    high = np.clip(np.ceil((corners.max(axis=0) + margin) * SIZE).astype(np.int64) + 1, 0, SIZE)
    (left, top), (right, bottom) = low.tolist(), high.tolist()
    if right <= left or bottom <= top:
        return mask
    sheet = Image.new("L", ((right - left) * SUPERSAMPLING, (bottom - top) * SUPERSAMPLING))
    pen = ImageDraw.Draw(sheet)
    for shape in shapes:
        pixels = (shape * SIZE - (left, top)) * SUPERSAMPLING
        draw(pen, [(x, y) for x, y in pixels.tolist()])
    mask[top:bottom, left:right] = as_field(sheet.reduce(SUPERSAMPLING)) / np.float32(255)
    return mask


def curve(points: ArrayLike, *, closed: bool = True, detail: int = 12) -> NDArray[np.float64]:
    """A smooth curve through points of shape (n, 2): a Catmull-Rom spline with ``detail`` points a span."""
    knots = np.asarray(points, dtype=np.float64)
    padded = np.concatenate([knots[-1:], knots, knots[:2]] if closed else [knots[:1], knots, knots[-1:]])
    spans = len(padded) - 3
    t = (np.arange(detail) / detail)[None, :, None]
    before, start, end, after = (padded[i : i + spans, None, :] for i in range(4))
    path = 0.5 * (
        2 * start
        + (end - before) * t
        + (2 * before - 5 * start + 4 * end - after) * t**2
        + (3 * start - before - 3 * end + after) * t**3
    )
    return np.asarray(path.reshape(-1, 2))


def place(points: ArrayLike, x: float, y: float, scale: float, turn: float = 0.0) -> NDArray[np.float64]:
    """Move an outline given around the origin to (x, y), scaled, and turned by radians clockwise."""
    outline = np.asarray(points, dtype=np.float64) * scale
    cosine, sine = np.cos(turn), np.sin(turn)
    turned = np.stack(
        [outline[:, 0] * cosine - outline[:, 1] * sine, outline[:, 0] * sine + outline[:, 1] * cosine], axis=-1
    )
    moved: NDArray[np.float64] = turned + np.array((x, y))
    return moved


def blur(field: Array, radius: float) -> Array:
    """Soften a field or a canvas: three passes of a box of ``radius`` (a fraction of the side)."""
    reach = max(1, round(radius * SIZE))
    soft = field.astype(np.float64)
    for axis in (0, 1):
        soft = np.swapaxes(soft, 0, axis)
        for _ in range(3):
            sums = np.pad(soft, [(reach + 1, reach)] + [(0, 0)] * (soft.ndim - 1), mode="edge")
            np.cumsum(sums, axis=0, out=sums)
            soft = (sums[2 * reach + 1 :] - sums[: -2 * reach - 1]) / (2 * reach + 1)
        soft = np.swapaxes(soft, 0, axis)
    return as_field(soft)


def relief(height: Array, light: tuple[float, float, float], steepness: float) -> tuple[Array, Array]:
    """Light a surface.

    Args:
        height: Height of the surface.
        light: Direction towards the light: right, down, towards the viewer.
        steepness: Factor on the slopes.

    Returns:
        Diffuse light (1 where the surface faces the light) and gloss (a highlight, mostly 0).
    """
    slope_y, slope_x = np.gradient(height * np.float32(steepness * SIZE / 8))
    length = np.sqrt(slope_x**2 + slope_y**2 + 1)
    aim = np.asarray(light) / np.sqrt(np.sum(np.square(light)))
    diffuse = (-slope_x * aim[0] - slope_y * aim[1] + aim[2]) / length
    # The highlight mirrors the light towards a viewer straight above (Phong).
    mirrored = np.clip(2 * diffuse / length - aim[2], 0, 1)
    return as_field(np.clip(diffuse, 0, 1)), as_field(mirrored**24)


def solid(
    canvas: Array,
    mask: Array,
    paint: Array | Colour,
    *,
    light: tuple[float, float, float] = (-0.5, -0.7, 0.8),
    roundness: float = 0.06,
    gloss: float = 0.35,
) -> None:
    """Paint a silhouette as a rounded body, in place: lit from one side, darker at the far edge.

    Args:
        canvas: Where to paint.
        mask: The silhouette.
        paint: Its colour, or a canvas with its pattern.
        light: Direction towards the light.
        roundness: How far the edge is rounded off, in fractions of the side.
        gloss: Strength of the highlight.
    """
    # Beyond the reach of the blur there is nothing to light, so only a window is worked on.
    window = _window(mask, 3 * round(roundness * SIZE) + 4)
    cover = mask[window]
    if not cover.size:
        return
    body = blur(cover, roundness)
    diffuse, highlight = relief(np.sqrt(np.clip(body, 0, 1)), light, 9 * roundness)
    colours = as_field(paint)
    colours = colours[window] if colours.ndim == 3 else colours
    lit = colours * (0.38 + 0.78 * diffuse)[..., None] + (gloss * highlight)[..., None]
    part = canvas[window]
    part += (np.clip(lit, 0, 1) - part) * cover[..., None]


def contact_shadow(canvas: Array, x: float, y: float, rx: float, darkness: float = 0.5) -> None:
    """Darken the ground under an object that stands at (x, y), in place."""
    d = as_field(np.sqrt(((X - x) / rx) ** 2 + ((Y - y) / (rx * 0.28)) ** 2))
    shade(canvas, smoothstep(d, 1.35, 0.2), darkness)
