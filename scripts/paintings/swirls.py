"""A night sky over a village, after Van Gogh's The Starry Night (1889).

The composition and the palette were chosen by eye. Stands in for ``style=vangogh``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from scripts.paintings.brush import Layer, Manner, paint
from scripts.paintings.plan import ASPECT, Plan

# Pigments, sRGB.
GREEN_BLACK, UMBER, PRUSSIAN = (14, 20, 22), (74, 46, 34), (10, 26, 62)
MIDNIGHT, ULTRAMARINE, COBALT = (12, 40, 92), (24, 66, 134), (44, 104, 166)
CERULEAN, PALE_BLUE, BLUE_GREEN = (84, 150, 196), (138, 196, 218), (176, 218, 206)
CREAM, LEMON, CHROME = (242, 244, 218), (244, 230, 132), (240, 190, 52)
OCHRE, ORANGE, SAGE, CYPRESS_GREEN = (196, 150, 58), (228, 138, 30), (150, 168, 120), (38, 62, 44)

# What a point of the canvas shows, from back to front; GOLD is the moon and the hearts of stars.
SKY, GOLD, HILL, BUSH, WALL, ROOF, CYPRESS = range(7)

# Each subject has a cool and a warm row of paints, both from dark to light.
# fmt: off
PAINTS = {
    SKY: ((PRUSSIAN, MIDNIGHT, ULTRAMARINE, COBALT, CERULEAN, PALE_BLUE, CREAM),
          (OCHRE, SAGE, CHROME, LEMON, LEMON, CREAM, CREAM)),
    GOLD: ((OCHRE, ORANGE, ORANGE, CHROME), (ORANGE, CHROME, CHROME, LEMON)),
    HILL: ((GREEN_BLACK, PRUSSIAN, MIDNIGHT, ULTRAMARINE, COBALT, CERULEAN),
           (PRUSSIAN, CYPRESS_GREEN, COBALT, BLUE_GREEN)),
    BUSH: ((GREEN_BLACK, PRUSSIAN, MIDNIGHT, COBALT, PALE_BLUE),
           (GREEN_BLACK, CYPRESS_GREEN, SAGE, BLUE_GREEN)),
    WALL: ((PRUSSIAN, MIDNIGHT, ULTRAMARINE, CERULEAN), (ORANGE, CHROME, LEMON)),
    ROOF: ((PRUSSIAN, COBALT, CERULEAN, BLUE_GREEN), (UMBER, OCHRE)),
    CYPRESS: ((GREEN_BLACK, GREEN_BLACK, PRUSSIAN, CYPRESS_GREEN, SAGE),
              (GREEN_BLACK, UMBER, UMBER, OCHRE)),
}
# fmt: on
# How strongly streaks along the brush break up each subject's tone, in the order of PAINTS.
STREAKS = np.array([0.13, 0.05, 0.08, 0.05, 0.05, 0.05, 0.18])


class Whirl(NamedTuple):
    """A vortex of the sky's flow: centre, radius (canvas heights), strength, inward pitch (rad)."""

    x: float
    y: float
    radius: float
    strength: float
    pitch: float


VORTICES = (
    Whirl(0.60, 0.28, 0.195, 3.2, 0.34),
    Whirl(0.90, 0.42, 0.110, 3.0, 0.40),
    Whirl(0.07, 0.56, 0.10, 1.8, 0.35),
    Whirl(1.17, 0.45, 0.075, 1.8, 0.38),
)
# A star is a whirl without pitch: its strokes close into rings.
STARS = tuple(
    Whirl(x, y, radius, 9.0, 0.0)
    for x, y, radius in (
        (0.285, 0.085, 0.052), (0.44, 0.50, 0.082), (0.40, 0.245, 0.034), (0.885, 0.145, 0.055),
        (0.745, 0.035, 0.040), (0.035, 0.40, 0.038), (0.135, 0.425, 0.043), (0.055, 0.13, 0.036),
        (1.06, 0.345, 0.030), (0.52, 0.055, 0.024),
    )
)  # fmt: skip
MOONLIGHT = Whirl(1.13, 0.125, 0.135, 12.0, 0.0)

# What stands on the hills, from back to front, in the units of the design.
# fmt: off
RIDGES = (  # height at the left, climb to the right, height of the waves, waves, phase
    (0.735, 0.125, 0.030, 7.0, 0.2), (0.79, 0.07, 0.026, 9.0, 2.0), (0.85, 0.02, 0.02, 6.0, 4.0),
)
ORCHARD = (  # ground and radius of a row of trees, and the stretch of x that it leaves free
    (0.835, 0.022, 0.00, 0.80), (0.90, 0.030, 0.57, 0.91),
    (0.965, 0.042, 0.57, 0.91), (1.02, 0.050, 0.00, 0.00),
)
HOUSES = (  # left edge, foot, width, height of the wall, height of the roof; the third is a church
    (0.60, 0.90, 0.060, 0.035, 0.030), (0.83, 0.905, 0.055, 0.036, 0.026),
    (0.665, 0.885, 0.022, 0.075, 0.150), (0.685, 0.915, 0.075, 0.040, 0.040),
    (0.575, 0.955, 0.070, 0.042, 0.036), (0.79, 0.955, 0.080, 0.046, 0.036),
    (0.685, 0.975, 0.062, 0.042, 0.034),
)
TONGUES = (  # foot, tip, half width at the foot, sway, phase: the tongues of the cypress
    (0.085, 0.62, 0.055, 0.020, 1.0), (0.390, 0.72, 0.060, -0.022, 2.0),
    (0.130, 0.33, 0.070, 0.022, 0.0), (0.335, 0.50, 0.075, -0.026, 4.0),
    (0.225, 0.03, 0.100, 0.026, 3.0), (0.170, 0.47, 0.060, -0.024, 1.5),
    (0.285, 0.58, 0.065, 0.026, 5.0), (0.215, 0.68, 0.055, -0.022, 0.5),
)
# fmt: on

LAYERS = (
    Layer(24, 100, 2.0, 0.06),
    Layer(12, 68, 1.8, 0.14),
    Layer(8, 48, 1.9, 0.18),
    Layer(5.5, 33, 1.8, 0.23),
)
# The widest brush that a small subject is painted with; the others take every layer.
WIDEST = {GOLD: 8, BUSH: 8, WALL: 6, ROOF: 6, CYPRESS: 8}
MANNER = Manner(PAINTS, LAYERS, WIDEST)

SEED = 1889  # of the bushes, the strokes and the streaks


def _swirl(x: np.ndarray, y: np.ndarray, whirl: Whirl) -> tuple[np.ndarray, np.ndarray]:
    """Give the pull of a whirl at each point: its weight (1 in the centre) and angle (rad)."""
    dx, dy = x - whirl.x, y - whirl.y
    weight = np.exp(-(dx**2 + dy**2) / whirl.radius**2)
    return weight, np.arctan2(dy, dx) + np.pi / 2 + whirl.pitch


def _lay_sky(plan: Plan, x: np.ndarray, y: np.ndarray) -> None:
    """Wind, vortices, stars, moon and the pale band of light above the hills."""
    wind = 0.35 * np.cos(5.2 * x + 0.4) * np.exp(-(((y - 0.3) / 0.35) ** 2))
    wind = wind - 0.35 * np.clip(y - 0.45, 0, 1) / 0.3
    # A brush stroke has no front or back, so angles are added doubled, as line fields are: wind
    # then parts around a whirl on both sides instead of stalling on the side that turns against it.
    pull = np.exp(2j * wind)
    tone = 0.36 - 0.12 * np.exp(-((y / 0.15) ** 2))
    for vortex in VORTICES:
        weight, angle = _swirl(x, y, vortex)
        pull = pull + vortex.strength * weight * np.exp(2j * angle)
        # Two light arms that follow the spiral which the strokes run along.
        r = np.hypot(x - vortex.x, y - vortex.y) / vortex.radius + 1e-3
        turn = np.arctan2(y - vortex.y, x - vortex.x) + np.log(r) / np.tan(vortex.pitch)
        tone = tone + np.sqrt(weight) * (0.14 + 0.26 * np.cos(2 * turn))
    # The band of light climbs to the right, over the ridge.
    band = np.exp(-(((y - (0.63 - 0.10 * x - 0.08 * np.sin(3.1 * x + 0.3))) / 0.055) ** 2))
    tone, warmth = tone + 0.40 * band, 0.05 + 0.55 * band
    for star in (*STARS, MOONLIGHT):
        weight, angle = _swirl(x, y, star)
        pull = pull + star.strength * weight * np.exp(2j * angle)
        rings = np.cos(np.hypot(x - star.x, y - star.y) * 9.0 / star.radius)
        glow = np.clip(1.5 * weight, 0, 1)
        tone = tone + glow * (0.78 + 0.12 * rings - tone)
        warmth = warmth + glow * (0.90 - 0.15 * rings - warmth)
    angle = np.angle(pull) / 2
    plan.put(y > 0, SKY, tone, warmth, (np.cos(angle), np.sin(angle)))
    for star in STARS:
        plan.put(np.hypot(x - star.x, y - star.y) < 0.22 * star.radius, GOLD, 0.4, 0.4)
    disc = np.hypot(x - MOONLIGHT.x, y - MOONLIGHT.y) < 0.085
    bite = np.hypot(x - MOONLIGHT.x - 0.042, y - MOONLIGHT.y + 0.024) < 0.068
    plan.put(disc & bite, SKY, 0.55, 0.95)
    plan.put(disc & ~bite, GOLD, 0.45, 0.35)


def _lay_hills(plan: Plan, x: np.ndarray, y: np.ndarray) -> None:
    """Ridges behind one another: lit along the crest, dark in the fold below it."""
    for base, climb, height, waves, phase in RIDGES:
        crest = base - climb * (x / ASPECT) ** 2 - height * np.sin(waves * x + phase)
        slope = -2 * climb * x / ASPECT**2 - height * waves * np.cos(waves * x + phase)
        depth = y - crest
        # The strokes follow the crest and bend down the hillside below it.
        bend = np.clip(depth / 0.12, 0, 1) * 0.9
        light = 0.55 * np.exp(-(((depth - 0.022) / 0.018) ** 2)) - 0.5 * (depth < 0.009)
        tone = 0.38 + light - 1.5 * depth
        plan.put(depth > 0, HILL, tone, 0.15, (1.0, slope + bend))


def _lay_bushes(plan: Plan, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> None:
    """Rows of round trees, the nearer ones larger, each lit from the upper left."""
    for ground, radius, free_from, free_to in ORCHARD:
        for centre_x in np.arange(0.0, ASPECT + radius, 1.15 * radius):
            shift_x, shift_y, size = rng.uniform(-1, 1, 3)
            if free_from < centre_x < free_to:
                continue
            r = radius * (1 + 0.25 * size)
            dx = (x - centre_x) / r - 0.3 * shift_x
            dy = (y - ground) / r - 0.4 * shift_y
            round_tree = dx**2 + dy**2 < 1
            tone = 0.32 - 0.22 * dx - 0.42 * dy - 0.3 * (dx**2 + dy**2 > 0.82)
            plan.put(round_tree, BUSH, tone, 0.3, (0.6 - dy, dx))


def _lay_village(plan: Plan, x: np.ndarray, y: np.ndarray) -> None:
    """Houses with lit windows around a church."""
    for left, foot, width, wall, roof in HOUSES:
        across, up = (x - left) / width, foot - y
        inside = (across > 0) & (across < 1)
        wall_here = inside & (up > 0) & (up < wall)
        tone = 0.62 - 0.4 * across
        plan.put(wall_here, WALL, tone, 0.0, (0.0, 1.0))
        side = np.where(across < 0.5, 1.0, -1.0)  # the left slope rises, the right one falls
        roof_here = inside & (up >= wall) & (up - wall < roof * (1 - np.abs(2 * across - 1)))
        tone, slope = 0.6 + 0.2 * side, -2 * roof / width * side
        plan.put(roof_here, ROOF, tone, 0.1, (1.0, slope))
        window = (np.abs(across - 0.5) * width < 0.008) & (np.abs(up - 0.5 * wall) < 0.010)
        plan.put(window, WALL, 0.7, 1.0)


def _lay_cypress(plan: Plan, x: np.ndarray, y: np.ndarray) -> None:
    """Dark flames, lighter and browner in the middle of each tongue."""
    for foot, tip, half_width, sway, phase in TONGUES:
        s = np.clip((y - tip) / (1 - tip), 1e-3, 1)  # 0 at the tip, 1 at the foot
        centre = foot + sway * np.sin(6.0 * s + phase)
        half = half_width * s**0.8 * (1 + 0.16 * np.sin(15 * s + phase))
        across = (x - centre) / half
        lean = sway * 6.0 * np.cos(6.0 * s + phase) / (1 - tip) + across * half_width
        flow_x = lean + 0.30 * np.sin(24 * y + 5 * across + phase)
        tone, warmth = 0.46 - 0.44 * across**2, 0.36 * (1 - np.abs(across))
        here = (np.abs(across) < 1) & (y > tip)
        plan.put(here, CYPRESS, tone, warmth, (flow_x, 1.0))


def starry_swirls(width: int = 1024, height: int = 812) -> np.ndarray:
    """Paint a night sky of this size in pixels: height x width x 3, uint8 RGB."""
    rng = np.random.Generator(np.random.PCG64(SEED))
    plan, x, y = Plan.blank(width, height)
    _lay_sky(plan, x, y)
    _lay_hills(plan, x, y)
    _lay_bushes(plan, x, y, rng)
    _lay_village(plan, x, y)
    _lay_cypress(plan, x, y)
    plan.settle(STREAKS, rng)
    return paint(plan, MANNER, (height, width), rng)
