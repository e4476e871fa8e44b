"""A breaking wave before a far mountain, after Hokusai's The Great Wave off Kanagawa (about 1831).

A colour woodblock print: flat blues in stripes that run up the wave, foam in claws with a dark
outline, a sky of warm paper with the grain of the block. Stands in for ``style=wave``.
"""

from __future__ import annotations

import numpy as np

from scripts.paintings.plan import ASPECT, cloud
from scripts.paintings.sheet import SIZE, Sheet, finish, grid, hook, spline

PRUSSIAN, INDIGO, MID_BLUE, PALE_BLUE = (22, 40, 82), (38, 70, 122), (96, 138, 168), (164, 192, 196)
FOAM, PAPER, DUSK, SNOW = (240, 234, 214), (222, 204, 166), (168, 152, 132), (236, 230, 212)
STRIPES = (INDIGO, PALE_BLUE, PRUSSIAN, MID_BLUE, INDIGO, FOAM, PRUSSIAN, PALE_BLUE)

# One breaking wave, x to the right and y up: its back from the foot to the tip, and its hollow.
BACK = (
    (-1.5, -0.25),
    (-0.95, 0.05),
    (-0.55, 0.45),
    (-0.2, 0.82),
    (0.2, 1.0),
    (0.55, 0.93),
    (0.74, 0.66),
)
HOLLOW = (
    (1.5, -0.3),
    (0.8, -0.16),
    (0.32, 0.0),
    (0.1, 0.25),
    (0.14, 0.52),
    (0.36, 0.68),
    (0.74, 0.66),
)
# Foot x and y, size (canvas heights; negative: it breaks to the left), stripes; back to front.
WAVES = (
    (1.17, 0.74, -0.17, 9), (0.44, 0.80, 0.72, 17), (1.12, 0.96, -0.27, 11),
    (0.70, 1.03, 0.21, 9), (0.12, 1.04, 0.27, 9),
)  # fmt: skip
SEED = 1831


def _sky(rng: np.random.Generator) -> Sheet:
    """Warm paper, darker above the horizon, with the grain of the block and bands of cloud."""
    _, y = grid()
    shape = y.shape
    warp = 0.05 * cloud(shape, 5, 5, rng) + 0.012 * cloud(shape, 24, 12, rng)
    grain = np.sin(2 * np.pi * 44 * (y + warp)) * (0.6 + 0.4 * cloud(shape, 12, 40, rng))
    dusk = np.clip((y - 0.1) / 0.6, 0, 1)[..., None] ** 1.5
    sky = (1 - dusk) * PAPER + dusk * np.array(DUSK) + 8 * grain[..., None]
    drift = y + 0.09 * cloud(shape, 6, 4, rng) + 0.02 * cloud(shape, 20, 9, rng)
    for level, width in ((0.10, 0.07), (0.30, 0.06), (0.47, 0.05)):
        inside = np.abs(drift - level) / width + 0.35 * cloud(shape, 9, 7, rng)
        sky = np.where((inside < 0.62)[..., None], 0.35 * sky + 0.65 * np.array(SNOW), sky)
        sky = np.where((np.abs(inside - 0.62) < 0.045)[..., None], MID_BLUE, sky)
    return Sheet(sky)


def _mountain(sheet: Sheet) -> None:
    """A snow-capped cone, far away."""
    slope = spline(
        [(0.46, 0.80), (0.63, 0.66), (0.725, 0.53), (0.765, 0.53), (0.86, 0.66), (1.04, 0.80)]
    )
    sheet.area(slope, INDIGO)
    for n, left in enumerate(slope[8:60:4]):
        sheet.line(
            np.array([left + (0.006, 0.02), left + (0.012 + 0.004 * n, 0.12)]), 0.004, MID_BLUE
        )
    cap = slope[(slope[:, 1] < 0.615)]
    teeth = [
        (cap[-1, 0] - k * (cap[-1, 0] - cap[0, 0]) / 10, 0.615 + 0.03 * (k % 2)) for k in range(11)
    ]
    sheet.area(np.concatenate([cap, teeth]), SNOW)
    sheet.line(slope, 0.005, PRUSSIAN)


def _sea(sheet: Sheet) -> None:
    """Rows of swell behind the breaking waves, the nearer ones higher."""
    x = np.linspace(0, ASPECT, 200)
    for n in range(16):
        top = 0.70 + 0.02 * n + (0.006 + 0.0016 * n) * np.sin((22 - 0.6 * n) * x + 2.4 * n)
        crest = np.stack([x, top], axis=1)
        sheet.area(np.concatenate([crest, [(ASPECT, 1.01), (0, 1.01)]]), STRIPES[n % len(STRIPES)])
        sheet.line(crest, 0.004, PRUSSIAN)


def _claws(sheet: Sheet, crest: np.ndarray, size: float, rng: np.random.Generator) -> None:
    """Foam along a crest (N x 2): outlined fingers that bend down and split at their ends."""
    side = np.sign(size)
    fingers = []

    def finger(at: np.ndarray, angle: float, length: float, depth: int) -> None:
        path, angles = hook(at, angle, length, side * rng.uniform(0.9, 1.9))
        fingers.append((path, 0.30 * length * np.linspace(1, 0.12, len(path)) ** 0.8))
        if depth:
            for place in (4, 7, 10, 13):
                turn = side * rng.uniform(-1.5, -0.3) if place % 2 else side * rng.uniform(0.2, 0.9)
                finger(path[place], angles[place] + turn, length * rng.uniform(0.4, 0.6), depth - 1)

    tangent = np.gradient(crest, axis=0)
    for n in range(0, len(crest), 3):
        along = np.arctan2(tangent[n, 1], tangent[n, 0])
        reach = abs(size) * (0.07 + 0.07 * n / len(crest)) * rng.uniform(0.8, 1.3)
        finger(crest[n], along + side * rng.uniform(-0.5, 1.1), reach, 2)
    for grow, colour in ((0.0065, PRUSSIAN), (0.0, FOAM)):
        swell = np.sin(np.linspace(0, np.pi, len(crest))) ** 0.6
        sheet.line(crest, 0.075 * abs(size) * swell + grow, colour)
        for path, width in fingers:
            sheet.line(path, width + grow, colour)
    for path, width in fingers[::3]:
        sheet.line(path[3:12], 0.35 * width[3:12], PALE_BLUE)
    for _ in range(int(300 * abs(size))):
        at = (
            crest[rng.integers(len(crest))]
            + abs(size) * rng.normal(0, 0.10, 2)
            - (0, 0.05 * abs(size))
        )
        radius = 0.0012 + 0.0035 * rng.random() ** 2
        sheet.dot(at, radius + 0.0018, PRUSSIAN)
        sheet.dot(at, radius, FOAM)


def _wave(
    sheet: Sheet, at: tuple[float, float], size: float, stripes: int, rng: np.random.Generator
) -> None:
    """Stripes from the foot to the tip, between the back and the hollow, then the foam."""
    scale = np.array([size, -abs(size)])
    back, hollow = (np.array(at) + scale * spline(side) for side in (BACK, HOLLOW))
    cuts = np.linspace(0, 1, stripes + 1) ** 1.15
    for n, (start, end) in enumerate(zip(cuts[:-1], cuts[1:])):
        one, other = back + start * (hollow - back), back + end * (hollow - back)
        sheet.area(np.concatenate([one, other[::-1]]), STRIPES[n % len(STRIPES)])
        sheet.line(one, 0.0035, PRUSSIAN)
        middle = (one + other) / 2
        for part in range(int(rng.integers(0, 6)), 112, 9):  # short cuts along the stripe
            sheet.line(
                middle[part : part + 6],
                0.004 * np.sin(np.linspace(0, np.pi, 6)),
                PRUSSIAN if n % 2 else PALE_BLUE,
            )
    sheet.line(hollow, 0.006, PRUSSIAN)
    _claws(sheet, np.concatenate([back[62:], hollow[:95:-1]]), size, rng)


def breaking_wave(width: int = 832, height: int = 660) -> np.ndarray:
    """Print a breaking wave of this size in pixels: height x width x 3, uint8 RGB."""
    rng = np.random.Generator(np.random.PCG64(SEED))
    sheet = _sky(rng)
    _mountain(sheet)
    _sea(sheet)
    for x, y, size, stripes in WAVES:
        _wave(sheet, (x, y), size, stripes, rng)
    print_ = np.asarray(sheet.image, float)
    fibre = 5 * cloud(SIZE[::-1], 340, 270, rng) + 4 * cloud(SIZE[::-1], 120, 400, rng)
    return finish(print_ + fibre[..., None], width, height)
