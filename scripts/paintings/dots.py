"""Sails on a river, after the pointillism of Seurat and Signac (about 1886 to 1905).

Dots of pure colour that mix in the eye: each place takes most dots from its own hue, lighter or
darker, and some from the complementary hue.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scripts.paintings.brush import emboss
from scripts.paintings.plan import ASPECT, cloud
from scripts.paintings.sheet import SIZE, Sheet, finish, grid, mask, spline

# The dots of each part of the scene: (colour, share). fmt: off
SKY_HIGH = ((108, 150, 214), (150, 184, 228), (190, 206, 232), (176, 160, 216), (238, 204, 168))
SKY_LOW = ((250, 218, 120), (248, 186, 116), (244, 232, 168), (240, 160, 140), (166, 178, 220))
SUN = ((255, 248, 206), (255, 236, 140), (255, 214, 96), (255, 246, 226))
HILLS = ((92, 96, 176), (132, 112, 188), (104, 140, 196), (168, 136, 186), (222, 160, 120))
WATER = ((40, 96, 168), (64, 136, 190), (36, 128, 142), (96, 92, 180), (236, 148, 84))
GLITTER = ((252, 214, 112), (246, 172, 92), (250, 236, 176), (112, 140, 204))
LAWN = ((122, 170, 58), (172, 196, 72), (222, 210, 92), (84, 146, 78), (222, 110, 70))
SHADE = ((30, 74, 74), (42, 56, 112), (40, 104, 70), (78, 52, 116), (164, 66, 60))
LEAVES = ((44, 116, 58), (98, 154, 54), (24, 80, 88), (178, 188, 66), (206, 92, 62))
TRUNK = ((88, 42, 76), (52, 40, 96), (138, 64, 62), (196, 112, 60))
SAIL = ((250, 240, 222), (252, 222, 178), (214, 206, 232), (246, 204, 196))
RUST = ((214, 84, 48), (238, 122, 58), (176, 52, 66), (96, 84, 156))
HULL = ((44, 36, 84), (92, 40, 64), (40, 74, 104))
DRESS = ((224, 60, 76), (246, 120, 120), (170, 36, 88), (60, 140, 130))
SUIT = ((28, 30, 72), (60, 52, 112), (26, 60, 80))
SKIN = ((246, 196, 150), (226, 150, 116))
SEED = 1886
LAYERS = ((0.0085, 26_000), (0.0062, 52_000), (0.0047, 46_000))  # radius, dots
# fmt: on


class Scene:
    """What lies where: a key of the dots' palettes at each pixel."""

    def __init__(self) -> None:
        self.x, self.y = grid()
        self.part = np.zeros(self.x.shape, np.int16)
        self.dots: list[Sequence] = []

    def put(self, where: np.ndarray, dots: Sequence) -> None:
        """Lay a part over what is there."""
        self.part[where] = len(self.dots)
        self.dots.append(dots)

    def shape(self, points: Sequence, dots: Sequence) -> None:
        """Lay a part inside a closed outline."""
        self.put(mask(np.array(points)), dots)


def _boat(scene: Scene, x: float, y: float, size: float, sail: Sequence) -> None:
    """Two sails on a hull, and their broken reflection."""
    for side, reach in ((1, 0.42), (-1, 0.30)):
        points = [
            (x + side * 0.02 * size, y - size),
            (x + side * reach * size, y - 0.12 * size),
            (x + side * 0.02 * size, y - 0.12 * size),
        ]
        scene.shape(points, sail)
        ripple = np.sin(900 * scene.y) > 0.1
        deep = (scene.y - y) / size
        here = (deep > 0.05) & (deep < 0.75) & ripple
        here &= (side * (scene.x - x) > 0) & (side * (scene.x - x) < reach * size * (0.9 - deep))
        scene.put(here, sail)
    scene.shape(
        [
            (x - 0.36 * size, y - 0.1 * size),
            (x + 0.46 * size, y - 0.1 * size),
            (x + 0.34 * size, y + 0.03 * size),
            (x - 0.26 * size, y + 0.03 * size),
        ],
        HULL,
    )


def _figure(scene: Scene, x: float, foot: float, tall: float, dress: Sequence) -> None:
    """A walker with a parasol or a hat."""
    scene.shape(
        [
            (x - 0.06 * tall, foot - 0.8 * tall),
            (x + 0.06 * tall, foot - 0.8 * tall),
            (x + 0.20 * tall, foot),
            (x - 0.16 * tall, foot),
        ],
        dress,
    )
    scene.put(np.hypot(scene.x - x, scene.y - foot + 0.87 * tall) < 0.075 * tall, SKIN)
    scene.shape(
        [
            (x - 0.11 * tall, foot - 0.91 * tall),
            (x, foot - 1.04 * tall),
            (x + 0.11 * tall, foot - 0.91 * tall),
        ],
        HULL,
    )
    scene.shape(
        [
            (x + 0.02, foot),
            (x + 0.12 * tall, foot),
            (x + 1.1 * tall, foot + 0.16 * tall),
            (x + 0.9 * tall, foot + 0.19 * tall),
        ],
        SHADE,
    )


def _tree(scene: Scene, x: float, foot: float, tall: float, rng: np.random.Generator) -> None:
    """A trunk and clumps of leaves, lit from the right."""
    trunk = spline([(x, foot), (x + 0.01, foot - 0.4 * tall), (x - 0.02, foot - 0.9 * tall)], 40)
    for n, (px, py) in enumerate(trunk):
        scene.put(
            (np.abs(scene.x - px) < 0.026 * (1.5 - n / 40)) & (np.abs(scene.y - py) < 0.02), TRUNK
        )
    for _ in range(26):
        at = (x + rng.normal(0, 0.15), foot - tall * rng.uniform(0.5, 1.05))
        r = rng.uniform(0.04, 0.085)
        scene.put(np.hypot(scene.x - at[0], 1.2 * (scene.y - at[1])) < r, SHADE)
        scene.put(
            np.hypot(scene.x - at[0] - 0.25 * r, 1.2 * (scene.y - at[1]) + 0.3 * r) < 0.75 * r,
            LEAVES,
        )


def _lay(rng: np.random.Generator) -> Scene:
    """The river at evening: sky, hills, water, sails, a bank with trees and walkers."""
    scene = Scene()
    x, y = scene.x, scene.y
    sun = np.hypot(x - 0.74, y - 0.25)
    glow = y + 0.05 * cloud(y.shape, 6, 5, rng) + 0.20 * np.exp(-((sun / 0.3) ** 2))
    scene.put(y > -1, SKY_HIGH)
    scene.put(glow + 0.12 * rng.random(y.shape) > 0.33, SKY_LOW)
    drift = y + 0.03 * cloud(y.shape, 7, 7, rng)
    scene.put(np.abs(drift - 0.12) < 0.025 * (1 + cloud(y.shape, 5, 3, rng)), SAIL)
    scene.put(sun < 0.058, SUN)
    scene.put(y > 0.40 - 0.05 * np.sin(4.1 * x + 1) - 0.018 * np.sin(13 * x), HILLS)
    scene.put(y > 0.455, WATER)
    lane = np.abs(x - 0.74 + 0.02 * np.sin(60 * y)) < 0.03 + 0.22 * (y - 0.455)
    scene.put(
        (y > 0.455)
        & lane
        & (np.sin(300 * y**0.7 + 2 * np.sin(9 * x)) + 0.8 * cloud(y.shape, 40, 90, rng) > 0.2),
        GLITTER,
    )
    for boat in (
        (0.50, 0.50, 0.11, RUST),
        (1.06, 0.52, 0.15, SAIL),
        (0.60, 0.585, 0.26, SAIL),
        (0.92, 0.60, 0.20, RUST),
    ):
        _boat(scene, *boat)
    bank = y - (0.97 - 0.34 * np.clip(1 - x / 0.95, 0, 1) ** 0.8 + 0.008 * np.sin(22 * x))
    scene.put(bank > 0, LAWN)
    scene.put(
        (bank > 0.05) & (np.sin(24 * (y + 0.25 * x)) + 0.8 * cloud(y.shape, 9, 8, rng) > 0.75),
        SHADE,
    )
    for figure in ((0.52, 0.86, 0.19, DRESS), (0.44, 0.85, 0.20, SUIT), (0.68, 0.93, 0.14, DRESS)):
        _figure(scene, *figure)
    for tree in ((0.30, 0.82, 0.55), (0.06, 0.93, 0.80)):
        _tree(scene, *tree, rng)
    return scene


def dotted_river(width: int = 832, height: int = 660) -> np.ndarray:
    """Paint a river in dots of this size in pixels: height x width x 3, uint8 RGB."""
    rng = np.random.Generator(np.random.PCG64(SEED))
    scene = _lay(rng)
    sheet = Sheet((226, 214, 190))
    relief = Sheet((90, 90, 90))
    light = cloud(scene.y.shape, 12, 10, rng)
    for radius, count in LAYERS:
        at = rng.uniform(0, 1, (count, 2)) * (ASPECT, 1)
        j, i = np.minimum(at * SIZE[1], np.array(SIZE) - 1).astype(int).T
        pick, size = rng.random(count) ** 1.5, radius * rng.uniform(0.75, 1.15, count)
        shade = rng.normal(1, 0.06, count) + 0.05 * light[i, j]
        for n, part in enumerate(scene.part[i, j]):
            dots = scene.dots[part]
            colour = np.clip(np.array(dots[int(pick[n] * len(dots))]) * shade[n], 0, 255)
            sheet.dot(at[n], size[n], tuple(colour.astype(int).tolist()))
            thick = int(rng.integers(110, 200))
            relief.dot(at[n], size[n], (thick, thick, thick))
    colour = finish(sheet.image, width, height)
    paint = finish(relief.image, width, height)[..., :1]
    return emboss(np.concatenate([colour, paint], axis=2).astype(np.float32), 0.30)
