"""The brush: strokes along the flow of a plan, as bundles of bristles with paint and relief."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from scripts.paintings.plan import Plan

Pigment = tuple[int, int, int]  # sRGB
Row = tuple[Pigment, ...]  # from dark to light

POINTS = 13  # points along a stroke
SUPERSAMPLE = 2  # strokes are drawn this many times larger, which smooths their edges


class Layer(NamedTuple):
    """Strokes of one size; lengths in pixels of a picture of 1024 x 812."""

    width: float
    length: float
    cover: float  # how many times the strokes cover the canvas
    stray: float  # how far a stroke's tone strays from the plan (standard deviation)


class Manner(NamedTuple):
    """How a painter paints: the paints, the brushes, and how thick and mixed the paint is."""

    paints: Mapping[int, tuple[Row, Row]]  # a cool and a warm row each, in the order of painting
    layers: Sequence[Layer]  # from broad to fine
    widest: Mapping[int, float] = {}  # the widest brush of a subject; the others take every layer
    mixing: float = 5  # how far a stroke's colour strays from the row of paints, in each channel
    bristle: float = 16  # how far the brightness of one bristle strays from its stroke
    relief: float = 0.42  # steps of brightness per step of paint height between two pixels


class Accents(NamedTuple):
    """N strokes that are given, not traced, such as contours; drawn last on their subject."""

    path: np.ndarray  # N x POINTS x 2, grid pixels
    colour: np.ndarray  # N x 3, 0..255
    subject: np.ndarray  # N
    width: float  # in pixels of a picture of 1024 x 812


class _Bristles(NamedTuple):
    """Strokes as bundles of H hair lines, ready to draw on the supersampled canvas."""

    subject: np.ndarray  # N
    points: np.ndarray  # N x H x 2 POINTS, whole canvas pixels: x, y, x, y, ...
    ink: np.ndarray  # N x H x 4, 0..255: red, green, blue and the height of the paint
    bare: np.ndarray  # N x H x 2: points without paint at either end
    width: int  # of one hair line, canvas pixels


def paint(
    plan: Plan,
    manner: Manner,
    shape: tuple[int, int],
    rng: np.random.Generator,
    accents: Sequence[Accents] = (),
) -> np.ndarray:
    """Paint a settled plan: height x width x 3, uint8 RGB; shape is (height, width) in pixels."""
    height, width = shape
    zoom = SUPERSAMPLE * height / len(plan.tone)
    size = SUPERSAMPLE * (width * height / (1024 * 812)) ** 0.5
    strokes = [_strokes(plan, manner, layer, size, zoom, rng) for layer in manner.layers]
    for path, colour, subject, thick in accents:
        # A line thinner than a pixel of the picture would fade out.
        thick = max(thick * size, SUPERSAMPLE)
        strokes.append(_spread(path * zoom, colour, subject, thick, manner, rng))
    widths = [layer.width for layer in manner.layers] + [0.0] * len(accents)
    canvas_size = (SUPERSAMPLE * width, SUPERSAMPLE * height)
    canvas = _underpaint(plan, manner).resize(canvas_size, Image.Resampling.NEAREST)
    pencil = ImageDraw.Draw(canvas)
    for subject in manner.paints:
        for brush, bristles in zip(widths, strokes):
            if brush <= manner.widest.get(subject, brush):
                _draw(pencil, bristles, subject)
    blocks = np.asarray(canvas).reshape(height, SUPERSAMPLE, width, SUPERSAMPLE, 4)
    return emboss(blocks.mean(axis=(1, 3), dtype=np.float32), manner.relief)


def emboss(painted: np.ndarray, relief: float) -> np.ndarray:
    """Light the relief from the upper left: H x W x 4 (RGB and height) to H x W x 3, uint8."""
    height = np.pad(painted[..., 3], ((1, 0), (1, 0)), mode="edge")
    rise = height[1:, 1:] - height[:-1, :-1]
    lit = painted[..., :3] + relief * rise[..., None]
    return np.clip(np.rint(lit), 0, 255).astype(np.uint8)


def _mix(manner: Manner, subject: np.ndarray, warm: np.ndarray, tone: np.ndarray) -> np.ndarray:
    """Look up the tone of each stroke in its row of paints: N x 3 in 0..255."""
    colour = np.empty((tone.size, 3))
    for rows in set(manner.paints.values()):
        kinds = [kind for kind, those in manner.paints.items() if those == rows]
        painted = np.isin(subject, kinds)
        for is_warm, row in enumerate(rows):
            chosen = painted & (warm == bool(is_warm))
            stops = np.linspace(0, 1, len(row))
            for channel in range(3):
                values = [pigment[channel] for pigment in row]
                colour[chosen, channel] = np.interp(tone[chosen], stops, values)
    return colour


def _underpaint(plan: Plan, manner: Manner) -> Image.Image:
    """Lay a thin wash of the plan's own colours, so that a gap between strokes is never a hole."""
    colour = _mix(manner, plan.subject.ravel(), plan.warmth.ravel() > 0.5, plan.tone.ravel())
    wash = np.column_stack([0.8 * colour, np.full(len(colour), 60.0)])  # darker, and thin
    return Image.fromarray(np.rint(wash).astype(np.uint8).reshape(*plan.tone.shape, 4))


def _trace(plan: Plan, start: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Follow the brush both ways from N points, for N lengths: N x POINTS x 2, in grid pixels.

    A stroke stops where its subject ends: it does not run from the sky into the hills.
    """
    home = plan.cell(start)
    halves = []
    for sign in (-1.0, 1.0):
        path, at, heading = [], start, sign * plan.flow[home]
        for _ in range(POINTS // 2):
            ahead, heading = plan.step(at, heading, length[:, None] / (POINTS - 1))
            stays = plan.subject[plan.cell(ahead)] == plan.subject[home]
            at = np.where(stays[:, None], ahead, at)
            path.append(at)
        halves.append(path)
    return np.stack([*halves[0][::-1], start, *halves[1]], axis=1)


def _strokes(
    plan: Plan, manner: Manner, layer: Layer, size: float, zoom: float, rng: np.random.Generator
) -> _Bristles:
    """Trace one layer of strokes over the plan.

    size: canvas pixels per unit of the layer. zoom: canvas pixels per grid pixel.
    """
    # A brush finer than 2 pixels of the picture would leave no stroke to see.
    size = max(size, 2 * SUPERSAMPLE / layer.width)
    rows, columns = plan.subject.shape
    canvas_area, stroke_area = rows * columns * zoom**2, layer.width * layer.length * size**2
    count = int(layer.cover * canvas_area / stroke_area)
    start = rng.uniform(0, 1, (count, 2)) * (columns, rows)
    home = plan.cell(start)
    tone = (plan.tone[home] + rng.normal(0, layer.stray, count)).clip(0, 1)
    warm = rng.random(count) < plan.warmth[home]
    colour = _mix(manner, plan.subject[home], warm, tone)
    colour = colour + rng.normal(0, manner.mixing, (count, 3))
    length = layer.length * size / zoom * rng.uniform(0.7, 1.2, count)
    path = _trace(plan, start, length) * zoom
    return _spread(path, colour, plan.subject[home], layer.width * size, manner, rng)


def _spread(
    path: np.ndarray,
    colour: np.ndarray,
    subject: np.ndarray,
    width: float,
    manner: Manner,
    rng: np.random.Generator,
) -> _Bristles:
    """Split N strokes (canvas pixels: N x POINTS x 2, and their width) into bristle lines."""
    count, hairs = len(path), max(2, round(width / 3))
    hair_width = round(width / hairs) + 1
    tangent = np.gradient(path, axis=1)
    tangent /= np.hypot(tangent[..., :1], tangent[..., 1:]) + 1e-9
    normal = np.stack([-tangent[..., 1], tangent[..., 0]], axis=-1)
    taper = np.sqrt(1 - 0.92 * np.linspace(-1, 1, POINTS) ** 4) * (width - hair_width) / 2
    across = np.linspace(-1, 1, hairs)
    points = path[:, None] + across[:, None, None] * (taper[:, None] * normal[:, None])
    # Each bristle carries its own share of paint, is ragged at both ends, and lies lower at the
    # sides of the stroke than in the middle.
    shade = rng.normal(0, manner.bristle, (count, hairs, 1)) + rng.normal(0, 4, (count, hairs, 3))
    height = 150 - 85 * across**2
    height = height + rng.normal(0, 15, (count, 1)) + rng.normal(0, 22, (count, hairs))
    ink = np.concatenate([colour[:, None] + shade, height[..., None]], axis=-1)
    return _Bristles(
        subject,
        np.rint(points).astype(int).reshape(count, hairs, 2 * POINTS),
        np.rint(ink).clip(0, 255).astype(int),
        rng.integers(0, 1 + POINTS // 4, (count, hairs, 2)),
        hair_width,
    )


def _draw(pencil: ImageDraw.ImageDraw, bristles: _Bristles, subject: int) -> None:
    """Draw the strokes of one subject in their order."""
    for stroke in np.flatnonzero(bristles.subject == subject):
        parts = (bristles.points[stroke], bristles.ink[stroke], bristles.bare[stroke])
        for points, ink, (first, last) in zip(*(part.tolist() for part in parts)):
            line = points[2 * first : len(points) - 2 * last]
            pencil.line(line, fill=tuple(ink), width=bristles.width)
