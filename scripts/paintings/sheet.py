"""The sheet of paper: shapes drawn on a large canvas in the units of a design, then reduced."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw
from scipy.interpolate import CubicSpline

from scripts.paintings.plan import ASPECT

SIZE = (2048, 1624)  # of the canvas: twice the size of a painting, which smooths the edges
Colour = tuple[int, int, int]  # sRGB


class Sheet:
    """A canvas that takes points in units of the design: x from 0 to ASPECT, y down to 1."""

    def __init__(self, paper: Colour | np.ndarray) -> None:
        """Take one colour, or a picture of SIZE as H x W x 3 in 0..255."""
        if isinstance(paper, tuple):
            self.image = Image.new("RGB", SIZE, paper)
        else:
            self.image = Image.fromarray(np.clip(np.rint(paper), 0, 255).astype(np.uint8))
        self.pencil = ImageDraw.Draw(self.image)

    def area(self, points: np.ndarray, colour: Colour) -> None:
        """Fill a polygon, N x 2."""
        self.pencil.polygon((points * SIZE[1]).ravel().tolist(), fill=colour)

    def line(self, points: np.ndarray, width: float | np.ndarray, colour: Colour) -> None:
        """Draw a line through N x 2 points; its width, one number or N, in canvas heights."""
        tangent = np.gradient(points, axis=0)
        normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)
        normal *= np.broadcast_to(width, len(points))[:, None] / 2
        normal /= np.hypot(*tangent.T)[:, None] + 1e-9
        self.area(np.concatenate([points + normal, (points - normal)[::-1]]), colour)

    def dot(self, at: Sequence[float], radius: float, colour: Colour) -> None:
        """Draw a disc."""
        x, y, r = (value * SIZE[1] for value in (*at, radius))
        self.pencil.ellipse((x - r, y - r, x + r, y + r), fill=colour)


def grid() -> tuple[np.ndarray, np.ndarray]:
    """X and y of the pixels of the canvas in units of the design, each H x W."""
    x, y = np.meshgrid(np.arange(SIZE[0]) + 0.5, np.arange(SIZE[1]) + 0.5)
    return x / SIZE[0] * ASPECT, y / SIZE[1]


def mask(outline: np.ndarray) -> np.ndarray:
    """The pixels of the canvas inside a closed outline, N x 2, as H x W."""
    sheet = Sheet((0, 0, 0))
    sheet.area(outline, (255, 255, 255))
    return np.asarray(sheet.image)[..., 0] > 0


def spline(points: Sequence[Sequence[float]], count: int = 120) -> np.ndarray:
    """A smooth curve through the points, as count x 2."""
    knots = np.asarray(points, float)
    steps = np.r_[0, np.cumsum(np.hypot(*np.diff(knots, axis=0).T) ** 0.5)]
    return CubicSpline(steps, knots)(np.linspace(0, steps[-1], count))


def hook(
    at: np.ndarray, angle: float, length: float, curl: float, count: int = 16
) -> tuple[np.ndarray, np.ndarray]:
    """A line from a point that turns by curl (rad), tighter at its end: points and angles."""
    along = np.linspace(0, 1, count)
    angles = angle + curl * along**1.5
    steps = np.stack([np.cos(angles), np.sin(angles)], axis=1) * length / count
    return at + np.cumsum(steps, axis=0) - steps[0], angles


def finish(picture: Image.Image | np.ndarray, width: int, height: int) -> np.ndarray:
    """Reduce the canvas to height x width x 3, uint8 RGB."""
    if isinstance(picture, np.ndarray):
        picture = Image.fromarray(np.clip(np.rint(picture), 0, 255).astype(np.uint8))
    return np.asarray(picture.resize((width, height), Image.Resampling.BOX))
