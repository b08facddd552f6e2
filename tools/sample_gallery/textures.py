"""Surfaces of the sample gallery, filling the whole picture."""

import numpy as np
from numpy.random import Generator

from tools.sample_gallery.canvas import (
    Array,
    Colour,
    X,
    Y,
    as_field,
    blend,
    blur,
    falloff,
    glow,
    lookup,
    noise,
    ramp,
    relief,
    smoothstep,
    wave,
)
from tools.sample_gallery.colours import hsv, mix, scaled, varied

WHITE: Colour = (1.0, 1.0, 1.0)


def _turned(rng: Generator, most: float, scale: float) -> tuple[Array, Array]:
    """Coordinates around the middle, turned by up to ``most`` radians and scaled: the camera's hand."""
    angle = rng.uniform(-most, most)
    u = ((X - 0.5) * np.cos(angle) - (Y - 0.5) * np.sin(angle)) * scale
    v = ((X - 0.5) * np.sin(angle) + (Y - 0.5) * np.cos(angle)) * scale
    return as_field(u + rng.uniform(3, 4)), as_field(v + rng.uniform(3, 4))


def _per_cell(rng: Generator, *cells: Array) -> Array:
    """A random number 0 to 1 for each cell, given the whole-numbered coordinates of each pixel's cell."""
    table = rng.random((64, 64), dtype=np.float32)
    across, down = ((np.asarray(c, dtype=np.int64)) % 64 for c in cells)
    return as_field(table[down, across])


def _light_from(rng: Generator) -> tuple[float, float, float]:
    """A low light from somewhere above."""
    return float(rng.uniform(-0.7, 0.7)), float(rng.uniform(-0.8, -0.3)), 0.7


def brick(rng: Generator) -> Array:
    """A brick wall."""
    u, v = _turned(rng, 0.12, rng.uniform(3.2, 5.5))
    v = v * rng.uniform(2.2, 2.8)
    row = np.floor(v)
    u = as_field(u + 0.5 * np.mod(row, 2))
    column = np.floor(u)
    rough = noise(rng, 30, 30, 4, 0.7)
    inset_x = np.minimum(u - column, 1 - (u - column)) * 2.4
    inset_y = np.minimum(v - row, 1 - (v - row))
    face = smoothstep(np.minimum(inset_x, inset_y) + 0.05 * (rough - 0.5), 0.07, 0.13)
    clay = hsv(rng.uniform(0.0, 0.06), rng.uniform(0.45, 0.7), rng.uniform(0.5, 0.75))
    if rng.random() < 0.25:
        clay = hsv(rng.uniform(0.05, 0.12), rng.uniform(0.05, 0.25), rng.uniform(0.65, 0.9))
    tone = 0.2 + 0.5 * _per_cell(rng, column, row) + 0.35 * (rough - 0.3)
    canvas = ramp(0.35 + 0.4 * noise(rng, 70, 70, 2), [(0.45, 0.43, 0.4), varied(rng, (0.75, 0.72, 0.67))])
    blend(canvas, ramp(tone, [scaled(clay, 0.5), clay, mix(clay, (1.0, 0.8, 0.6), 0.4)]), face)
    diffuse, _ = relief(face * 0.6 + rough * 0.25, _light_from(rng), 0.35)
    return as_field(canvas * (0.35 + 0.95 * diffuse)[..., None])


def wood(rng: Generator) -> Array:
    """Planks with grain and knots."""
    u, v = _turned(rng, 0.1, 1.0) if rng.random() < 0.6 else _turned(rng, 0.1, 1.0)[::-1]
    v = v * rng.uniform(3.0, 6.0)
    plank = np.floor(v)
    shift = _per_cell(rng, plank, plank)
    tint = _per_cell(rng, plank, plank)
    swirl = noise(rng, 3, 5, 3)
    knot_u, knot_v = rng.uniform(3.2, 4.2, 2), rng.uniform(0.2, 0.8, 2)
    across = v - plank
    for ku, kv in zip(knot_u, knot_v, strict=True):
        away = ((u + shift - ku) * 7) ** 2 + ((across - kv) * 2.2) ** 2
        swirl = swirl + 0.8 * falloff(away, 0.35)
    fibre = lookup(noise(rng, 4, 128, 3, 0.8), u * 0.35 + shift, v * 0.5)
    rings = wave(swirl * rng.uniform(28, 40) + across * 16 + shift * 30)
    timber = hsv(rng.uniform(0.05, 0.1), rng.uniform(0.35, 0.7), rng.uniform(0.45, 0.9))
    tone = 0.5 + 0.16 * rings + 0.4 * (fibre - 0.5) + 0.35 * (tint - 0.5)
    canvas = ramp(tone, [scaled(timber, 0.4), scaled(timber, 0.85), mix(timber, WHITE, 0.25)])
    gap = np.minimum(across, 1 - across)
    canvas *= (0.25 + 0.75 * smoothstep(gap, 0.005, 0.035))[..., None]
    return canvas


def stripes(rng: Generator) -> Array:
    """Striped cloth with a weave and soft folds."""
    folds = noise(rng, 2, 2, 3, 0.4)
    u, v = _turned(rng, 1.6, 1.0)
    u = u + 0.1 * folds
    hue = rng.random()
    bands = [hsv(hue, 0.7, 0.75), (0.96, 0.94, 0.9), hsv(hue + rng.choice([0.5, 0.08, 0.33]), 0.65, 0.6)]
    rng.shuffle(bands)
    cloth = bands[: int(rng.integers(2, 4))]
    pitch = rng.uniform(5, 12)
    place = np.mod(u * pitch, 1) * len(cloth)
    canvas = np.zeros((*X.shape, 3), np.float32)
    for i, colour in enumerate(cloth):
        nearness = np.minimum(np.abs(place - i - 0.5), len(cloth) - np.abs(place - i - 0.5))
        blend(canvas, colour, smoothstep(nearness, 0.54, 0.46))
    weave = wave(u * 480) * wave(v * 480) + 0.5 * wave(v * 300)
    diffuse, _ = relief(blur(folds, 0.02), (-0.5, -0.6, 0.6), 2.2)
    light = 0.45 + 0.7 * diffuse + 0.045 * weave
    return as_field(canvas * light[..., None])


def water(rng: Generator) -> Array:
    """A clear pool: light nets on the bottom, glints on top."""
    u, v = _turned(rng, 0.5, 1.0)
    hue = rng.uniform(0.48, 0.58)
    bend = noise(rng, 4, 4, 3)
    net = np.zeros_like(X)
    for cells in (5, 8):
        ridge = np.abs(lookup(noise(rng, cells, cells, 2), u + 0.06 * bend, v - 0.05 * bend) - 0.5)
        net += falloff(ridge, 0.028)
    depth = 0.35 + 0.5 * noise(rng, 2, 2, 2) + 0.2 * (bend - 0.5)
    canvas = ramp(depth, [hsv(hue + 0.05, 0.9, 0.45), hsv(hue, 0.75, 0.75), hsv(hue - 0.03, 0.45, 0.92)])
    if rng.random() < 0.4:
        tiles = np.minimum(np.mod((u + 0.03 * bend) * 12, 1), np.mod((v + 0.03 * bend) * 12, 1))
        canvas *= (0.82 + 0.18 * smoothstep(tiles, 0.03, 0.09))[..., None]
    glow(canvas, (0.75, 0.95, 0.9), 0.42 * net)
    surface = noise(rng, 7, 10, 4, 0.55)
    _, glint = relief(surface, _light_from(rng), 0.9)
    glow(canvas, WHITE, 0.45 * glint)
    return canvas


def knit(rng: Generator) -> Array:
    """Knitted wool: columns of V-shaped stitches, plain or with bands."""
    u, v = _turned(rng, 0.25, rng.uniform(9, 15))
    column = np.floor(u)
    across = u - column - 0.5
    # Two slanted strands make a stitch.
    slant = v * 1.15 + np.abs(across) * 1.5
    row = np.floor(slant)
    along = slant - row - 0.5
    strand = np.clip(1 - (along / 0.52) ** 2, 0, 1) * np.clip(1 - ((np.abs(across) - 0.25) / 0.3) ** 2, 0, 1)
    yarn = hsv(rng.random(), rng.uniform(0.25, 0.75), rng.uniform(0.45, 0.9))
    second = rng.choice([0.5, 0.1, 0.0])
    other = mix(hsv(rng.random(), second, 0.9), WHITE, 0.3)
    period = int(rng.integers(5, 11))
    band = (np.mod(row, period) < rng.integers(0, 3)) | (
        (np.mod(row, period) == 4) & (np.mod(column, 2) == 0) & (rng.random() < 0.5)
    )
    fuzz = noise(rng, 80, 80, 2, 0.9)
    twist = wave((across + along) * 26) * 0.07
    height = as_field(np.sqrt(strand)) + 0.12 * fuzz + twist
    diffuse, _ = relief(height, (-0.5, -0.7, 0.8), 0.28)
    canvas = ramp(0.25 + 0.5 * strand + 0.3 * (fuzz - 0.5), [scaled(yarn, 0.35), yarn, mix(yarn, WHITE, 0.25)])
    pattern = ramp(
        0.25 + 0.5 * strand + 0.3 * (fuzz - 0.5), [scaled(other, 0.35), other, mix(other, WHITE, 0.25)]
    )
    blend(canvas, pattern, band)
    return as_field(canvas * (0.35 + 0.85 * diffuse)[..., None])


def pebbles(rng: Generator) -> Array:
    """Rounded stones, packed."""
    u, v = _turned(rng, 0.6, rng.uniform(6, 11))
    u, v = u + 0.25 * noise(rng, 6, 6, 2), v + 0.25 * noise(rng, 6, 6, 2)
    jitter = rng.random((64, 64, 2), dtype=np.float32) * 0.8 + 0.1
    tints = rng.random((64, 64), dtype=np.float32)
    cell_x, cell_y = np.floor(u).astype(np.int64), np.floor(v).astype(np.int64)
    nearest, second = np.full_like(X, 9), np.full_like(X, 9)
    tint = np.zeros_like(X)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            at = ((cell_y + dy) % 64, (cell_x + dx) % 64)
            away = np.hypot(cell_x + dx + jitter[(*at, 0)] - u, cell_y + dy + jitter[(*at, 1)] - v)
            closer = away < nearest
            second = np.where(closer, nearest, np.minimum(second, away))
            tint = np.where(closer, tints[at], tint)
            nearest = np.where(closer, away, nearest)
    edge = as_field(second - nearest)
    stone = smoothstep(edge, 0.04, 0.16)
    dome = as_field(np.sqrt(np.clip(edge, 0, 0.7)))
    hue, warmth = rng.uniform(0.05, 0.12), rng.uniform(0.05, 0.3)
    greys = [
        hsv(hue, warmth, 0.28),
        hsv(hue + 0.5, 0.08, 0.5),
        hsv(hue, warmth, 0.72),
        hsv(hue, warmth * 0.5, 0.92),
    ]
    speckle = noise(rng, 90, 90, 2, 0.9)
    canvas = ramp(tint + 0.2 * (speckle - 0.5), greys)
    diffuse, gloss = relief(blur(dome, 0.006), _light_from(rng), 0.5)
    lit = canvas * (0.3 + 0.85 * diffuse)[..., None] + (rng.uniform(0.0, 0.35) * gloss)[..., None]
    return as_field(lit * (0.12 + 0.88 * stone)[..., None])


def marble(rng: Generator) -> Array:
    """Polished stone with veins."""
    u, v = _turned(rng, 3.1, 1.0)
    warp = noise(rng, 3, 3, 5, 0.55)
    cloud = lookup(noise(rng, 3, 4, 5), u + 0.25 * warp, v + 0.3 * warp)
    base = hsv(rng.random(), rng.uniform(0.02, 0.15), rng.uniform(0.82, 0.97))
    vein = hsv(rng.uniform(0.02, 0.65), rng.uniform(0.1, 0.4), rng.uniform(0.25, 0.5))
    if rng.random() < 0.35:
        base, vein = hsv(rng.choice([0.38, 0.6, 0.02]), rng.uniform(0.3, 0.6), 0.22), (0.85, 0.8, 0.7)
    canvas = ramp(0.3 + 0.6 * (cloud - 0.4), [base, mix(base, vein, 0.12), mix(base, vein, 0.35)])
    for cells, sharp, strength in ((3, 0.02, 0.85), (5, 0.012, 0.55), (9, 0.01, 0.3)):
        line = np.abs(lookup(noise(rng, cells, cells, 4), u + 0.3 * warp, v + 0.2 * warp) - 0.5)
        blend(canvas, vein, strength * falloff(line, sharp) * (0.35 + 0.65 * cloud))
    if rng.random() < 0.3:
        gold = falloff(np.abs(lookup(noise(rng, 4, 4, 3), u + 0.2 * warp, v) - 0.5), 0.006)
        blend(canvas, (0.83, 0.66, 0.3), 0.9 * gold)
    return canvas
