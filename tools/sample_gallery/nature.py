"""Fruit, flowers and animals of the sample gallery."""

import numpy as np
from numpy.random import Generator

from tools.sample_gallery.canvas import (
    SIZE,
    Array,
    Colour,
    X,
    Y,
    as_field,
    blend,
    blur,
    contact_shadow,
    curve,
    distance_to,
    ellipse,
    falloff,
    flat,
    glow,
    noise,
    place,
    polygon,
    ramp,
    shade,
    smoothstep,
    solid,
    strokes,
    wave,
)
from tools.sample_gallery.colours import hsv, mix, scaled, varied
from tools.sample_gallery.things import tabletop

WHITE: Colour = (1.0, 1.0, 1.0)
DARK: Colour = (0.07, 0.06, 0.06)


def garden(rng: Generator) -> Array:
    """Greenery out of focus, with discs of light."""
    leaf = hsv(rng.uniform(0.22, 0.38), rng.uniform(0.45, 0.7), rng.uniform(0.35, 0.6))
    canvas = ramp(noise(rng, 3, 3, 2), [scaled(leaf, 0.4), leaf, mix(leaf, (1.0, 1.0, 0.6), 0.45)])
    for _ in range(int(rng.integers(8, 18))):
        disc = distance_to(rng.random(), rng.random())
        size = rng.uniform(0.03, 0.1)
        colour = mix(leaf, hsv(rng.choice([0.15, 0.2, 0.9, 0.12]), 0.4, 1.0), 0.7)
        blend(canvas, colour, rng.uniform(0.08, 0.3) * smoothstep(disc, size, size * 0.7))
    return canvas


def apple(rng: Generator) -> Array:
    """One to three apples on a table."""
    foot = rng.uniform(0.72, 0.82)
    canvas = tabletop(rng, foot - rng.uniform(0.1, 0.25))
    count = int(rng.choice([1, 1, 2, 3]))
    hue = rng.choice([0.0, 0.98, 0.02, 0.24, 0.14])
    for i in range(count):
        size = rng.uniform(0.2, 0.27) if count == 1 else rng.uniform(0.13, 0.17)
        x = rng.uniform(0.42, 0.58) if count == 1 else (i + 0.5 + rng.uniform(-0.1, 0.1)) / count
        _apple(rng, canvas, x, foot - size * 0.75 + rng.uniform(0, 0.05), size, hue + rng.uniform(-0.02, 0.02))
    return canvas


def _apple(rng: Generator, canvas: Array, x: float, y: float, size: float, hue: float) -> None:
    contact_shadow(canvas, x + size * 0.25, y + size * 0.88, size * 1.35, 0.65)
    half = [
        (0, -0.8),
        (0.3, -0.92),
        (0.7, -0.84),
        (1.0, -0.34),
        (0.98, 0.2),
        (0.76, 0.68),
        (0.4, 0.93),
        (0.12, 0.92),
    ]
    outline = [*half, (0, 0.88), *((-a, b) for a, b in half[:0:-1])]
    skin = hsv(hue, 0.85, rng.uniform(0.65, 0.88))
    blush = hsv(hue + rng.uniform(0.03, 0.12), 0.7, 0.92)
    angle = np.arctan2((Y - y + size * 0.6).astype(np.float64), (X - x).astype(np.float64))
    streaks = wave(angle * 40 + 5 * noise(rng, 5, 5, 2)) * noise(rng, 6, 6, 2)
    ripe = noise(rng, 2, 2, 3) + 0.12 * streaks
    paint = ramp(ripe, [skin, skin, mix(skin, blush, 0.4), blush])
    blend(paint, mix(blush, (1, 1, 0.8), 0.6), 0.6 * smoothstep(noise(rng, 60, 60, 1), 0.86, 0.95))
    paint *= (1.12 - 0.5 * smoothstep(distance_to(x - size * 0.3, y - size * 0.4) / size, 0.3, 1.5))[..., None]
    body = polygon(place(curve(outline), x, y, size, rng.uniform(-0.15, 0.15)))
    solid(canvas, body, np.clip(paint, 0, 1), roundness=size * 0.42)
    glow(canvas, WHITE, 0.5 * falloff((distance_to(x - size * 0.42, y - size * 0.42, 0.75) / size) ** 2, 0.03))
    shade(canvas, smoothstep(distance_to(x, y - size * 0.8, 2.4), size * 0.42, 0.0), 0.6)
    tip = (x + size * rng.uniform(-0.15, 0.2), y - size * 1.22)
    blend(canvas, (0.28, 0.18, 0.1), strokes([([(x, y - size * 0.76), tip], size * 0.09)]))
    if rng.random() < 0.6:
        leaf = place(
            curve([(0, 0), (0.3, -0.22), (0.75, -0.1), (0.4, 0.1)]), *tip, size * 0.9, rng.uniform(-0.4, 0.3)
        )
        solid(canvas, polygon(leaf), varied(rng, (0.3, 0.55, 0.15), 0.03), roundness=0.015, gloss=0.2)


def daisy(rng: Generator) -> Array:
    """Daisies before a blurred garden."""
    canvas = garden(rng)
    hue, pale = rng.random(), rng.choice([0.03, 0.03, 0.45, 0.7])
    count = int(rng.choice([1, 1, 2, 3, 5]))
    for i in range(count):
        size = rng.uniform(0.3, 0.4) if count == 1 else rng.uniform(0.13, 0.22)
        x = rng.uniform(0.42, 0.58) if count == 1 else (i + rng.uniform(0.2, 0.8)) / count
        _daisy(
            rng,
            canvas,
            x,
            rng.uniform(0.38, 0.52) if count == 1 else rng.uniform(0.2, 0.7),
            size,
            hsv(hue, pale, 0.97),
        )
    return canvas


def _daisy(rng: Generator, canvas: Array, x: float, y: float, size: float, petal: Colour) -> None:
    stem = [(x, y), (x + rng.uniform(-0.1, 0.1), y + 0.35), (x + rng.uniform(-0.15, 0.15), 1.1)]
    solid(
        canvas,
        strokes([([(a, b) for a, b in curve(stem, closed=False)], 0.018)]),
        (0.3, 0.5, 0.18),
        roundness=0.012,
    )
    petals, squash = int(rng.integers(12, 22)), rng.uniform(0.7, 1.0)
    shape = curve([(0.15, 0), (0.5, -0.13), (0.88, -0.11), (1.0, 0.0), (0.88, 0.11), (0.5, 0.13)], detail=6)
    shade(canvas, smoothstep(distance_to(x + 0.02, y + 0.04), size * 1.1, size * 0.4), 0.3)
    start = rng.uniform(0, 6)
    away = distance_to(x, y, 1 / squash) / size
    for offset, light in ((0.5, 0.82), (0.0, 1.0)):
        turns = start + (np.arange(petals) + offset + rng.uniform(-0.15, 0.15, petals)) * 2 * np.pi / petals
        lengths = size * rng.uniform(0.88, 1.05, petals)
        leaves = zip(lengths, turns, strict=True)
        ring = polygon(*(place(shape, 0, 0, long, turn) * (1, squash) + (x, y) for long, turn in leaves))
        angle = np.arctan2(((Y - y) / squash).astype(np.float64), (X - x).astype(np.float64))
        ribs = 0.5 + 0.5 * wave(angle * petals * 3)
        paint = ramp(0.25 + 0.6 * away + 0.12 * ribs, [scaled(petal, 0.62), petal, mix(petal, WHITE, 0.4)])
        solid(canvas, ring, paint * np.float32(light), roundness=0.012, gloss=0.0)
    middle = ellipse(x, y, size * 0.27, size * 0.27 * squash)
    grain = smoothstep(noise(rng, 70, 70, 1), 0.35, 0.65)
    yolk = ramp(grain, [hsv(0.09, 0.95, 0.65), hsv(0.13, 0.85, 1.0)])
    solid(canvas, middle, yolk, roundness=size * 0.12, gloss=0.1)


FISH_BODY = [
    (1.0, 0.02),
    (0.72, -0.28),
    (0.2, -0.42),
    (-0.35, -0.3),
    (-0.72, -0.08),
    (-0.72, 0.1),
    (-0.35, 0.3),
    (0.2, 0.42),
    (0.72, 0.27),
]
FISH_TAIL = [
    (-0.62, 0.0),
    (-0.95, -0.42),
    (-1.3, -0.55),
    (-1.12, -0.15),
    (-1.05, 0.02),
    (-1.15, 0.2),
    (-1.3, 0.6),
    (-0.92, 0.4),
]
FISH_FINS = [
    [(0.35, -0.36), (0.1, -0.72), (-0.35, -0.62), (-0.45, -0.24)],
    [(0.1, 0.36), (-0.05, 0.66), (-0.4, 0.58), (-0.35, 0.26)],
]


def fish(rng: Generator) -> Array:
    """Tropical fish under water."""
    hue = rng.uniform(0.46, 0.62)
    canvas = ramp(Y, [hsv(hue, 0.6, 0.85), hsv(hue, 0.8, 0.55), hsv(hue + 0.04, 0.9, 0.25)])
    slant = X * 0.5 + Y * 0.2
    rays = smoothstep(wave(slant * 40 + rng.uniform(0, 6)) * 0.6 + wave(slant * 23) * 0.4, 0.2, 1.0)
    glow(canvas, (0.5, 0.75, 0.7), 0.25 * rays * (1 - Y))
    for _ in range(int(rng.integers(3, 9))):
        _weed(rng, canvas, hue)
    warm = rng.choice([0.04, 0.08, 0.14, 0.0, 0.75, 0.62])
    count = int(rng.choice([1, 1, 2, 3]))
    for i in range(count):
        size = rng.uniform(0.24, 0.32) if count == 1 else rng.uniform(0.12, 0.18)
        y = rng.uniform(0.4, 0.6) if count == 1 else (i + rng.uniform(0.35, 0.65)) / count
        _fish(rng, canvas, rng.uniform(0.4, 0.6), y, size, hsv(warm + rng.uniform(-0.02, 0.02), 0.9, 0.95))
    for _ in range(int(rng.integers(3, 14))):
        x, y, size = rng.random(), rng.random(), rng.uniform(0.005, 0.016)
        away = distance_to(x, y)
        glow(
            canvas,
            (0.8, 0.95, 1.0),
            0.45 * smoothstep(np.abs(away - size), 0.005, 0) + 0.12 * smoothstep(away, size, 0),
        )
    return canvas


def _weed(rng: Generator, canvas: Array, hue: float) -> None:
    x, tall, phase = rng.random(), rng.uniform(0.2, 0.55), rng.uniform(0, 6)
    heights = np.linspace(0, 1, 12)
    path = [(x + 0.03 * float(np.sin(phase + 5 * h)), 1.02 - tall * float(h)) for h in heights]
    green = mix(hsv(rng.uniform(0.2, 0.45), 0.7, 0.4), hsv(hue, 0.8, 0.45), rng.uniform(0.2, 0.7))
    solid(canvas, strokes([(path, rng.uniform(0.012, 0.03))]), green, roundness=0.012, gloss=0.0)


def _fish(rng: Generator, canvas: Array, x: float, y: float, size: float, colour: Colour) -> None:
    mirror = np.array([1 if rng.random() < 0.5 else -1, rng.uniform(0.8, 1.15)])
    tilt = rng.uniform(-0.25, 0.25)
    fin = mix(colour, hsv(rng.choice([0.12, 0.05, 0.6]), 0.6, 1.0), 0.4)
    u = ((X - x) * np.cos(tilt) + (Y - y) * np.sin(tilt)) / size * mirror[0]
    v = ((Y - y) * np.cos(tilt) - (X - x) * np.sin(tilt)) / size
    fan = np.arctan2(v.astype(np.float64), (u + 0.4).astype(np.float64))
    ribs = 0.6 + 0.4 * wave(fan * 60)
    for outline in (FISH_TAIL, *FISH_FINS):
        mask = polygon(place(curve(np.array(outline) * mirror), x, y, size, tilt))
        solid(canvas, mask * 0.92, ramp(ribs, [scaled(fin, 0.55), fin]), roundness=0.012, gloss=0.1)
    body = polygon(place(curve(np.array(FISH_BODY) * mirror), x, y, size, tilt))
    paint = ramp(v * 0.9 + 0.5, [scaled(colour, 0.6), colour, mix(colour, WHITE, 0.6)])
    rows = np.floor(v * 16)
    scales = wave(u * 50 + np.pi * rows) * np.abs(wave(v * 50))
    paint *= (0.92 + 0.1 * scales)[..., None]
    if rng.random() < 0.6:
        band = smoothstep(wave(u * rng.uniform(5, 9) + rng.uniform(0, 6)), 0.55, 0.7)
        blend(paint, rng.choice([WHITE, DARK]), band * (np.abs(u) < 0.75))
    solid(canvas, body, np.clip(paint, 0, 1), roundness=size * 0.2, gloss=0.4)
    gill = smoothstep(np.abs(np.hypot(u - 0.75, v) - 0.32), 0.03, 0.0) * (u < 0.6) * (np.abs(v) < 0.24)
    shade(canvas, gill * body, 0.35)
    eye_x, eye_y = place(np.array([(0.7, -0.08)]) * mirror, x, y, size, tilt)[0]
    blend(canvas, (0.97, 0.95, 0.85), ellipse(eye_x, eye_y, size * 0.09, size * 0.09))
    blend(canvas, DARK, ellipse(eye_x, eye_y, size * 0.055, size * 0.055))
    blend(canvas, WHITE, ellipse(eye_x - size * 0.02, eye_y - size * 0.025, size * 0.02, size * 0.02))


FORE_WING = [(0.04, -0.08), (0.3, -0.55), (0.72, -0.85), (1.0, -0.82), (0.92, -0.45), (0.66, -0.12), (0.3, 0.0)]
HIND_WING = [(0.05, 0.0), (0.35, -0.02), (0.68, 0.1), (0.72, 0.42), (0.5, 0.72), (0.25, 0.6), (0.1, 0.28)]


def butterfly(rng: Generator) -> Array:
    """A butterfly with spread wings before a blurred garden."""
    canvas = garden(rng)
    x, y, size = rng.uniform(0.44, 0.56), rng.uniform(0.45, 0.56), rng.uniform(0.34, 0.44)
    turn = rng.uniform(-0.5, 0.5)
    squeeze = rng.uniform(0.75, 1.0)
    tint = hsv(rng.choice([0.07, 0.09, 0.14, 0.58, 0.6, 0.95]), rng.uniform(0.75, 0.95), 0.95)
    shade(canvas, smoothstep(distance_to(x + 0.03, y + 0.06), size, size * 0.3), 0.3)
    u = as_field(np.abs((X - x) * np.cos(turn) + (Y - y) * np.sin(turn)) / size / squeeze)
    v = as_field(((Y - y) * np.cos(turn) - (X - x) * np.sin(turn)) / size)
    fan = np.arctan2(v.astype(np.float64) - 0.05, u.astype(np.float64) + 0.05)
    veins = smoothstep(np.abs(wave(fan * 9)), 0.12, 0.04)
    spots = np.zeros_like(X)
    for t in np.linspace(-1.0, 1.0, 9):
        spots = np.maximum(
            spots, smoothstep(np.hypot(u - 0.87 + 0.25 * (t > 0.1), v - t * 0.78 + 0.1), 0.035, 0.02)
        )
    for outline in (HIND_WING, FORE_WING):
        wings = np.zeros_like(X)
        for side in (-1, 1):
            wings = np.maximum(
                wings, polygon(place(curve(np.array(outline) * (side * squeeze, 1)), x, y, size, turn))
            )
        core = smoothstep(blur(wings, 0.018), 0.62, 0.85)
        paint = ramp(np.hypot(u, v), [scaled(tint, 0.75), tint, mix(tint, (1, 1, 0.6), 0.25)])
        blend(paint, DARK, np.maximum(1 - core, 0.8 * veins))
        blend(paint, WHITE, spots)
        solid(canvas, wings, paint, roundness=0.02, gloss=0.12)
    spine = place([(0, -0.28), (0, -0.1), (0, 0.42)], x, y, size, turn)
    solid(canvas, strokes([([(a, b) for a, b in spine], 0.035)]), (0.16, 0.12, 0.1), roundness=0.015)
    feelers = [
        place(curve([(0, -0.26), (s * 0.1, -0.5), (s * 0.24, -0.66)], closed=False), x, y, size, turn)
        for s in (-1, 1)
    ]
    blend(canvas, DARK, strokes([([(a, b) for a, b in path], 0.007) for path in feelers]))
    return canvas


def mushroom(rng: Generator) -> Array:
    """Toadstools on a forest floor."""
    canvas = garden(rng)
    ground = rng.uniform(0.76, 0.86)
    moss = hsv(rng.uniform(0.18, 0.3), 0.65, 0.4)
    litter = ramp(noise(rng, 30, 50, 4, 0.8), [scaled(moss, 0.35), moss, mix(moss, (0.7, 0.5, 0.25), 0.5)])
    edge = ground + 0.05 * (noise(rng, 6, 1, 5)[SIZE // 2] - 0.5)
    blend(canvas, litter, smoothstep(Y - edge[None, :], -0.008, 0.008))
    cap = hsv(rng.choice([0.0, 0.01, 0.04, 0.08]), rng.uniform(0.7, 0.9), rng.uniform(0.6, 0.9))
    for i in range(count := int(rng.choice([1, 2, 2, 3]))):
        size = rng.uniform(0.22, 0.3) if count == 1 else rng.uniform(0.11, 0.2)
        x = 0.5 + (i - (count - 1) / 2) * 0.3 + rng.uniform(-0.06, 0.06)
        _mushroom(rng, canvas, x, ground + rng.uniform(0.02, 0.08), size, varied(rng, cap, 0.01))
    return canvas


def _mushroom(rng: Generator, canvas: Array, x: float, foot: float, size: float, cap: Colour) -> None:
    contact_shadow(canvas, x, foot, size * 0.8, 0.6)
    top = foot - size * rng.uniform(1.2, 1.7)
    stem = [
        (-0.2, 0),
        (-0.24, -0.12),
        (-0.16, -0.6),
        (-0.17, -2),
        (0.17, -2),
        (0.16, -0.6),
        (0.24, -0.12),
        (0.2, 0),
    ]
    upright = np.clip(place(stem, x, foot, size), (0, top), (1, 2))
    pale = varied(rng, (0.93, 0.88, 0.78), 0.02, 0.05)
    solid(
        canvas,
        polygon(upright),
        ramp(noise(rng, 50, 8, 2), [scaled(pale, 0.85), pale]),
        roundness=size * 0.12,
        gloss=0.05,
    )
    blend(canvas, scaled(pale, 0.55), ellipse(x, top + size * 0.02, size * 0.86, size * 0.2))
    dome = [
        (-1.0, 0.05),
        (-0.9, -0.38),
        (-0.5, -0.78),
        (0.0, -0.92),
        (0.5, -0.78),
        (0.9, -0.38),
        (1.0, 0.05),
        (0.5, 0.13),
        (0.0, 0.16),
        (-0.5, 0.13),
    ]
    paint = flat(cap)
    if rng.random() < 0.75:
        for _ in range(int(rng.integers(8, 15))):
            a, b = rng.uniform(-0.85, 0.85), rng.uniform(-0.8, 0.05)
            flake = size * rng.uniform(0.05, 0.12)
            blend(
                paint,
                (0.97, 0.94, 0.88),
                ellipse(x + a * size, top + b * size, flake * (1.1 - abs(a) * 0.5), flake * 0.8),
            )
    solid(canvas, polygon(place(curve(dome), x, top, size)), paint, roundness=size * 0.28, gloss=0.4)
