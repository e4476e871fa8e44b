"""Mountains in mist behind bamboo, after the ink painting of China and Japan (shan shui, sumi-e).

Black ink on warm paper: washes that pool at their edges, axe-cut strokes of a dry brush on the
rocks, stalks and leaves in one stroke each, splashes, and a red seal.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from scripts.paintings.plan import ASPECT, cloud
from scripts.paintings.sheet import SIZE, finish, grid, hook, spline

PAPER, INK, SEAL = np.array((240, 226, 194)), np.array((18, 18, 24)), np.array((186, 44, 34))
RIDGES = (  # height of the ridge, of its peaks, number of peaks, darkness of the ink
    (0.36, 0.22, 4, 0.34), (0.50, 0.20, 5, 0.50), (0.66, 0.17, 5, 0.72), (0.86, 0.12, 6, 0.95),
)  # fmt: skip
SEED = 1495


class Ink:
    """The ink on the paper, 0 none .. 1 black."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.density = np.zeros(SIZE[::-1])
        self.strokes = Image.new("L", SIZE, 0)
        self.pencil = ImageDraw.Draw(self.strokes)

    def stroke(self, path: np.ndarray, width: np.ndarray, dark: float, dry: float) -> None:
        """One stroke as a bundle of hairs along N x 2 points; a dry brush leaves gaps."""
        tangent = np.gradient(path, axis=0)
        normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)
        normal /= np.hypot(*tangent.T)[:, None] + 1e-9
        hairs = max(3, int(width.max() * SIZE[1] / 3))
        for across in np.linspace(-0.5, 0.5, hairs):
            line = (path + normal * (across * width)[:, None]) * SIZE[1]
            tone = min(1.0, dark * self.rng.uniform(0.85, 1.15))
            first, last = 0, len(line)
            if self.rng.random() < dry:
                first, last = np.sort(self.rng.integers(0, len(line), 2))
            if last - first > 1:
                points = line[first:last].ravel().tolist()
                self.pencil.line(points, fill=int(255 * tone), width=4)

    def dry_up(self) -> None:
        """Let the strokes soak into the paper, and start anew above them."""
        fresh = ndimage.gaussian_filter(np.asarray(self.strokes, float) / 255, 1.2)
        self.density = 1 - (1 - self.density) * (1 - fresh)
        self.strokes.paste(0, (0, 0, *SIZE))


def _ridge(ink: Ink, ridge: tuple[float, float, int, float]) -> np.ndarray:
    """One range: a wash that is dark along the ridge and fades to mist below, then dry strokes.

    Returns the height of the ridge in each column.
    """
    base, tall, peaks, dark = ridge
    _, y = grid()
    rng = ink.rng
    line = cloud((1, SIZE[0]), peaks, 1, rng)[0] + 0.32 * cloud((1, SIZE[0]), 5 * peaks, 1, rng)[0]
    line += 0.10 * cloud((1, SIZE[0]), 24 * peaks, 1, rng)[0]
    top = base - 0.55 * tall * line
    depth = y - top[None]
    wash = np.exp(-np.clip(depth, 0, None) / (0.9 * tall)) * (
        0.75 + 0.22 * cloud(y.shape, 14, 11, rng)
    )
    pool = 0.5 * np.exp(-(((depth - 0.004) / 0.005) ** 2)) + 0.25 * np.exp(
        -np.clip(depth, 0, None) / 0.02
    )
    inside = depth > 0.004 * cloud(y.shape, 160, 120, rng)
    ink.density = np.where(inside, 0.12 * ink.density, ink.density)  # the mist hides what is behind
    ink.density += np.where(inside, dark * (0.55 * wash + pool) * 0.8, 0)
    for _ in range(int(1100 * tall / 0.2)):
        px = rng.uniform(0, ASPECT)
        column = min(int(px / ASPECT * SIZE[0]), SIZE[0] - 1)
        below = rng.exponential(0.42 * tall)
        slope = np.clip(
            (top[min(column + 20, SIZE[0] - 1)] - top[max(column - 20, 0)]) / 0.025, -3, 3
        )
        lean = np.arctan2(1.0, np.sign(slope) * 0.35 + 0.25 * slope) + rng.normal(0, 0.2)
        path, _ = hook(
            np.array([px, top[column] + below]), lean, rng.uniform(0.015, 0.05), rng.normal(0, 0.5)
        )
        width = rng.uniform(0.005, 0.018) * np.linspace(1, 0.2, len(path))
        ink.stroke(path, width, 1.1 * dark * np.exp(-below / tall), 0.6)
    ink.dry_up()
    return top


def _pine(ink: Ink, foot: tuple[float, float], tall: float) -> None:
    """A small tree on a ridge: a bent trunk and tiers of needles."""
    rng = ink.rng
    trunk = spline(
        [
            foot,
            (foot[0] + 0.03 * tall, foot[1] - 0.4 * tall),
            (foot[0] - 0.05 * tall, foot[1] - tall),
        ],
        20,
    )
    ink.stroke(trunk, np.linspace(0.06, 0.02, 20) * tall, 0.95, 0.3)
    for tier in np.linspace(0.3, 1, 6):
        at = trunk[int(tier * 19)]
        spread = 0.5 * tall * (1.15 - tier)
        for _ in range(26):
            root = at + (rng.uniform(-spread, spread), rng.normal(0, 0.025) * tall)
            path, _ = hook(root, rng.uniform(-2.6, -0.5), 0.10 * tall, 0.3, 6)
            ink.stroke(path, np.full(6, 0.006), 0.9, 0.2)


def _bamboo(ink: Ink, x: float, lean: float, width: float, dark: float) -> None:
    """A stalk in joints, and leaves in one stroke each."""
    rng, y = ink.rng, 1.04
    while y > -0.1:
        tall = rng.uniform(0.13, 0.19)
        bottom, top = np.array([x, y]), np.array([x + lean * tall, y - tall + 0.008])
        path = bottom + np.linspace(0, 1, 30)[:, None] * (top - bottom)
        pinch = 1 + 0.25 * (np.abs(np.linspace(-1, 1, 30)) ** 6)
        ink.stroke(path, width * pinch, dark, 0.55)
        ink.stroke(
            top + np.array([[-0.5, 0], [0, -0.003], [0.5, 0]]) * width * 1.4,
            np.full(3, 0.006),
            1.0,
            0.0,
        )
        if y < 0.8:
            side = rng.choice([-1, 1])
            for _ in range(int(rng.integers(4, 8))):
                start = (
                    top + side * np.array([rng.uniform(0.0, 0.12), 0]) + (0, rng.normal(0, 0.02))
                )
                angle = np.pi / 2 - side * rng.uniform(0.1, 1.2)
                leaf, _ = hook(start, angle, rng.uniform(0.09, 0.17), rng.normal(0, 0.25), 24)
                along = np.linspace(0, 1, 24)
                blade = rng.uniform(0.016, 0.026) * np.sin(np.pi * along**0.6) + 0.001
                ink.stroke(leaf, blade, dark * rng.uniform(0.7, 1.05), 0.18)
        x, y = x + lean * tall, y - tall


def ink_mountains(width: int = 832, height: int = 660) -> np.ndarray:
    """Paint mountains in ink of this size in pixels: height x width x 3, uint8 RGB."""
    rng = np.random.Generator(np.random.PCG64(SEED))
    ink, (x, y) = Ink(rng), grid()
    sun = np.hypot(x - 0.80, y - 0.17) - 0.085
    sky = 0.10 + 0.05 * cloud(y.shape, 6, 9, rng) + 0.04 * cloud(y.shape, 18, 30, rng)
    ink.density = np.where(sun > 0, sky * (1 + 2.2 * np.exp(-np.clip(sun, 0, None) / 0.03)), 0)
    for n, ridge in enumerate(RIDGES):
        top = _ridge(ink, ridge)
        for foot in ((), (), (0.36, 0.40, 0.66, 0.70, 0.75, 1.02), (0.30, 0.55, 0.60, 0.87))[n]:
            column = int(foot / ASPECT * SIZE[0])
            _pine(ink, (foot, top[column] + 0.015), rng.uniform(0.09, 0.15))
        ink.dry_up()
    for stalk in (
        (0.20, 0.10, 0.022, 0.45),
        (1.22, -0.12, 0.026, 0.55),
        (0.10, 0.05, 0.036, 0.95),
        (1.13, -0.03, 0.030, 0.9),
    ):
        _bamboo(ink, *stalk)
        ink.dry_up()
    for _ in range(420):  # splashes
        at, r = rng.uniform(0, 1, 2) * SIZE, 1.2 + 9 * rng.random() ** 6
        ink.pencil.ellipse((*(at - r), *(at + r)), fill=int(rng.uniform(90, 240)))
    ink.dry_up()
    fibre = cloud(y.shape, 400, 320, rng)
    density = np.clip(1.15 * ink.density * (1 + 0.12 * fibre) + 0.008 * fibre, 0, 1)[..., None]
    painted = PAPER * (1 - density) + INK * density + 3 * cloud(y.shape, 9, 7, rng)[..., None]
    seal = np.maximum(np.abs(x - 0.46), np.abs(y - 0.10)) < 0.028
    lines = np.sin(x * 420) * np.sin(y * 310 + 1) + 0.3 * fibre
    return finish(np.where((seal & (lines > -0.35))[..., None], SEAL, painted), width, height)
