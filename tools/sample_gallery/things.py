"""Man-made objects of the sample gallery."""

import numpy as np
from numpy.random import Generator

from tools.sample_gallery.canvas import (
    Array,
    Colour,
    Point,
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
    relief,
    shade,
    smoothstep,
    solid,
    strokes,
    wave,
)
from tools.sample_gallery.colours import hsv, mix, scaled, varied
from tools.sample_gallery.scenes import below, day_sky, ground_waves
from tools.sample_gallery.textures import wood

WHITE: Colour = (1.0, 1.0, 1.0)
DARK: Colour = (0.08, 0.08, 0.1)


def tabletop(rng: Generator, edge: float) -> Array:
    """A still life's stage: a softly lit wall and a table that begins at ``edge``."""
    wall = hsv(rng.random(), rng.uniform(0.08, 0.45), rng.uniform(0.55, 0.92))
    lamp = distance_to(rng.uniform(0.1, 0.9), rng.uniform(0.0, 0.4))
    canvas = ramp(lamp, [mix(wall, WHITE, 0.35), wall, scaled(wall, 0.55)])
    if rng.random() < 0.6:
        table = wood(rng)
    else:
        cloth = hsv(rng.random(), rng.uniform(0.05, 0.4), rng.uniform(0.5, 0.9))
        table = ramp(noise(rng, 60, 90, 2), [scaled(cloth, 0.85), scaled(cloth, 1.08)])
    blend(
        canvas, table * as_field(0.75 + 0.35 * (Y - edge))[..., None], smoothstep(Y, edge - 0.006, edge + 0.006)
    )
    return canvas


def mug(rng: Generator) -> Array:
    """A coffee mug on a table, with steam."""
    x, foot = rng.uniform(0.4, 0.6), rng.uniform(0.78, 0.88)
    half, tall = rng.uniform(0.15, 0.22), rng.uniform(0.32, 0.46)
    top, tilt = foot - tall, rng.uniform(0.18, 0.3)
    canvas = tabletop(rng, foot - rng.uniform(0.15, 0.3))
    glaze = hsv(rng.random(), rng.choice([0.1, 0.55, 0.75]), rng.uniform(0.45, 0.97))
    contact_shadow(canvas, x + 0.05, foot + half * tilt * 0.6, half * 1.7, 0.6)
    side = 1 if rng.random() < 0.5 else -1
    ear = _arc(x + side * half * 0.98, foot - tall * 0.5, half * 0.62, tall * 0.3)
    solid(canvas, strokes([(ear, 0.045)]), glaze, roundness=0.02)
    taper = rng.uniform(0.8, 1.0)
    wide = half * (taper + (1 - taper) * (foot - Y) / tall)
    across = (X - x) / np.maximum(wide, 0.01)
    rim = half * tilt
    bulge = rim * np.sqrt(np.clip(1 - across**2, 0, 1))
    inside = (smoothstep(np.abs(across), 1.01, 0.98) * smoothstep(Y - top, 0, 0.006)) * smoothstep(
        Y - (foot - rim * 0.5) - bulge * 0.75, 0.006, 0
    )
    pattern = flat(glaze)
    style = rng.random()
    if style < 0.35:
        bands = smoothstep(wave((Y - top) / tall * rng.uniform(9, 30)), 0.1, 0.3)
        blend(pattern, mix(glaze, WHITE, 0.75), bands)
    elif style < 0.6:
        angle = np.arcsin(np.clip(across, -1, 1))
        dots = wave(angle * 9) * wave((Y - top) / tall * 18)
        blend(pattern, hsv(rng.random(), 0.6, 0.95), smoothstep(dots, 0.45, 0.6))
    round_light = 0.42 + 0.65 * np.sqrt(np.clip(1 - (across + 0.35) ** 2 * 0.8, 0, 1))
    paint = pattern * as_field(round_light)[..., None]
    glow(paint, WHITE, 0.5 * falloff((across + 0.5) ** 2, 0.012) * smoothstep(Y, top, top + 0.1))
    blend(canvas, np.clip(paint, 0, 1), inside)
    blend(canvas, mix(glaze, WHITE, 0.25), ellipse(x, top, half, rim))
    blend(canvas, scaled(glaze, 0.5), ellipse(x, top + 0.008, half * 0.92, rim * 0.88))
    drink = rng.choice([0.03, 0.06, 0.09])
    coffee = ramp(distance_to(x, top + 0.03, 3) / half, [hsv(drink, 0.6, 0.5), hsv(drink, 0.75, 0.25)])
    blend(
        canvas,
        coffee,
        ellipse(x, top + 0.025, half * 0.86, rim * 0.7) * ellipse(x, top + 0.008, half * 0.92, rim * 0.88),
    )
    plume = noise(rng, 5, 3, 4) * falloff(np.abs(X - x - 0.06 * wave(Y * 14)), 0.06)
    blend(canvas, WHITE, 0.6 * plume * smoothstep(Y, top - 0.3, top - 0.05) * (top + 0.01 > Y))
    return canvas


def _arc(x: float, y: float, rx: float, ry: float) -> list[Point]:
    """Points of a full ellipse, for drawing a ring."""
    turns = np.linspace(0, 2 * np.pi, 49)
    return [(x + rx * float(np.cos(t)), y + ry * float(np.sin(t))) for t in turns]


CAR_BODY = [
    (-1.0, 0.05), (-0.98, -0.12), (-0.62, -0.2), (-0.36, -0.44), (0.0, -0.5), (0.34, -0.46),
    (0.62, -0.2), (0.9, -0.15), (1.0, 0.0), (0.98, 0.14), (0.6, 0.17), (0.0, 0.17), (-0.6, 0.17), (-0.95, 0.16),
]  # fmt: skip
CAR_GLASS = [(-0.54, -0.2), (-0.33, -0.39), (0.0, -0.445), (0.3, -0.41), (0.5, -0.2), (0.0, -0.18)]


def car(rng: Generator) -> Array:
    """A car from the side on a road."""
    road = rng.uniform(0.6, 0.72)
    canvas = _street(rng, road)
    scale, x = rng.uniform(0.3, 0.42), rng.uniform(0.45, 0.55)
    y = road + rng.uniform(0.02, 0.08)
    mirror = 1 if rng.random() < 0.5 else -1
    stretch = np.array([mirror, rng.uniform(0.85, 1.2)])
    lacquer = hsv(
        rng.choice([0.0, 0.02, 0.1, 0.14, 0.35, 0.58, 0.62, 0.75]),
        rng.choice([0.08, 0.75, 0.9]),
        rng.uniform(0.35, 0.95),
    )
    contact_shadow(canvas, x, y + scale * 0.34, scale * 1.25, 0.75)
    body = polygon(place(curve(np.array(CAR_BODY) * stretch), x, y, scale))
    sheen = ramp((Y - y) / scale + 0.55, [mix(lacquer, WHITE, 0.45), lacquer, lacquer, scaled(lacquer, 0.4)])
    solid(canvas, body, sheen, roundness=0.025, gloss=0.7)
    glass = polygon(place(curve(np.array(CAR_GLASS) * stretch), x, y, scale))
    blend(canvas, ramp((Y - y) / scale + 0.5, [(0.55, 0.68, 0.78), (0.12, 0.16, 0.2), (0.2, 0.25, 0.3)]), glass)
    pillar = x + mirror * 0.02 * scale
    seams = [
        ([(pillar, y - 0.48 * scale), (pillar, y + 0.12 * scale)], 0.012),
        ([(x - 0.4 * scale, y - 0.02 * scale), (x + 0.4 * scale, y - 0.02 * scale)], 0.004),
    ]
    blend(canvas, scaled(lacquer, 0.35), strokes(seams) * body * 0.7)
    for end, colour in ((-0.95, (0.95, 0.2, 0.15)), (0.93, (1.0, 0.97, 0.8))):
        blend(
            canvas,
            colour,
            ellipse(x + mirror * end * scale, y - 0.04 * scale, 0.05 * scale, 0.05 * scale) * body,
        )
    for axle in (-0.58, 0.6):
        _wheel(canvas, x + mirror * axle * scale, y + 0.17 * scale, 0.21 * scale)
    return canvas


def _street(rng: Generator, road: float) -> Array:
    """Sky, a blurred row of houses or trees, and asphalt."""
    canvas = day_sky(rng, road + 0.1)
    hue = rng.choice([0.28, 0.3, 0.07, 0.6])
    far = noise(rng, 9, 6, 2)
    tops = road - 0.08 - rng.uniform(0.1, 0.3) * noise(rng, 5, 1, 4)[128]
    trees = smoothstep(Y - as_field(tops)[None, :], -0.02, 0.03)
    blend(canvas, ramp(far, [hsv(hue, 0.5, 0.2), hsv(hue, 0.4, 0.65)]), trees)
    grit = noise(rng, 90, 90, 2, 0.9)
    asphalt = ramp(0.3 + 0.4 * grit + 0.5 * (Y - road), [(0.2, 0.2, 0.22), (0.5, 0.5, 0.52)])
    blend(canvas, asphalt, smoothstep(Y, road - 0.004, road + 0.004))
    if rng.random() < 0.6:
        dashes = smoothstep(wave((X + rng.random()) * 20), -0.1, 0.1) * smoothstep(
            np.abs(Y - 0.95), 0.014, 0.008
        )
        blend(canvas, (0.9, 0.88, 0.8), dashes * 0.85)
    return canvas


def _wheel(canvas: Array, x: float, y: float, radius: float) -> None:
    """A tyre with a spoked rim."""
    solid(canvas, ellipse(x, y, radius, radius), (0.11, 0.11, 0.12), roundness=0.012, gloss=0.1)
    solid(canvas, ellipse(x, y, radius * 0.62, radius * 0.62), (0.75, 0.76, 0.78), roundness=0.01)
    spokes = [
        ([(x, y), (x + radius * 0.5 * float(np.cos(t)), y + radius * 0.5 * float(np.sin(t)))], radius * 0.14)
        for t in np.arange(5) * 2 * np.pi / 5
    ]
    blend(canvas, (0.2, 0.2, 0.22), ellipse(x, y, radius * 0.5, radius * 0.5))
    blend(canvas, (0.82, 0.83, 0.85), strokes(spokes))


def house(rng: Generator) -> Array:
    """A gabled house on a lawn."""
    ground = rng.uniform(0.74, 0.84)
    canvas = day_sky(rng, ground)
    leaf = hsv(rng.uniform(0.2, 0.34), 0.6, 0.4)
    grain = noise(rng, 40, 40, 3, 0.8)
    for _ in range(int(rng.integers(2, 6))):
        tx, size = rng.random(), rng.uniform(0.09, 0.2)
        crown = smoothstep(distance_to(tx, ground - size * 0.9) + 0.08 * (grain - 0.5), size, size * 0.8)
        solid(canvas, crown, ramp(grain, [scaled(leaf, 0.5), scaled(leaf, 1.4)]), roundness=0.04, gloss=0)
    lawn = ramp(noise(rng, 50, 90, 3, 0.8), [scaled(leaf, 0.7), scaled(leaf, 1.9)])
    blend(canvas, lawn, smoothstep(Y, ground - 0.005, ground + 0.005))
    x, half, tall, pitch = (
        rng.uniform(0.42, 0.58),
        rng.uniform(0.22, 0.32),
        rng.uniform(0.24, 0.36),
        rng.uniform(0.16, 0.28),
    )
    foot = ground + 0.04
    eaves = foot - tall
    wall = hsv(rng.random(), rng.uniform(0.05, 0.5), rng.uniform(0.7, 0.97))
    boards = smoothstep(np.mod((Y - eaves) * 34, 1), 0.0, 0.2)
    paint = ramp(0.45 + 0.5 * boards + 0.25 * (X - x) / half, [scaled(wall, 0.6), wall])
    shade(
        canvas,
        smoothstep(distance_to(x + half * 0.5, foot, 5), half * 1.1, half * 0.6) * (foot < Y + 0.02),
        0.45,
    )
    roof = hsv(rng.choice([0.0, 0.03, 0.06, 0.6]), rng.uniform(0.2, 0.65), rng.uniform(0.3, 0.6))
    chimney = x + half * rng.uniform(-0.6, 0.6)
    solid(canvas, _box(chimney, eaves - pitch * 0.9, 0.035, 0.16), scaled(roof, 0.9), roundness=0.01, gloss=0)
    blend(
        canvas,
        paint,
        polygon([(x - half, foot), (x - half, eaves), (x, eaves - pitch), (x + half, eaves), (x + half, foot)]),
    )
    over = half * 1.14
    slope = pitch * 1.14
    gable = polygon(
        [
            (x - over, eaves + 0.03),
            (x, eaves - slope),
            (x + over, eaves + 0.03),
            (x + over, eaves - 0.02),
            (x, eaves - slope - 0.055),
            (x - over, eaves - 0.02),
        ]
    )
    if rng.random() < 0.5:
        gable = polygon(
            [
                (x - over, eaves + 0.02),
                (x - over * 0.72, eaves - slope),
                (x + over * 0.72, eaves - slope),
                (x + over, eaves + 0.02),
            ]
        )
    shade(canvas, np.roll(gable, 6, axis=0) * (eaves - 0.02 < Y), 0.35)
    tiles = wave(Y * 330) * 0.5 + wave(X * 240 + 3 * np.floor(Y * 52)) * 0.5
    blend(
        canvas, ramp(0.5 + 0.3 * tiles + 0.4 * (grain - 0.5), [scaled(roof, 0.55), scaled(roof, 1.35)]), gable
    )
    door = x + half * rng.uniform(-0.3, 0.3)
    _panel(canvas, door, foot - tall * 0.3, 0.042, tall * 0.6, hsv(rng.random(), 0.65, 0.45), WHITE)
    for wx in (x - half * 0.65, x + half * 0.65):
        _panel(
            canvas,
            wx,
            foot - tall * 0.58,
            0.05,
            tall * 0.36,
            rng.choice([0.2, 0.8]) * np.array([0.7, 0.85, 1.0]),
            WHITE,
            cross=True,
        )
    return canvas


def _box(x: float, y: float, half: float, tall: float) -> Array:
    """The mask of an upright rectangle around (x, y)."""
    return polygon(
        [(x - half, y - tall / 2), (x + half, y - tall / 2), (x + half, y + tall / 2), (x - half, y + tall / 2)]
    )


def _panel(
    canvas: Array,
    x: float,
    y: float,
    half: float,
    tall: float,
    paint: Colour,
    frame: Colour,
    *,
    cross: bool = False,
) -> None:
    """A door or a window in its frame."""
    blend(canvas, frame, _box(x, y, half + 0.012, tall + 0.024))
    sky = ramp((Y - y) / tall + 0.5, [mix(paint, WHITE, 0.35), paint])
    blend(canvas, sky, _box(x, y, half, tall))
    if cross:
        bars = [([(x, y - tall / 2), (x, y + tall / 2)], 0.01), ([(x - half, y), (x + half, y)], 0.01)]
        blend(canvas, frame, strokes(bars))


def balloon(rng: Generator) -> Array:
    """Hot-air balloons in the sky."""
    canvas = day_sky(rng, 1.0)
    if rng.random() < 0.35:
        canvas = ramp(Y, [hsv(0.6, 0.45, 0.75), hsv(0.95, 0.25, 0.95), hsv(0.08, 0.45, 1.0)])
    if rng.random() < 0.7:
        far = hsv(rng.uniform(0.2, 0.65), 0.35, 0.5)
        blend(canvas, mix(far, WHITE, 0.3), below(as_field(0.97 - 0.14 * noise(rng, 3, 1, 5)[128])))
    count = int(rng.choice([1, 1, 2, 3, 4]))
    for i in range(count):
        big = rng.uniform(0.2, 0.28) if count == 1 else rng.uniform(0.07, 0.17)
        x = rng.uniform(0.35, 0.65) if count == 1 else (i + rng.uniform(0.3, 0.7)) / count
        _balloon(rng, canvas, x, rng.uniform(0.3, 0.42) if count == 1 else rng.uniform(0.2, 0.65), big)
    return canvas


def _balloon(rng: Generator, canvas: Array, x: float, y: float, radius: float) -> None:
    """One balloon: an envelope of coloured gores, ropes and a basket."""
    outline = [
        (0, -1.0),
        (0.62, -0.8),
        (0.98, -0.2),
        (0.85, 0.4),
        (0.45, 0.95),
        (0.2, 1.25),
        (-0.2, 1.25),
        (-0.45, 0.95),
        (-0.85, 0.4),
        (-0.98, -0.2),
        (-0.62, -0.8),
    ]
    envelope = polygon(place(curve(outline), x, y, radius))
    v = (Y - y) / radius
    wide = np.sqrt(np.clip(1 - np.where(v < 0, v * v, (v / 1.42) ** 2), 0.03, 1))
    angle = np.arcsin(np.clip((X - x) / radius / wide, -1, 1))
    hue, gores = rng.random(), rng.choice([4, 6, 8])
    colours = [
        hsv(hue, 0.85, 0.9),
        rng.choice([(1.0, 0.85, 0.25), (0.97, 0.95, 0.92), hsv(hue + 0.4, 0.8, 0.8)]),
    ]
    phase = angle * gores + (np.floor(v * rng.uniform(2, 4)) * np.pi if rng.random() < 0.4 else 0)
    cloth = ramp(smoothstep(wave(phase), -0.12, 0.12), [colours[0], tuple(colours[1])])
    if rng.random() < 0.5:
        blend(cloth, hsv(hue + 0.5, 0.7, 0.7), smoothstep(np.abs(v - 0.1), 0.2, 0.17))
    cloth *= as_field(0.82 + 0.18 * np.abs(np.cos(angle * gores)))[..., None]
    basket_y = y + radius * 1.75
    ropes = [
        ([(x + s * radius * 0.2, y + radius * 1.2), (x + s * radius * 0.13, basket_y)], 0.006)
        for s in (-1, -0.3, 0.3, 1)
    ]
    blend(canvas, (0.25, 0.2, 0.15), strokes(ropes) * 0.8)
    solid(canvas, _box(x, basket_y, radius * 0.16, radius * 0.22), (0.5, 0.33, 0.17), roundness=0.01, gloss=0)
    solid(canvas, envelope, cloth, roundness=radius * 0.4, gloss=0.25)


def clock(rng: Generator) -> Array:
    """A round clock on a wall."""
    wall = hsv(rng.random(), rng.uniform(0.1, 0.5), rng.uniform(0.5, 0.9))
    canvas = ramp(
        distance_to(rng.random(), rng.uniform(-0.2, 0.2)) * 0.8,
        [mix(wall, WHITE, 0.3), wall, scaled(wall, 0.6)],
    )
    canvas *= (0.94 + 0.08 * noise(rng, 60, 60, 2, 0.9))[..., None]
    x, y, radius = rng.uniform(0.44, 0.56), rng.uniform(0.44, 0.56), rng.uniform(0.28, 0.4)
    shade(canvas, smoothstep(distance_to(x + 0.03, y + 0.045), radius * 1.12, radius * 0.9), 0.5)
    rim = rng.choice([0.0, 0.1, 0.6])
    case = hsv(rng.random(), rim, rng.uniform(0.25, 0.85))
    ring = smoothstep(distance_to(x, y), radius + 0.004, radius - 0.004)
    inner = smoothstep(distance_to(x, y), radius * 0.88 + 0.004, radius * 0.88 - 0.004)
    band = blur(np.clip(ring - inner, 0, 1), 0.01)
    diffuse, highlight = relief(band, (-0.5, -0.7, 0.6), 0.8)
    blend(canvas, flat(case) * (0.4 + 0.8 * diffuse)[..., None] + (0.5 * highlight)[..., None], ring)
    is_dark = rng.random() < 0.25
    dial, ink = (
        ((0.13, 0.14, 0.17), (0.95, 0.93, 0.88))
        if is_dark
        else (varied(rng, (0.96, 0.94, 0.88)), (0.1, 0.1, 0.12))
    )
    blend(canvas, ramp(distance_to(x - 0.1, y - 0.15), [dial, scaled(dial, 0.8)]), inner)
    shade(
        canvas,
        np.clip(ring - smoothstep(distance_to(x + 0.012, y + 0.02), radius * 0.88, radius * 0.83), 0, 1)
        * inner,
        0.4,
    )
    blend(canvas, ink, _dial_marks(rng, x, y, radius))
    hour, minute = rng.uniform(0, 12), rng.uniform(0, 60)
    hands = [(hour / 12, 0.45, 0.03), (minute / 60, 0.68, 0.02)]
    lines = [([(x, y), _on_dial(x, y, radius * long, turn)], wide) for turn, long, wide in hands]
    shade(canvas, np.roll(blur(strokes(lines), 0.006), (5, 4), (0, 1)) * inner, 0.4)
    blend(canvas, ink, strokes(lines))
    second = rng.uniform(0, 1)
    sweep = [([_on_dial(x, y, -radius * 0.15, second), _on_dial(x, y, radius * 0.72, second)], 0.007)]
    blend(canvas, (0.8, 0.15, 0.1), np.maximum(strokes(sweep), ellipse(x, y, 0.018, 0.018)))
    return canvas


def _on_dial(x: float, y: float, reach: float, turn: float) -> Point:
    """The point at ``turn`` (a fraction of a revolution from twelve o'clock) and ``reach`` from the middle."""
    return x + reach * float(np.sin(2 * np.pi * turn)), y - reach * float(np.cos(2 * np.pi * turn))


def _dial_marks(rng: Generator, x: float, y: float, radius: float) -> Array:
    """Strokes for the hours, thinner ones for the minutes on some clocks."""
    marks = [(i / 12, 0.66 if i % 3 else 0.6, 0.022 if i % 3 == 0 else 0.012) for i in range(12)]
    if rng.random() < 0.6:
        marks += [(i / 60, 0.77, 0.005) for i in range(60)]
    return strokes(
        [
            ([_on_dial(x, y, radius * start, turn), _on_dial(x, y, radius * 0.82, turn)], wide)
            for turn, start, wide in marks
        ]
    )


def sailboat(rng: Generator) -> Array:
    """A sailing boat on the sea by day."""
    horizon = rng.uniform(0.5, 0.66)
    canvas = day_sky(rng, horizon)
    waves = ground_waves(rng, horizon)
    blue = hsv(rng.uniform(0.53, 0.6), rng.uniform(0.6, 0.85), rng.uniform(0.4, 0.65))
    sea = ramp(waves * 0.8 + 0.25 * (Y - horizon), [scaled(blue, 0.5), blue, mix(blue, WHITE, 0.5)])
    blend(canvas, sea, smoothstep(Y, horizon - 0.002, horizon + 0.002))
    x, water, size = rng.uniform(0.35, 0.65), horizon + rng.uniform(0.08, 0.18), rng.uniform(0.22, 0.34)
    mirror = 1 if rng.random() < 0.5 else -1

    def at(*points: Point) -> Array:
        return polygon(place(np.array(points) * (mirror, 1), x, water, size, lean))

    lean = rng.uniform(-0.12, 0.12)
    hull = hsv(rng.random(), rng.choice([0.05, 0.7]), rng.uniform(0.3, 0.95))
    cloth = rng.choice([0.0, 0.0, 0.6])
    sail = hsv(rng.random(), cloth, 0.97)
    shade(canvas, smoothstep(distance_to(x, water + 0.03, 4), size * 0.9, size * 0.3), 0.4)
    glow(
        canvas,
        sail,
        0.25 * falloff(((X - x) / (size * 0.4)) ** 2, 1.0) * smoothstep(waves, 0.4, 0.8) * (water < Y),
    )
    solid(canvas, at((0.04, -1.75), (0.06, -0.2), (0.8, -0.18)), sail, roundness=0.05, gloss=0.1)
    solid(
        canvas, at((-0.04, -1.5), (-0.06, -0.2), (-0.62, -0.16)), scaled(sail, 0.9), roundness=0.04, gloss=0.1
    )
    blend(canvas, (0.3, 0.22, 0.15), at((-0.02, -1.8), (0.02, -1.8), (0.02, 0), (-0.02, 0)))
    body = at((-0.85, -0.12), (0.95, -0.16), (0.7, 0.14), (-0.65, 0.14))
    solid(
        canvas,
        body,
        ramp((Y - water) / size + 0.5, [mix(hull, WHITE, 0.3), hull, scaled(hull, 0.5)]),
        roundness=0.02,
    )
    foam = falloff(np.abs(Y - water - 0.14 * size), 0.012) * smoothstep(noise(rng, 30, 20, 3), 0.35, 0.7)
    blend(canvas, WHITE, np.clip(1.3 * foam * smoothstep(np.abs(X - x), size * 1.1, size * 0.6), 0, 1))
    return canvas
