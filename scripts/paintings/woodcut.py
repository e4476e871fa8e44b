"""A fox under pines before a red sun, in woodcut: black lines on white, and one colour.

The block is cut in lines that follow each shape, thick where the shape is dark and thin where it
is light, after the white-line woodcuts and wood engravings of about 1900 to 1930.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from scripts.paintings.plan import ASPECT, cloud
from scripts.paintings.sheet import finish, grid, mask, spline

PAPER, INK, RED = np.array((244, 238, 224)), np.array((20, 18, 20)), np.array((204, 44, 32))
PITCH = 0.0125  # from line to line, canvas heights
SUN, SUN_SIZE = (0.80, 0.34), 0.21
SEED = 1919


class Block:
    """The wood: at each pixel the phase of the cuts (in lines), the darkness, and the colour."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.x, self.y = grid()
        shape = self.x.shape
        # The hand is not steady: lines waver, swell and break.
        self.waver = 0.5 * cloud(shape, 10, 8, rng) + 0.16 * cloud(shape, 60, 48, rng)
        self.swell = 0.09 * cloud(shape, 26, 20, rng) + 0.07 * cloud(shape, 110, 90, rng)
        self.phase, self.dark = np.zeros(shape), np.zeros(shape)
        self.red, self.edge = np.zeros(shape, bool), np.zeros(shape, bool)

    def put(
        self, where: np.ndarray, run: np.ndarray, dark: np.ndarray | float, red: bool = False
    ) -> None:
        """Lay a shape; run is the distance across the cuts in canvas heights, H x W."""
        np.copyto(self.phase, run / PITCH, where=where)
        np.copyto(self.dark, dark, where=where)
        self.red[where] = red
        rim = where & ~ndimage.binary_erosion(where, iterations=5, border_value=1)
        self.edge = np.where(where, rim, self.edge)

    def inside(self, outline: Sequence, smooth: bool = True) -> np.ndarray:
        """The mask of a closed outline."""
        return mask(spline([*outline, outline[0]], 200) if smooth else np.array(outline))

    def printed(self) -> np.ndarray:
        """The print, H x W x 3."""
        line = np.abs((self.phase + self.waver) % 1 * 2 - 1)  # 1 in the middle of a line
        ink = (line > 1 - np.clip(self.dark + self.swell, 0.05, 0.96)) | self.edge
        ground = np.where(self.red[..., None], RED, PAPER)
        return np.where(ink[..., None], INK, ground)


def _sky(block: Block) -> None:
    """The sun, and lines that run around it, darker towards the corners."""
    x, y = block.x, block.y
    out = np.hypot(x - SUN[0], y - SUN[1])
    turn = np.arctan2(y - SUN[1], x - SUN[0])
    block.put(
        y > -1,
        out * 1.0 + 0.012 * np.sin(7 * turn + 9 * out),
        0.10 + 0.62 * np.clip(out - 0.15, 0, 1) ** 0.8,
    )
    block.put(out < SUN_SIZE + 0.02 + 0.04 * (1 + np.cos(26 * turn)), 0.6 * x, 0.05)
    block.put(out < SUN_SIZE, y, np.clip(0.05 + 1.0 * (y - SUN[1]), 0.02, 0.4), red=True)


def _land(block: Block) -> None:
    """Mountains cut down their slopes, and a lake with the sun's path."""
    x, y = block.x, block.y
    for n, (base, tall, waves, phase) in enumerate(
        ((0.47, 0.10, 5.2, 0.5), (0.55, 0.07, 7.5, 2.0))
    ):
        saw = np.abs((waves * x / 2 + phase) % 2 - 1) + 0.35 * np.abs(
            (waves * x * 1.3 + phase) % 2 - 1
        )
        top = base - tall * saw
        lit = np.gradient(top, axis=1) < 0
        run = np.where(lit, 0.75 * x + 0.5 * y, 0.75 * x - 0.5 * y)
        block.put(y > top, run, np.where(lit, 0.30, 0.74) - 0.25 * n + 0.9 * (y - top))
    ripple = 0.006 * np.sin(26 * x + 40 * y) * (y - 0.5)
    block.put(y > 0.60, 0.9 * np.clip(y - 0.6, 0, 1) ** 0.9 + ripple, 0.50 + 0.12 * np.sin(9 * x))
    path = np.abs(x - SUN[0] + 0.012 * np.sin(130 * y)) < 0.06 + 0.25 * (y - 0.6)
    block.put((y > 0.60) & path & (np.sin(150 * y**0.9) > -0.2), 0.9 * y, 0.12, red=True)
    bank = 0.86 - 0.05 * np.sin(3.2 * x + 0.6) - 0.05 * np.cos(7 * x)
    block.put(y > bank, 0.8 * (y - bank) + 0.02 * np.sin(20 * x), 0.18 + 1.6 * (y - bank))


def _pine(block: Block, x: float, foot: float, tall: float, rng: np.random.Generator) -> None:
    """A fir: tiers of drooping boughs, each with cuts that run down it."""
    half = 0.028 * tall
    block.put(
        (np.abs(block.x - x) < half) & (block.y < foot) & (block.y > foot - 0.9 * tall),
        block.x,
        0.6,
    )
    for tier in np.linspace(0.12, 0.92, 8):
        wide, top = 0.27 * tall * (1.12 - tier) + 0.02, foot - tall * tier
        drop = 0.06 * tall + 0.15 * tall * (1.15 - tier)
        foot_line = [
            (
                x + wide * k / 6,
                top
                + drop * (1.15 if k % 2 == 0 else 0.8) * (1 - 0.25 * (1 - abs(k) / 6))
                + rng.normal(0, 0.004),
            )
            for k in range(6, -7, -1)
        ]
        across = (block.x - x) / wide
        block.put(
            block.inside([(x, top - 0.10 * tall), *foot_line], smooth=False),
            0.55 * block.x * np.sign(-across) - 0.75 * block.y,
            0.80 - 0.38 * np.clip(across, -0.6, 0.9),
        )


def _birch(block: Block, x: float, width: float, lean: float) -> None:
    """A white trunk with black bars, round by its curved cuts."""
    across = (block.x - x - lean * block.y - 0.008 * np.sin(9 * block.y)) / width
    inside = np.abs(across) < 1
    bars = cloud(inside.shape, 90, 26, np.random.Generator(np.random.PCG64(int(1000 * x)))) > 1.0
    run = block.y + 0.35 * width * across**2
    block.put(inside, run, np.where(bars, 0.9, 0.08 + 0.5 * np.clip(-across, 0, 1) ** 2))


def _fox(block: Block) -> None:
    """A fox that looks at the sun: red with a black back."""
    x, y = block.x, block.y
    tail = [
        (0.40, 0.88),
        (0.30, 0.90),
        (0.20, 0.86),
        (0.175, 0.80),
        (0.225, 0.815),
        (0.29, 0.835),
        (0.37, 0.82),
    ]
    block.put(block.inside(tail), 0.7 * y + 0.25 * x, np.where(x < 0.225, 0.05, 0.34), red=True)
    body = [
        (0.38, 0.90),
        (0.365, 0.80),
        (0.41, 0.70),
        (0.47, 0.63),
        (0.54, 0.63),
        (0.56, 0.70),
        (0.55, 0.80),
        (0.56, 0.90),
        (0.47, 0.905),
    ]
    block.put(
        block.inside(body),
        0.8 * np.hypot(x - 0.60, y - 0.80),
        0.16 + 2.2 * np.clip(0.47 - x, 0, 1),
        red=True,
    )
    chest = [(0.54, 0.66), (0.565, 0.73), (0.545, 0.81), (0.515, 0.73)]
    block.put(block.inside(chest), y - x, 0.15)
    head = [
        (0.475, 0.65),
        (0.468, 0.59),
        (0.452, 0.49),
        (0.505, 0.545),
        (0.54, 0.545),
        (0.58, 0.485),
        (0.585, 0.585),
        (0.655, 0.635),
        (0.645, 0.655),
        (0.55, 0.675),
    ]
    block.put(
        block.inside(head, smooth=False),
        0.8 * np.hypot(x - 0.66, y - 0.66),
        0.14 + 1.4 * np.clip(0.50 - x, 0, 1),
        red=True,
    )
    cheek = [(0.645, 0.653), (0.555, 0.672), (0.50, 0.645), (0.56, 0.63)]
    block.put(block.inside(cheek), y + x, 0.08)
    for spot, size in (((0.652, 0.636), 0.010), ((0.572, 0.592), 0.0095)):
        block.put(np.hypot(x - spot[0], y - spot[1]) < size, x, 1.0)


def woodcut_fox(width: int = 832, height: int = 660) -> np.ndarray:
    """Print a fox of this size in pixels: height x width x 3, uint8 RGB."""
    rng = np.random.Generator(np.random.PCG64(SEED))
    block = Block(rng)
    _sky(block)
    _land(block)
    for tree in ((1.20, 0.80, 0.50), (1.06, 0.83, 0.36), (0.99, 0.84, 0.24), (0.30, 0.78, 0.40)):
        _pine(block, *tree, rng)
    for trunk in ((0.045, 0.040, 0.02), (0.155, 0.026, -0.01)):
        _birch(block, *trunk)
    _fox(block)
    _pine(block, 1.13, 1.04, 0.36, rng)
    x, y = block.x, block.y
    rows = 0.93 - 0.02 * np.sin(8 * x)
    grass = np.abs((x * 55 + 3 * (y - rows) * np.sin(40 * x // 1)) % 1 - 0.5)
    block.put((y > rows) & (grass < 2.4 * (y - rows)), x + 0.2 * y, 0.85)
    edge = np.minimum(np.minimum(x, ASPECT - x), np.minimum(y, 1 - y)) + 0.0015 * block.waver
    print_ = np.where(
        (edge < 0.014)[..., None], PAPER, np.where((edge < 0.022)[..., None], INK, block.printed())
    )
    speck = cloud(x.shape, 420, 340, rng) + 0.5 * block.waver > 1.9  # where the ink did not take
    print_ = np.where(speck[..., None], 0.25 * print_ + 0.75 * PAPER, print_)
    return finish(print_ + 4 * cloud(x.shape, 300, 240, rng)[..., None], width, height)
