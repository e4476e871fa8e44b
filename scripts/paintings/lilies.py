"""A pond with water lilies, after Monet's Water Lilies (1906).

The surface of the water fills the canvas: a reflected sky, willows that hang into it upside down,
and islands of lily pads that grow smaller with the distance. The composition and the palette were
chosen by eye. Stands in for ``style=monet``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from scripts.paintings.brush import Layer, Manner, paint
from scripts.paintings.plan import Plan, cloud

# Pigments, sRGB.
DEEP_TEAL, VIRIDIAN, SEA_GREEN = (38, 68, 82), (58, 98, 90), (98, 142, 126)
TURQUOISE, AQUA = (92, 146, 152), (146, 188, 186)
SLATE_BLUE, CORNFLOWER, SKY_BLUE = (62, 84, 132), (104, 132, 178), (150, 176, 208)
MIST, PEARL = (188, 204, 216), (216, 220, 220)
AUBERGINE, VIOLET, LAVENDER = (72, 62, 106), (112, 98, 150), (156, 146, 190)
LILAC, SHELL_PINK, CREAM = (192, 176, 206), (222, 196, 202), (238, 224, 208)
MOSS, LEAF, CELADON = (76, 96, 62), (122, 148, 96), (166, 192, 152)
STRAW, ROSE, CARMINE = (206, 200, 140), (216, 132, 152), (166, 64, 98)
WHITE, YELLOW = (246, 242, 234), (240, 212, 112)

# What a point of the canvas shows, from back to front; GLINT is the bank's green on the ripples.
WATER, GLINT, WILLOW, PAD, BLOSSOM, HEART = range(6)

# Each subject has a cool and a warm row of paints, both from dark to light. The rows match in
# lightness, so that their mixture is broken colour: lively in hue, quiet in light and dark.
# fmt: off
PAINTS = {
    WATER: ((DEEP_TEAL, SLATE_BLUE, CORNFLOWER, SKY_BLUE, MIST, PEARL),
            (AUBERGINE, VIOLET, LAVENDER, LILAC, SHELL_PINK, CREAM)),
    GLINT: ((DEEP_TEAL, VIRIDIAN, TURQUOISE, AQUA, MIST),
            (SLATE_BLUE, SEA_GREEN, LAVENDER, CELADON, PEARL)),
    WILLOW: ((DEEP_TEAL, DEEP_TEAL, VIRIDIAN, SEA_GREEN, CELADON),
             (AUBERGINE, SLATE_BLUE, MOSS, LEAF, STRAW)),
    PAD: ((DEEP_TEAL, VIRIDIAN, SEA_GREEN, CELADON, MIST),
          (AUBERGINE, MOSS, LEAF, STRAW, SHELL_PINK)),
    BLOSSOM: ((VIOLET, LILAC, WHITE, WHITE), (CARMINE, ROSE, SHELL_PINK, WHITE)),
    HEART: ((STRAW, YELLOW), (ROSE, YELLOW)),
}
# fmt: on
STREAKS = np.array([0.05, 0.05, 0.07, 0.05, 0.02, 0.02])  # in the order of PAINTS

LAYERS = (
    Layer(26, 70, 2.0, 0.04),
    Layer(15, 46, 1.8, 0.06),
    Layer(10, 34, 1.5, 0.08),
    Layer(6.5, 24, 1.1, 0.10),
)
WIDEST = {WILLOW: 15, GLINT: 15, PAD: 10, BLOSSOM: 10, HEART: 7}
# Soft: the bristles differ little, the relief is thin, and every dab has a hue of its own.
MANNER = Manner(PAINTS, LAYERS, WIDEST, mixing=9, bristle=9, relief=0.26)

SEED = 1906  # of two generators: one for the composition, one for the strokes


class Island(NamedTuple):
    """Lily pads that float together: centre and half axes (canvas heights), share in bloom."""

    x: float
    y: float
    half_width: float
    half_height: float
    bloom: float


ISLANDS = (
    Island(0.86, 0.100, 0.120, 0.010, 0.10),
    Island(0.30, 0.145, 0.130, 0.012, 0.10),
    Island(0.66, 0.230, 0.150, 0.014, 0.15),
    Island(1.12, 0.290, 0.140, 0.018, 0.15),
    Island(0.30, 0.360, 0.190, 0.022, 0.18),
    Island(0.83, 0.440, 0.200, 0.026, 0.20),
    Island(0.10, 0.550, 0.160, 0.034, 0.20),
    Island(1.16, 0.610, 0.150, 0.040, 0.22),
    Island(0.54, 0.670, 0.230, 0.048, 0.24),
    Island(0.95, 0.860, 0.260, 0.065, 0.22),
    Island(0.20, 0.880, 0.270, 0.075, 0.24),
)
FLATNESS = 0.34  # of a pad that is seen from the bank: its height against its width


def _lay_water(plan: Plan, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> None:
    """The sky in the water: brightest in a winding lane down the middle, in drifts of colour."""
    drift, tint = cloud(x.shape, 5, 6, rng), cloud(x.shape, 6, 7, rng)
    ripple = cloud(x.shape, 9, 60, rng)
    lane = np.exp(-(((x - 0.66 - 0.12 * np.sin(4.0 * y + 0.6)) / 0.30) ** 2))
    tone = 0.36 + 0.34 * lane * (1 - 0.35 * y) + 0.09 * drift + 0.05 * ripple
    # The sun is low: the lane is rosy, above all in the distance.
    warmth = 0.22 + 0.30 * lane * (1 - 0.5 * y) + 0.16 * tint
    flow = (1.0, 0.10 * drift + 0.05 * ripple)
    plan.put(y > 0, WATER, tone, warmth, flow)
    bank = 0.9 * cloud(x.shape, 5, 5, rng) + 0.7 * cloud(x.shape, 12, 70, rng) - 0.7 * lane
    plan.put(bank > 0.35, GLINT, tone + 0.02, 0.30 + 0.1 * tint, flow)


def _lay_willows(plan: Plan, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> None:
    """Reflected trees: upright strands that the ripples cut across."""
    strand, leaf = cloud(x.shape, 60, 5, rng), cloud(x.shape, 130, 22, rng)
    clump, sway = cloud(x.shape, 9, 6, rng), cloud(x.shape, 10, 8, rng)
    tint, ripple = cloud(x.shape, 7, 5, rng), cloud(x.shape, 10, 80, rng)
    left, right = (0.24 - 0.16 * y - x) / 0.15, (x - 1.05 - 0.05 * y) / 0.14
    shade = np.maximum(np.maximum(left, right), (0.05 - y) / 0.09) + 0.5 * clump
    tone = 0.52 + 0.09 * strand - 0.09 * np.clip(shade, -1, 2) + 0.05 * clump
    # Leaves let the sky through, and the more of it the nearer to the edge of the tree.
    here = (shade + 0.4 * strand + 0.5 * leaf > 0.1) & (ripple < 0.9)
    plan.put(here, WILLOW, tone, 0.38 + 0.2 * tint, (0.22 * sway, 1.0))


def _lay_pad(
    plan: Plan, x: np.ndarray, y: np.ndarray, at: tuple[float, float, float], tone: float
) -> None:
    """One round leaf at x, y with a radius: lit on its far side, in the shadow of its near one."""
    centre_x, centre_y, radius = at
    across, down = (x - centre_x) / radius, (y - centre_y) / (radius * FLATNESS)
    shadow = across**2 + (down - 0.55) ** 2 < 1.1
    plan.put(shadow, WATER, 0.10, 0.45, (1.0, 0.0))
    leaf = across**2 + down**2 < 1
    # The strokes run along the rim, and straight across the middle.
    flow = (0.6 + np.abs(down), -np.sign(down) * across * FLATNESS)
    warmth = 0.30 + 0.25 * np.clip(across, -1, 1)
    plan.put(leaf, PAD, tone - 0.26 * down - 0.08 * across, warmth, flow)


def _lay_blossom(
    plan: Plan, x: np.ndarray, y: np.ndarray, at: tuple[float, float, float], pink: float
) -> None:
    """One flower at x, y with a radius: petals spread from a yellow heart near its foot."""
    centre_x, centre_y, radius = at
    across, down = (x - centre_x) / radius, (y - centre_y) / (0.72 * radius)
    petals = across**2 + down**2 < 0.9 + 0.2 * np.cos(7 * np.arctan2(down - 0.3, across))
    plan.put(petals, BLOSSOM, 0.66 - 0.42 * down - 0.12 * across, pink, (across, down - 0.5))
    heart = (across / 0.30) ** 2 + ((down - 0.15) / 0.28) ** 2 < 1
    plan.put(heart, HEART, 0.7, 0.3, (1.0, 0.0))


def _lay_islands(plan: Plan, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> None:
    """Islands of pads, from the far bank to the near one; the nearer ones are larger."""
    for island in ISLANDS:
        radius = 0.016 + 0.046 * island.y
        count = int(1.1 * island.half_width * island.half_height / (radius**2 * FLATNESS)) + 3
        turn, out = rng.uniform(0, 2 * np.pi, count), np.sqrt(rng.random(count))
        centre_x = island.x + island.half_width * out * np.cos(turn)
        centre_y = island.y + island.half_height * out * np.sin(turn)
        for pad in np.argsort(centre_y):
            size, light, bloom, pink, side = rng.random(5)
            r = radius * (0.65 + 0.6 * size)
            at = (centre_x[pad], centre_y[pad], r)
            _lay_pad(plan, x, y, at, 0.42 + 0.24 * light)
            if bloom < island.bloom:
                at = (centre_x[pad] + r * (side - 0.5), centre_y[pad] - 0.28 * r, 0.50 * r)
                _lay_blossom(plan, x, y, at, pink)


def water_lilies(width: int = 1024, height: int = 812) -> np.ndarray:
    """Paint a lily pond of this size in pixels: height x width x 3, uint8 RGB."""
    design = np.random.Generator(np.random.PCG64(SEED))
    plan, x, y = Plan.blank(width, height)
    _lay_water(plan, x, y, design)
    _lay_willows(plan, x, y, design)
    _lay_islands(plan, x, y, design)
    rng = np.random.Generator(np.random.PCG64(SEED))
    plan.settle(STREAKS, rng)
    return paint(plan, MANNER, (height, width), rng)
