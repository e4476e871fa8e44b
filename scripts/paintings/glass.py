"""A valley at sunrise in stained glass, after the windows of Tiffany's workshop (about 1905).

Pieces of streaky glass in black lead: rays of the sky around the sun, ranges of hills, a river,
and irises in front. The light behind the window is brightest at the sun.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from scripts.paintings.plan import ASPECT, cloud
from scripts.paintings.sheet import SIZE, finish, grid, hook, mask, spline

LEAD = np.array((16, 14, 18))
# The sheets of glass that each part is cut from. fmt: off
SUN = ((255, 226, 120), (250, 200, 70))
RAYS = (
    ((255, 196, 64), (255, 168, 48)),
    ((250, 128, 52), (244, 104, 70)),
    ((226, 74, 92), (190, 58, 120)),
    ((132, 60, 158), (92, 66, 180)),
    ((52, 70, 176), (36, 92, 190)),
    ((24, 56, 140), (30, 80, 160)),
)
HILLS = (
    ((132, 112, 200), (98, 96, 190)),
    ((60, 120, 176), (40, 140, 160)),
    ((30, 140, 110), (60, 168, 92)),
    ((110, 176, 60), (40, 130, 60)),
)
RIVER = ((70, 190, 220), (130, 220, 230), (40, 130, 210), (240, 190, 120))
PETALS = ((120, 40, 170), (150, 70, 210), (90, 30, 140), (196, 120, 230))
THROAT, LEAF = ((255, 210, 60), (255, 180, 40)), ((20, 110, 60), (50, 150, 60), (10, 90, 80))
BORDER = ((150, 20, 40), (190, 40, 50), (20, 60, 130), (220, 150, 40))
# fmt: on
SUN_AT, BROAD = (0.70, 0.40), 0.0085
SEED = 1905


class Window:
    """The pieces of glass: at each pixel the number of its piece; for each piece, its sheets."""

    def __init__(self) -> None:
        self.x, self.y = grid()
        self.piece = np.zeros(self.x.shape, int)
        self.glass: list[Sequence] = [SUN]

    def cut(self, where: np.ndarray, cell: np.ndarray | int, glass: Sequence) -> None:
        """Cut a part into pieces, one for each value of cell (non-negative integers)."""
        cell = np.broadcast_to(cell, where.shape)[where]
        self.piece[where] = len(self.glass) + cell
        self.glass += [glass] * (int(cell.max(initial=-1)) + 1)

    def shape(self, outline: np.ndarray, glass: Sequence) -> None:
        """One piece inside a closed outline, N x 2."""
        self.cut(mask(outline), 0, glass)


def _sky(window: Window, warp: np.ndarray) -> None:
    """Rings of rays around the sun; each ring is cut at other angles than the next."""
    out = np.hypot(window.x - SUN_AT[0], window.y - SUN_AT[1]) * (1 + 0.05 * warp)
    turn = np.arctan2(window.y - SUN_AT[1], window.x - SUN_AT[0]) / (2 * np.pi) + 0.5
    edges = (0.045, 0.095, 0.145, 0.20, 0.26, 0.325, 0.395, 0.47, 0.555, 0.65, 0.76, 2.0)
    for ring, (inner, outer) in enumerate(zip(edges[:-1], edges[1:])):
        count = 14 + 3 * ring
        bent = turn + 0.06 * np.sin(9 * out + ring) + 0.5 * (ring % 2) / count
        window.cut(
            (out >= inner) & (out < outer), (bent * count % count).astype(int), RAYS[ring // 2]
        )


def _land(window: Window, warp: np.ndarray) -> None:
    """Ranges of hills in bent strips, and a river that winds down between them."""
    x, y = window.x, window.y
    for n, (base, tall, waves) in enumerate(
        ((0.50, 0.06, 6.0), (0.58, 0.05, 5.0), (0.67, 0.045, 4.3), (0.78, 0.05, 3.3))
    ):
        top = (
            base - tall * np.sin(waves * x + 2.2 * n + 0.4) - 0.25 * tall * np.sin(2.7 * waves * x)
        )
        strip = ((y - top) / (0.045 + 0.012 * n)).clip(0).astype(int)
        along = x * (7 - n) + 1.2 * (y - top) * (-1) ** n * 6 + 0.5 * (strip % 2) + 0.3 * warp
        window.cut(y > top, strip * 16 + along.clip(0, 15).astype(int), HILLS[n])
    down = (y - 0.545) / 0.455
    centre = 0.70 + 0.16 * np.sin(6.5 * np.clip(down, 0, 1) ** 0.7) - 0.12 * down
    half = 0.012 + 0.20 * np.clip(down, 0, 1) ** 1.4
    across = (x - centre) / half
    band = (np.clip(down, 0, 1) ** 0.6 * 13 + 0.5 * np.sin(2.2 * across)).clip(0).astype(int)
    lane = (across * 1.5 + 1.5 + 0.5 * (band % 2)).clip(0, 4).astype(int)
    window.cut((down > 0) & (np.abs(across) < 1), band * 5 + lane, RIVER)


def _petal(at: np.ndarray, angle: float, length: float, width: float, curl: float) -> np.ndarray:
    """The outline of a petal or a leaf from its root."""
    path, angles = hook(at, angle, length, curl, 24)
    blade = width * np.sin(np.pi * np.linspace(0.02, 1, 24) ** 0.8) / 2
    side = np.stack([-np.sin(angles), np.cos(angles)], axis=1) * blade[:, None]
    return np.concatenate([path + side, (path - side)[::-1]])


def _iris(
    window: Window, foot: float, at: tuple[float, float], size: float, rng: np.random.Generator
) -> None:
    """A stalk, leaves like swords, and a flower of three falls and three standards."""
    head = np.array(at)
    stalk = spline([(foot, 1.0), ((foot + at[0]) / 2 + 0.01, (1 + at[1]) / 2), at], 40)
    window.shape(np.concatenate([stalk + (0.007, 0), (stalk - (0.007, 0))[::-1]]), LEAF)
    for side in (-1, 1, -1):
        root = np.array((foot + side * 0.02, 1.02))
        window.shape(
            _petal(
                root,
                -np.pi / 2 + side * rng.uniform(0.1, 0.3),
                rng.uniform(0.25, 0.4),
                0.05,
                side * rng.uniform(0.1, 0.5),
            ),
            LEAF,
        )
    for angle, curl in (
        (2.6, -1.0),
        (0.54, 1.0),
        (-2.1, 0.6),
        (-1.04, -0.6),
        (-1.57, 0.1),
        (1.57, 0.3),
    ):
        window.shape(_petal(head, angle, size, 0.62 * size, curl), PETALS)
    window.shape(_petal(head - (0, 0.01), 1.57, 0.55 * size, 0.20 * size, 0.2), THROAT)


def stained_glass(width: int = 832, height: int = 660) -> np.ndarray:
    """Make a window of this size in pixels: height x width x 3, uint8 RGB."""
    rng = np.random.Generator(np.random.PCG64(SEED))
    window = Window()
    x, y, shape = window.x, window.y, window.y.shape
    warp = cloud(shape, 9, 7, rng)
    _sky(window, warp)
    _land(window, warp)
    for foot, at, size in (
        (0.10, (0.14, 0.60), 0.105),
        (0.28, (0.30, 0.72), 0.095),
        (1.08, (1.06, 0.66), 0.105),
        (1.21, (1.17, 0.50), 0.10),
        (0.47, (0.45, 0.85), 0.085),
    ):
        _iris(window, foot, at, size, rng)
    edge = np.minimum(np.minimum(x, ASPECT - x), np.minimum(y, 1 - y))
    window.cut(edge < 0.05, ((x + y) * 11).astype(int), BORDER)
    # Each piece has a sheet, a brightness and streaks of its own.
    piece, count = window.piece, len(window.glass)
    pick = rng.random(count)
    first = np.array([sheets[int(p * len(sheets))] for sheets, p in zip(window.glass, pick)], float)
    second = np.array(
        [sheets[int(p * 7919 % len(sheets))] for sheets, p in zip(window.glass, pick)], float
    )
    bright = rng.normal(1, 0.13, (count, 1))
    angle, tilt = rng.uniform(0, np.pi, count)[piece], rng.uniform(-1, 1, count)[piece]
    u = x * np.cos(angle) + y * np.sin(angle)
    streak = np.sin(70 * u + 2.5 * cloud(shape, 22, 18, rng) + 9 * tilt) + 0.8 * cloud(
        shape, 60, 48, rng
    )
    share = np.clip(0.5 + 0.3 * streak, 0, 1)[..., None]
    colour = ((1 - share) * first[piece] + share * second[piece]) * bright[piece]
    colour *= (1 + 0.10 * streak + 0.05 * cloud(shape, 240, 190, rng))[..., None]
    seam = ndimage.maximum_filter(piece, 3) != ndimage.minimum_filter(piece, 3)
    away = ndimage.distance_transform_edt(~seam) / SIZE[1]
    colour *= (0.62 + 0.48 * np.clip(away / 0.02, 0, 1))[..., None]  # grime gathers at the lead
    light = np.exp(-np.hypot(x - SUN_AT[0], y - SUN_AT[1]) / 0.5)[..., None]
    colour = colour * (0.88 + 0.36 * light) + 12 * light**2
    came = BROAD * (0.5 + 0.12 * warp)
    lead = LEAD + 70 * np.exp(-((away / 0.0016) ** 2))[..., None]  # a glint along its middle
    picture = np.where((away < came)[..., None], lead, colour)
    glow = ndimage.gaussian_filter(np.clip(picture, 0, 255), (18, 18, 0))
    return finish(picture + 0.16 * glow, width, height)
