"""Landscapes of the sample gallery: each painter draws one scene, differently for each generator."""

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw

from tools.sample_gallery.canvas import (
    SIZE,
    Array,
    Colour,
    X,
    Y,
    as_field,
    blend,
    blur,
    distance_to,
    falloff,
    flat,
    glow,
    lookup,
    noise,
    polygon,
    profile,
    ramp,
    relief,
    shade,
    smoothstep,
    solid,
    wave,
)
from tools.sample_gallery.colours import hsv, mix, scaled, varied

WHITE: Colour = (1.0, 1.0, 1.0)


def day_sky(rng: Generator, horizon: float = 1.0, cloudiness: float | None = None) -> Array:
    """A blue sky that pales towards the horizon, with clouds."""
    blue = hsv(rng.uniform(0.54, 0.61), rng.uniform(0.55, 0.8), rng.uniform(0.7, 0.95))
    sky = ramp(Y / horizon, [scaled(blue, 0.85), blue, mix(blue, WHITE, 0.55), mix(blue, WHITE, 0.8)])
    cover = rng.uniform(0.2, 0.8) if cloudiness is None else cloudiness
    depth = np.clip(Y / horizon, 0.02, 1)
    billows = noise(rng, 3, int(rng.integers(4, 8)), 6, 0.55)
    mask = smoothstep(billows, 0.78 - 0.35 * cover, 1.0 - 0.25 * cover) * (0.95 - 0.3 * depth)
    underside = smoothstep(np.roll(billows, -9, axis=0) - billows, -0.1, 0.22)
    blend(sky, ramp(underside, [(1, 1, 1), (0.93, 0.94, 0.97), (0.72, 0.76, 0.83)]), mask)
    return sky


def ground_waves(rng: Generator, horizon: float, fineness: float = 0.22) -> Array:
    """Noise on a plane that runs to the horizon, finer with distance; 0 to 1, meaningful below the horizon."""
    depth = 1 / (np.clip(Y - horizon, 0.004, None) + 0.02)
    texture = noise(rng, 24, 48, 3, 0.6)
    return lookup(texture, (X - 0.5) * depth * fineness * 0.5 + rng.random(), depth * fineness + rng.random())


def below(ridge: Array) -> Array:
    """The mask of everything under an outline of shape (SIZE,), with a soft edge of a pixel."""
    return as_field(np.clip((Y - ridge[None, :]) * SIZE + 0.5, 0, 1))


def pines(rng: Generator, count: int, base: Array, height: float) -> Array:
    """The mask of a row of pines that stand on an outline of shape (SIZE,)."""
    tiers = []
    for x in rng.random(count).tolist():
        tall = height * float(rng.uniform(0.5, 1.1))
        foot = float(base[min(int(x * SIZE), SIZE - 1)]) + 0.02
        for tier in range(5):
            top, wide = foot - tall * (1 - 0.17 * tier), tall * (0.07 + 0.05 * tier)
            low = top + tall * 0.36
            tiers.append([(x, top), (x + wide, low), (x, low - tall * 0.05), (x - wide, low)])
    return polygon(*tiers)


def sunset(rng: Generator) -> Array:
    """The sun low over the sea."""
    horizon = rng.uniform(0.5, 0.72)
    sun_x, sun_y = rng.uniform(0.2, 0.8), horizon - rng.uniform(0.0, 0.2)
    warm = rng.uniform(-0.02, 0.03)
    high = hsv(rng.choice([0.62, 0.7, 0.78, 0.58]), rng.uniform(0.5, 0.75), rng.uniform(0.3, 0.55))
    stops = [
        high,
        mix(high, hsv(0.95 + warm, 0.55, 0.8), 0.55),
        hsv(0.03 + warm, 0.7, 0.95),
        hsv(0.08 + warm, 0.75, 1.0),
        hsv(0.12 + warm, 0.55, 1.0),
    ]
    canvas = ramp(Y / horizon, stops)
    away = distance_to(sun_x, sun_y)
    clouds = smoothstep(noise(rng, 2, int(rng.integers(6, 12)), 5), 0.5, 0.85) * smoothstep(
        Y / horizon, 1.0, 0.7
    )
    blend(canvas, ramp(falloff(away, 0.35), [scaled(high, 0.75), stops[2], (1, 0.85, 0.6)]), clouds * 0.8)
    glow(canvas, (1.0, 0.6, 0.25), 0.75 * falloff(away, 0.12))
    blend(canvas, (1.0, 0.96, 0.82), smoothstep(away, 0.055, 0.045))
    if rng.random() < 0.5:
        hills = below(as_field(horizon - 0.01 - rng.uniform(0.03, 0.12) * profile(rng, 3, 5)))
        blend(canvas, mix(scaled(high, 0.5), stops[2], 0.25), hills * (horizon > Y))
    waves = ground_waves(rng, horizon)
    mirror = ramp((1 - Y) / (1 - horizon) * 0.9, stops)
    sea = mirror * as_field(0.3 + 0.5 * waves)[..., None]
    spread = 0.03 + 0.22 * (Y - horizon)
    glitter = falloff(((X - sun_x) / spread) ** 2, 1.0) * smoothstep(waves, 0.42, 0.7)
    glow(sea, (1.0, 0.75, 0.42), glitter)
    blend(canvas, sea, smoothstep(Y, horizon - 0.002, horizon + 0.003))
    return canvas


def mountain(rng: Generator) -> Array:
    """Snow-capped peaks behind a dark forest, some of them over a lake."""
    canvas = day_sky(rng, 0.7)
    haze = varied(rng, (0.68, 0.78, 0.9), 0.03)
    sun = -1 if rng.random() < 0.5 else 1
    for distance in (0.75, 0.4, 0.05):
        level, rise = 0.62 - 0.22 * distance, rng.uniform(0.2, 0.42) * (1.1 - 0.6 * distance)
        ridge = as_field(level + 0.08 - rise * profile(rng, 3, 7, 0.52) - 0.08 * (1 - distance))
        rock = noise(rng, 7, 5, 6, 0.6)
        # Folds run down from the crest; the side away from the sun lies in blue shadow.
        fall = np.clip(Y - ridge[None, :], 0, 1)
        facets, _ = relief(blur(rock, 0.008) + fall * 0.4, (sun * 0.9, -0.4, 0.35), 1.8)
        stone = ramp(facets, [(0.17, 0.19, 0.27), (0.36, 0.34, 0.36), (0.62, 0.56, 0.5)])
        snow = smoothstep(rock * 0.3 - fall * rng.uniform(0.9, 1.5) - (ridge[None, :] - 0.3) * 0.5, -0.12, 0.0)
        blend(stone, ramp(facets, [(0.46, 0.55, 0.76), (0.85, 0.89, 0.97), (1, 0.99, 0.96)]), snow)
        blend(stone, flat(haze), as_field(distance * 0.75 + 0.35 * np.clip(fall, 0, 1)))
        blend(canvas, stone, below(ridge))
    shore = rng.uniform(0.68, 0.8)
    base = as_field(shore - 0.03 + 0.05 * (0.5 - profile(rng, 2, 3)))
    green = varied(rng, (0.1, 0.2, 0.14), 0.04, 0.3)
    woods = np.maximum(below(base), pines(rng, 90, base, rng.uniform(0.07, 0.14)))
    blend(canvas, ramp(noise(rng, 30, 30, 2), [scaled(green, 0.6), scaled(green, 1.5)]), woods)
    if rng.random() < 0.6:
        waves = ground_waves(rng, shore, 0.12)
        rows = np.clip(2 * shore - Y + (waves - 0.5) * 0.03, 0, 1)
        lake = canvas[(rows * (SIZE - 1)).astype(np.int64), (X * SIZE).astype(np.int64)]
        lake = lake * as_field(0.6 + 0.2 * waves)[..., None] + as_field((0.0, 0.03, 0.06))
        blend(canvas, lake, smoothstep(Y, shore + 0.01, shore + 0.02))
    else:
        meadow = ramp(noise(rng, 12, 50, 3), [varied(rng, (0.25, 0.4, 0.15)), varied(rng, (0.5, 0.62, 0.3))])
        blend(canvas, meadow, below(as_field(shore + 0.08 * profile(rng, 2, 4))))
    return canvas


def city_night(rng: Generator) -> Array:
    """A skyline with lit windows, mirrored in water."""
    shore = rng.uniform(0.62, 0.8)
    dusk = hsv(rng.uniform(0.6, 0.78), rng.uniform(0.5, 0.8), 0.16)
    light = hsv(rng.choice([0.08, 0.05, 0.92, 0.6]), 0.6, rng.uniform(0.65, 0.95))
    canvas = ramp(Y / shore, [scaled(dusk, 0.4), dusk, mix(dusk, light, 0.35), mix(dusk, light, 0.75)])
    side = SIZE * 2
    for distance in (1.0, 0.5, 0.0):
        wall = mix(mix(scaled(dusk, 0.45), (0.02, 0.02, 0.04), 0.4), light, 0.28 * distance)
        sheet = Image.new("RGBA", (side, side))
        pen = ImageDraw.Draw(sheet)
        left = -0.05
        while left < 1.0:
            width = rng.uniform(0.05, 0.14)
            tall = (
                rng.uniform(0.12, 0.34) + 0.26 * distance * rng.random() + (0.15 if rng.random() < 0.15 else 0)
            )
            _tower(rng, pen, (left * side, (shore - tall) * side, (left + width) * side, shore * side), wall)
            left += width * rng.uniform(0.75, 1.15)
        layer = as_field(sheet.reduce(2)) / np.float32(255)
        blend(canvas, layer[..., :3], layer[..., 3])
    halo = blur(np.clip(canvas - 0.4, 0, 1), 0.015)
    canvas += halo * np.float32(1.2)
    waves = ground_waves(rng, shore, 0.1)
    rows = np.clip(2 * shore - Y + (waves - 0.5) * 0.12, 0, 1)
    columns = np.clip(X + (waves - 0.5) * 0.03, 0, 1)
    water = canvas[(rows * (SIZE - 1)).astype(np.int64), (columns * (SIZE - 1)).astype(np.int64)]
    blend(canvas, water * np.float32(0.62), smoothstep(Y, shore - 0.002, shore + 0.002))
    return canvas


def _tower(
    rng: Generator, pen: ImageDraw.ImageDraw, box: tuple[float, float, float, float], wall: Colour
) -> None:
    """Draw one building with a share of its windows lit."""
    left, top, right, bottom = box
    pen.rectangle(box, fill=(*(round(channel * 255) for channel in wall), 255))
    if rng.random() < 0.3:
        middle = (left + right) / 2
        pen.line((middle, top - rng.uniform(10, 40), middle, top), fill=(30, 30, 40, 255), width=2)
    lit, pitch = rng.uniform(0.25, 0.75), rng.uniform(7, 11)
    lamp = hsv(rng.uniform(0.08, 0.16), rng.uniform(0.2, 0.6), 1.0)
    for y in np.arange(top + 6, bottom - 6, pitch):
        for x in np.arange(left + 5, right - 6, pitch):
            if rng.random() < lit:
                colour = scaled(lamp, rng.uniform(0.5, 1.0))
                fill = (*(round(channel * 255) for channel in colour), 255)
                pen.rectangle((x, y, x + pitch * 0.5, y + pitch * 0.55), fill=fill)


def forest(rng: Generator) -> Array:
    """Trunks fading into mist, light from above."""
    mist = hsv(rng.uniform(0.13, 0.32), rng.uniform(0.2, 0.45), rng.uniform(0.75, 0.95))
    leaf = hsv(rng.choice([0.27, 0.3, 0.22, 0.1]), rng.uniform(0.5, 0.75), 0.4)
    canvas = ramp(Y, [mist, mix(mist, leaf, 0.3), mix(mist, leaf, 0.75)])
    for distance in (0.85, 0.6, 0.35, 0.0):
        foliage = noise(rng, int(6 + 8 * distance), int(5 + 8 * distance), 6, 0.65)
        cover = smoothstep(foliage - Y * (1.0 + 0.4 * distance), 0.02, 0.2)
        shades = [scaled(leaf, 0.35), leaf, mix(scaled(leaf, 1.7), mist, 0.2)]
        paint = ramp(noise(rng, 40, 40, 3, 0.8), [mix(shade_, mist, distance * 0.85) for shade_ in shades])
        bark = mix(varied(rng, (0.2, 0.15, 0.11), 0.02, 0.3), mist, distance * 0.85)
        for _ in range(int(rng.integers(2, 5) + 4 * distance)):
            trunk, tone = _trunk(rng, 0.065 * (1.1 - distance), 0.7 + 0.25 * (1 - distance))
            blend(canvas, ramp(tone, [scaled(bark, 0.5), bark, mix(bark, mist, 0.3)]), trunk)
        blend(canvas, paint, cover * (0.95 - 0.3 * distance))
        floor = below(as_field(0.94 - 0.26 * distance + 0.06 * (profile(rng, 6, 6, 0.7) - 0.5)))
        blend(canvas, paint, floor * 0.9)
    beam_x = rng.uniform(0.1, 0.9)
    slant = X - beam_x + (Y - 0.2) * rng.uniform(-0.6, 0.6)
    rays = smoothstep(wave(slant * 38) * 0.5 + wave(slant * 17 + 1) * 0.5, 0.1, 0.9)
    glow(canvas, mix(mist, (1, 0.95, 0.7), 0.5), 0.42 * rays * falloff(np.abs(slant), 0.18) * (1 - Y))
    return canvas


def _trunk(rng: Generator, width: float, foot: float) -> tuple[Array, Array]:
    """The mask of one trunk and its tone from the shaded to the lit side."""
    x, lean = rng.random(), rng.uniform(-0.06, 0.06)
    centre = x + lean * (Y - foot) + 0.006 * wave(Y * 9 + rng.uniform(0, 6))
    half = (
        width * rng.uniform(0.35, 0.6) * (0.75 + 0.35 * Y)
        + 0.02 * smoothstep(Y, foot - 0.06, foot + 0.04) * width
    )
    across = (X - centre) / half
    tone = 0.5 + 0.4 * across + 0.35 * (noise(rng, 30, 4, 3, 0.7) - 0.5)
    return smoothstep(np.abs(across), 1.06, 0.92) * smoothstep(Y, foot + 0.01, foot), as_field(tone)


def desert(rng: Generator) -> Array:
    """Dunes with sharp crests, one side in shadow."""
    horizon = rng.uniform(0.3, 0.48)
    canvas = day_sky(rng, horizon + 0.15, rng.uniform(0, 0.3))
    sand = hsv(rng.uniform(0.055, 0.1), rng.uniform(0.45, 0.65), rng.uniform(0.8, 0.98))
    if rng.random() < 0.35:
        canvas = ramp(Y / horizon, [hsv(0.6, 0.4, 0.6), hsv(0.05, 0.4, 0.9), hsv(0.1, 0.4, 1.0)])
    sun = -1 if rng.random() < 0.5 else 1
    layers = int(rng.integers(3, 6))
    for layer in range(layers):
        near = layer / (layers - 1)
        level = horizon + (0.95 - horizon) * near * 0.75
        crest = as_field(level - (0.05 + 0.17 * near) * (profile(rng, 2, 2) - 0.35))
        depth = Y - crest[None, :]
        # The line between light and shadow winds down from the crest.
        edge = rng.uniform(0.2, 0.8) + sun * (
            0.25 * wave(depth * rng.uniform(8, 14)) + depth * rng.uniform(0.6, 1.6)
        )
        lit = smoothstep((X - edge) * sun, -0.006, 0.012)
        bend = noise(rng, 3, 3, 2) * 26
        ripples = wave((Y * (70 - 25 * near) + X * 14 * sun) + bend) * (0.2 + 0.8 * near)
        grain = noise(rng, 60, 60, 2)
        rim = 0.3 * falloff(np.abs(depth), 0.012) * lit
        tone = (
            0.12
            + lit * (0.62 - 0.5 * depth + 0.1 * ripples)
            + 0.3 * depth * (1 - lit)
            + rim
            + 0.07 * (grain - 0.5)
        )
        dune = ramp(tone, [scaled(sand, 0.22), scaled(sand, 0.55), sand, mix(sand, WHITE, 0.5)])
        blend(dune, scaled(mix(sand, (0.8, 0.85, 1.0), 0.5), 0.95), np.full_like(X, 0.55 * (1 - near)))
        blend(canvas, dune, below(crest))
    return canvas


def beach(rng: Generator) -> Array:
    """A shore from above: sand, foam and turquoise water, with parasols."""
    angle = rng.uniform(0, 2 * np.pi)
    along = (X - 0.5) * np.cos(angle) + (Y - 0.5) * np.sin(angle)
    shore = as_field(along + rng.uniform(-0.18, 0.1) + 0.14 * (noise(rng, 2, 2, 5, 0.45) - 0.5))
    water = hsv(rng.uniform(0.47, 0.53), rng.uniform(0.6, 0.8), 0.8)
    deep = hsv(rng.uniform(0.54, 0.6), 0.8, rng.uniform(0.4, 0.6))
    sand = varied(rng, (0.93, 0.84, 0.68), 0.015, 0.06)
    ripple = noise(rng, 14, 14, 4, 0.6)
    sea = ramp(shore * 1.6 + 0.2 * (ripple - 0.5), [mix(water, sand, 0.45), water, mix(water, deep, 0.6), deep])
    caustics = smoothstep(np.abs(noise(rng, 9, 9, 3) - 0.5), 0.05, 0.0)
    glow(sea, (0.6, 0.75, 0.7), 0.25 * caustics * smoothstep(shore, 0.35, 0.0))
    grains = noise(rng, 90, 90, 2, 0.9)
    canvas = ramp(
        0.3 + 0.5 * grains + 0.25 * noise(rng, 4, 4), [scaled(sand, 0.82), sand, mix(sand, WHITE, 0.35)]
    )
    shade(canvas, smoothstep(shore, -0.12, -0.02), 0.26)
    for _ in range(int(rng.integers(3, 9))):
        spot = rng.random(2)
        if shore[int(spot[1] * SIZE), int(spot[0] * SIZE)] < -0.12:
            _parasol(rng, canvas, float(spot[0]), float(spot[1]), rng.uniform(0.03, 0.055))
    blend(canvas, sea, smoothstep(shore, -0.006, 0.012))
    lace = noise(rng, 16, 16, 5, 0.75)
    for offset, strength in ((0.0, 1.0), (rng.uniform(0.06, 0.1), 0.75), (rng.uniform(0.14, 0.2), 0.5)):
        crest = falloff(np.abs(shore - offset + 0.03 * (lace - 0.5)), 0.014) * smoothstep(lace, 0.25, 0.6)
        blend(canvas, (0.98, 1.0, 1.0), np.clip(crest * 1.5, 0, 1) * strength)
    return canvas


def _parasol(rng: Generator, canvas: Array, x: float, y: float, radius: float) -> None:
    """A striped parasol seen from above, and its shadow."""
    shade(canvas, smoothstep(distance_to(x + radius * 0.5, y + radius * 0.6), radius * 1.1, radius * 0.8), 0.45)
    angle = np.arctan2((Y - y).astype(np.float64), (X - x).astype(np.float64))
    first = hsv(rng.random(), 0.8, 0.9)
    slices = smoothstep(wave(angle * 6 + rng.uniform(0, 6)), -0.15, 0.15)
    cone = 1 - 0.25 * as_field(0.5 + 0.5 * np.cos(angle - 0.8))
    paint = ramp(slices, [first, (0.98, 0.97, 0.94)]) * cone[..., None]
    blend(canvas, paint, smoothstep(distance_to(x, y), radius, radius - 0.006))


def hills(rng: Generator) -> Array:
    """Rolling green fields with hedges and round trees under a day sky."""
    canvas = day_sky(rng, 0.6)
    season = rng.uniform(0.19, 0.32)
    layers = int(rng.integers(4, 6))
    for layer in range(layers):
        near = layer / (layers - 1)
        crest = as_field(0.44 + 0.4 * near - (0.06 + 0.1 * near) * (profile(rng, 2, 2) - 0.3))
        depth = Y - crest[None, :]
        green = hsv(season + rng.uniform(-0.05, 0.04), rng.uniform(0.5, 0.7), rng.uniform(0.5, 0.72))
        if rng.random() < 0.3:
            green = hsv(rng.uniform(0.12, 0.16), 0.6, 0.85)
        furrows = wave((X * rng.uniform(-1, 1) + depth * 2) * rng.uniform(60, 140) / (0.5 + near))
        grass = noise(rng, 40, 60, 3, 0.8)
        tone = 0.5 + 0.2 * (noise(rng, 3, 3) - 0.5) + 0.25 * (grass - 0.5) + 0.08 * furrows - 0.5 * depth
        field = ramp(tone, [scaled(green, 0.45), green, mix(green, (1, 1, 0.7), 0.35)])
        blend(field, (0.7, 0.82, 0.93), np.full_like(X, 0.5 * (1 - near)))
        trees = np.zeros_like(X)
        for _ in range(int(rng.integers(3, 9))):
            x, size = rng.random(), rng.uniform(0.012, 0.03) * (0.6 + 1.4 * near)
            foot = float(crest[int(x * SIZE)]) + rng.uniform(-0.2, 0.4) * size
            trees = np.maximum(
                trees,
                smoothstep(distance_to(x, foot - size * 0.8) - 0.4 * size * (grass - 0.5), size, size * 0.8),
            )
        blend(canvas, field, below(crest))
        leaf = mix(hsv(season + 0.03, 0.6, 0.3), (0.7, 0.82, 0.93), 0.4 * (1 - near))
        solid(canvas, trees, leaf, roundness=0.012, gloss=0.0)
    return canvas


def aurora(rng: Generator) -> Array:
    """A starry night with northern lights over a dark ridge."""
    night = hsv(rng.uniform(0.58, 0.72), 0.8, 0.22)
    canvas = ramp(Y, [scaled(night, 0.35), night, mix(night, (0.1, 0.35, 0.4), 0.5)])
    band = falloff(np.abs(X * 0.6 + Y - rng.uniform(0.4, 0.9)), 0.18) * noise(rng, 5, 5, 5, 0.6)
    glow(canvas, (0.32, 0.3, 0.42), band * 0.7)
    stars = as_field(rng.random((SIZE, SIZE)) ** 900) * as_field(rng.random((SIZE, SIZE)))
    glow(canvas, (1.0, 0.98, 0.92), np.clip(stars + 2.5 * blur(stars, 0.004), 0, 1))
    hue = rng.choice([0.36, 0.4, 0.45, 0.85])
    for _ in range(int(rng.integers(2, 4))):
        path = (
            rng.uniform(0.25, 0.6)
            + 0.25 * (noise(rng, 2, 1, 4)[SIZE // 2] - 0.5)
            + 0.1 * rng.uniform(-1, 1) * X[0]
        )
        height = as_field(path)[None, :] - Y
        curtain = np.where(
            height > 0,
            falloff(np.maximum(height, 0), rng.uniform(0.1, 0.22)),
            falloff(np.maximum(-height, 0), 0.012),
        )
        folds = lookup(noise(rng, 20, 1, 4, 0.7), X, np.full_like(X, 0.5))
        paint = ramp(
            np.clip(height * 3, 0, 1), [hsv(hue, 0.6, 1), hsv(hue, 0.85, 0.9), hsv(hue + 0.35, 0.6, 0.7)]
        )
        canvas += paint * as_field(curtain * (0.25 + 0.75 * folds) * rng.uniform(0.5, 0.85))[..., None]
    ridge = as_field(rng.uniform(0.78, 0.9) - rng.uniform(0.05, 0.2) * profile(rng, 3, 6))
    blend(canvas, scaled(night, 0.18), below(ridge))
    if rng.random() < 0.7:
        blend(
            canvas,
            (0.01, 0.015, 0.025),
            pines(rng, int(rng.integers(8, 40)), np.full(SIZE, 0.99, np.float32), rng.uniform(0.15, 0.35)),
        )
    return canvas
