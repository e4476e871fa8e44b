"""A peacock in mosaic, after the floors and vaults of Byzantium.

The tesserae stand in rows that follow the outline of each shape, as the mosaicists laid them (opus
vermiculatum): the rows are the level lines of the distance from the edge of the shape. Stands in
for ``style=mosaic``.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage import measure

from scripts.paintings.plan import ASPECT, cloud
from scripts.paintings.sheet import SIZE, Sheet, finish, grid, mask, spline

GROUT = (74, 66, 60)
# The glass of each shape, a few kinds a shape.
# fmt: off
GOLD = ((214, 164, 52), (232, 188, 84), (196, 140, 40), (240, 208, 120), (178, 118, 36))
CRIMSON = ((150, 28, 40), (186, 48, 48), (116, 20, 40), (206, 84, 60))
IVORY = ((236, 224, 196), (222, 206, 170), (244, 236, 216), (206, 188, 152))
COBALT = ((24, 60, 150), (36, 84, 180), (18, 40, 112), (60, 116, 200))
TEAL = ((16, 116, 124), (32, 146, 146), (12, 88, 104), (72, 176, 164))
GREEN = ((52, 128, 60), (88, 160, 72), (30, 96, 56), (140, 186, 84))
NIGHT = ((20, 28, 66), (30, 40, 90), (14, 20, 48), (44, 44, 110))
ORANGE = ((224, 112, 36), (240, 144, 56), (204, 84, 32), (246, 176, 88))
# fmt: on
TILE = 0.0135  # side of a tessera, canvas heights
SEED = 547

HEART = (0.63, 0.66)  # where the feathers spread from
FANS = (
    (0.60, 21, 0.062),
    (0.47, 17, 0.054),
    (0.345, 13, 0.045),
    (0.235, 10, 0.034),
)  # radius, eyes, size


def _disc(
    x: np.ndarray, y: np.ndarray, at: tuple[float, float], radius: float, tall: float = 1
) -> np.ndarray:
    return np.hypot(x - at[0], (y - at[1]) / tall) < radius


def _inside(points: list[tuple[float, float]]) -> np.ndarray:
    """The mask of the shape inside a smooth closed curve."""
    return mask(spline([*points, points[0]]))


def _design() -> list[tuple[np.ndarray, tuple]]:
    """Shapes from back to front, each a mask and its glass."""
    x, y = grid()
    shapes = [(y > 0, GOLD)]
    turn, out = np.arctan2(HEART[1] - y, x - HEART[0]), np.hypot(x - HEART[0], y - HEART[1])
    shapes.append(
        (
            (out < 0.665 + 0.012 * np.cos(42 * turn)) & (turn > -0.28)
            | (out < 0.665) & (turn < -np.pi + 0.28),
            GREEN,
        )
    )
    for fan, (radius, eyes, size) in enumerate(FANS):
        shapes.append((out < radius + 0.006, TEAL if fan % 2 else GREEN))
        for n in range(eyes):
            angle = -0.22 + (np.pi + 0.44) * (n + 0.5 * (fan % 2) + 0.25) / eyes
            at = (HEART[0] + radius * np.cos(angle), HEART[1] - radius * np.sin(angle))
            for share, glass in ((1.0, ORANGE), (0.68, TEAL), (0.38, NIGHT)):
                shapes.append((_disc(x, y, at, share * size), glass))
    ground = 0.88 + 0.02 * np.sin(7 * x)
    shapes.append((y > ground, CRIMSON))
    for n in range(9):
        at = (0.07 + 0.14 * n, 0.945)
        shapes.append((_disc(x, y, at, 0.042), IVORY))
        shapes.append((_disc(x, y, at, 0.021), COBALT))
    body = [
        (0.62, 0.25), (0.57, 0.29), (0.58, 0.36), (0.60, 0.43), (0.555, 0.53), (0.53, 0.64),
        (0.56, 0.78), (0.64, 0.85), (0.72, 0.77), (0.735, 0.64), (0.70, 0.52), (0.665, 0.42),
        (0.68, 0.32), (0.65, 0.26),
    ]  # fmt: skip
    shapes.append((_inside(body), COBALT))
    shapes.append((_disc(x, y, (0.635, 0.68), 0.062, 1.7), TEAL))
    shapes.append((_disc(x, y, (0.615, 0.305), 0.025), IVORY))
    shapes.append((_disc(x, y, (0.615, 0.305), 0.011), NIGHT))
    shapes.append((_inside([(0.57, 0.30), (0.50, 0.335), (0.49, 0.355), (0.565, 0.35)]), ORANGE))
    for n in range(5):
        tip = (0.555 + 0.035 * n, 0.185 + 0.012 * abs(n - 2))
        stalk = np.linspace(tip, (0.625, 0.27), 9)
        shapes += [(_disc(x, y, at, 0.005), TEAL) for at in stalk]
        shapes.append((_disc(x, y, tip, 0.018), ORANGE))
    edge = np.minimum(np.minimum(x, ASPECT - x), np.minimum(y, 1 - y))
    return [*shapes, (edge < 0.045, NIGHT), (edge < 0.016, IVORY)]


def _lay(
    sheet: Sheet, label: np.ndarray, glass: dict, light: np.ndarray, rng: np.random.Generator
) -> None:
    """Fill each shape with rows of tesserae, from its edge to its middle."""
    unit, reach = SIZE[1], int(0.33 * TILE * SIZE[1])
    taken = np.zeros(label.shape, bool)
    for kind, box in enumerate(ndimage.find_objects(label), 1):
        if box is None:
            continue
        top, left = (side.start for side in box)
        depth = ndimage.distance_transform_edt(np.pad(label[box] == kind, 2)) / unit
        down, right = np.gradient(ndimage.gaussian_filter(depth, 3))
        # A shape that is thinner than a tessera gets one row, along its middle.
        first = min(0.5 * TILE, 0.8 * depth.max())
        for level in np.arange(first, depth.max(), TILE):
            for path in measure.find_contours(depth, level):
                along = np.r_[0, np.cumsum(np.hypot(*np.diff(path, axis=0).T))] / unit
                places = np.arange(0.5, max(1, round(along[-1] / TILE))) * TILE
                for at in np.stack([np.interp(places, along, side) for side in path.T], axis=1):
                    cell = tuple(at.astype(int))
                    i, j = cell[0] + top - 2, cell[1] + left - 2
                    if depth[cell] == 0 or taken[i, j]:
                        continue
                    taken[max(i - reach, 0) : i + reach, max(j - reach, 0) : j + reach] = True
                    turn = np.arctan2(down[cell], right[cell]) + rng.normal(0, 0.06)
                    corner = turn + (np.arange(4) + 0.5) * np.pi / 2 + rng.normal(0, 0.06, 4)
                    half = np.sqrt(2) * 0.455 * TILE * rng.uniform(0.88, 1.06, (4, 1))
                    quad = half * np.stack([np.cos(corner), np.sin(corner)], axis=1)
                    colour = np.array(glass[kind][rng.integers(len(glass[kind]))], float)
                    colour *= 0.95 + 0.10 * light[i, j] + rng.normal(0, 0.06)
                    sheet.area(quad + np.array([j, i]) / unit, _paint(colour))


def _paint(colour: np.ndarray) -> tuple[int, int, int]:
    return tuple(np.clip(colour, 0, 255).astype(int).tolist())


def mosaic_peacock(width: int = 832, height: int = 660) -> np.ndarray:
    """Lay a peacock of this size in pixels: height x width x 3, uint8 RGB."""
    rng = np.random.Generator(np.random.PCG64(SEED))
    light = cloud(SIZE[::-1], 7, 6, rng)
    label, glass = np.zeros(light.shape, int), {}
    for kind, (where, colours) in enumerate(_design(), 1):
        label[where] = kind
        glass[kind] = colours
    sheet = Sheet(np.array(GROUT) + 10 * cloud(light.shape, 300, 240, rng)[..., None])
    _lay(sheet, label, glass, light, rng)
    picture = np.asarray(sheet.image, float)
    # Each piece of glass is lit from the upper left.
    height_ = ndimage.gaussian_filter((np.ptp(picture, axis=2) > 24).astype(float), 2.0)
    lit = height_ - np.roll(height_, (4, 4), (0, 1))
    return finish(picture + 55 * lit[..., None], width, height)
