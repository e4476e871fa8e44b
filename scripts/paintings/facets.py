"""A seated figure in facets, after Picasso's analytic cubism (Femme nue assise, 1909-10).

The figure and the room are broken into overlapping planes. Each plane has one sharp edge, straight
or bowed, and fades away from it, so that the plane below shows through; it is hatched in a
direction of its own, and dark contours stand on the sharp edges. The composition and the palette
were chosen by eye. Stands in for ``style=picasso``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from scripts.paintings.brush import POINTS, Accents, Layer, Manner, paint
from scripts.paintings.plan import ASPECT, Plan, cloud

# Pigments, sRGB.
BONE_BLACK, BISTRE, UMBER = (24, 20, 18), (52, 38, 28), (88, 62, 40)
SIENNA, OCHRE, BUFF = (126, 92, 58), (170, 136, 88), (206, 178, 130)
IVORY, CHALK = (234, 214, 172), (240, 232, 210)
SOOT, SLATE, LEAD = (34, 35, 33), (72, 72, 66), (112, 110, 100)
ASH, SILVER = (154, 150, 134), (194, 188, 168)
TAUPE, DRAB, SAND = (84, 72, 56), (132, 114, 84), (182, 160, 122)
BLACK_GREEN, OLIVE, LICHEN, SAGE = (30, 34, 27), (72, 70, 48), (112, 108, 78), (154, 148, 112)

# The kinds of planes: the ground, and what most of a plane is painted with.
# fmt: off
GROUND, GREYS, OLIVES, OCHRES = (
    ((SOOT, SLATE, LEAD, ASH), (BISTRE, OLIVE, LICHEN, SAGE)),
    ((SOOT, SLATE, LEAD, ASH, SILVER, CHALK), (BISTRE, TAUPE, LEAD, DRAB, SAND, IVORY)),
    ((BLACK_GREEN, OLIVE, LICHEN, SAGE, SILVER), (BISTRE, UMBER, LICHEN, SAND, BUFF)),
    ((BISTRE, TAUPE, DRAB, SAND, SILVER, CHALK),
     (BONE_BLACK, UMBER, SIENNA, OCHRE, BUFF, IVORY, CHALK)),
)
# fmt: on
KINDS = (GREYS, OLIVES, OCHRES)

LAYERS = (
    Layer(24, 60, 1.8, 0.02),
    Layer(15, 34, 1.7, 0.04),
    Layer(10, 23, 1.4, 0.06),
    Layer(6.5, 17, 0.8, 0.08),
)
BOLD, FINE = 5.0, 2.8  # widths of drawn lines, in pixels of a picture of 1024 x 812
VEIL = 0.62  # how much a veil hides at its sharp edge
SHADOW = 0.035  # how far the shadow of a plane falls, canvas heights

SEED = 1910  # of two generators: one for the composition, one for the strokes


class Mass(NamedTuple):
    """A part of the figure or the room, to be broken into planes."""

    x: float  # centre, canvas heights
    y: float
    spread_x: float  # how far the planes lie from the centre (half range)
    spread_y: float
    size: float  # half length of a plane, canvas heights
    planes: int
    lean: float  # the main direction of the edges, degrees from the horizontal
    light: float  # -1 in shadow .. 1 in light
    ochre: float  # 0 .. 1: how warm it is
    veils: float  # the share of planes that only tint what lies below


# What lies behind the figure, from back to front.
ROOM = (
    Mass(0.63, 0.50, 0.70, 0.55, 0.340, 20, 80, -0.35, 0.20, 0.2),  # the wall
    Mass(0.16, 0.45, 0.18, 0.50, 0.200, 14, 62, -0.20, 0.20, 0.3),  # a curtain
    Mass(1.12, 0.42, 0.16, 0.45, 0.200, 14, -64, -0.25, 0.15, 0.3),  # a window frame
    Mass(0.26, 0.84, 0.18, 0.16, 0.150, 9, 30, -0.30, 0.55, 0.3),  # the arms of the chair
    Mass(1.02, 0.84, 0.18, 0.15, 0.150, 9, -28, -0.35, 0.50, 0.3),
    Mass(0.64, 0.50, 0.26, 0.36, 0.190, 16, -70, -0.30, 0.35, 0.3),  # its back
)
# What breaks the figure up again.
SPLINTERS = (
    Mass(0.50, 0.90, 0.17, 0.08, 0.110, 7, 24, 0.15, 0.75, 0.6),  # knees
    Mass(0.82, 0.90, 0.17, 0.08, 0.110, 7, -26, 0.00, 0.70, 0.6),
    Mass(0.42, 0.62, 0.09, 0.18, 0.085, 9, 66, 0.20, 0.70, 0.6),  # arms
    Mass(0.90, 0.62, 0.09, 0.18, 0.085, 9, -62, 0.05, 0.65, 0.6),
    Mass(0.66, 0.60, 0.17, 0.20, 0.090, 18, 52, 0.35, 0.80, 0.65),  # trunk
    Mass(0.52, 0.40, 0.12, 0.05, 0.080, 6, -24, 0.40, 0.75, 0.6),  # shoulders
    Mass(0.80, 0.41, 0.12, 0.05, 0.080, 6, 28, 0.10, 0.70, 0.6),
    Mass(0.66, 0.77, 0.12, 0.05, 0.055, 7, -35, 0.30, 0.80, 0.6),  # hands
    Mass(0.65, 0.33, 0.06, 0.05, 0.050, 4, 84, 0.05, 0.75, 0.6),  # neck
    Mass(0.65, 0.20, 0.09, 0.10, 0.048, 9, 70, 0.25, 0.80, 0.7),  # head
)
# Long lines that tie the figure to the room: x and y of both ends.
# fmt: off
SCAFFOLD = np.array((
    (0.30, 0.02, 0.47, 0.99), (0.92, 0.00, 0.74, 0.62), (0.04, 0.66, 0.62, 0.30),
    (0.70, 0.30, 1.24, 0.58), (0.53, 0.44, 0.20, 0.98), (0.83, 0.50, 1.10, 0.99),
    (0.60, 0.02, 0.655, 0.34), (0.38, 0.30, 0.97, 0.28), (0.30, 0.80, 0.98, 0.66),
    (0.10, 0.04, 0.22, 0.60), (1.19, 0.05, 1.05, 0.66), (0.72, 0.70, 0.60, 0.99),
))
# fmt: on
# Edges turn off the lean of their mass by one of these (degrees), give or take a little.
TURNS = (0, 0, 0, 90, 90, 38, -38, 58, -58, 128)


class Plane(NamedTuple):
    """One facet; p runs along its sharp edge and q away from it, both -1 .. 1 inside."""

    x: float
    y: float
    angle: float  # of the sharp edge, rad
    long: float  # half length along p, canvas heights
    wide: float  # half width along q
    bow: float  # how far the sharp edge is bent; 0 is straight
    taper: float  # how much narrower the faded side is than the sharp one
    edge_tone: float
    faded_tone: float
    warmth: float
    kind: int  # of KINDS
    hatch: float  # direction of the strokes against the sharp edge, rad
    veil: bool  # whether it only tints what lies below, whose strokes go on

    def local(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Give p and q of points of the design."""
        dx, dy = x - self.x, y - self.y
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        p, q = (dx * cos + dy * sin) / self.long, (dy * cos - dx * sin) / self.wide
        return p, q - self.bow * p**2

    def points(self, p: np.ndarray, q: np.ndarray | float) -> np.ndarray:
        """Give the points of the design at p and q, each N: N x 2."""
        along, away = p * self.long, (q + self.bow * p**2) * self.wide
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        return np.column_stack(
            [self.x + along * cos - away * sin, self.y + along * sin + away * cos]
        )

    def edge(self, start: float, end: float, q: float = -1.0) -> np.ndarray:
        """Give the line of this q, from p = start to p = end: POINTS x 2."""
        return self.points(np.linspace(start, end, POINTS), q)

    def side(self, sign: int, start: float, end: float) -> np.ndarray:
        """Give the tapered end of the plane at p = sign, from q = start to q = end: POINTS x 2."""
        q = np.linspace(start, end, POINTS)
        return self.points(sign * (1 - self.taper * (q + 1) / 2), q)


def _plane(
    x: float, y: float, degrees: float, long: float, wide: float, bow: float,
    taper: float, edge_tone: float, faded_tone: float, hatch: float = 90,
) -> Plane:  # fmt: skip
    """Place a plane of the figure, in flesh."""
    turns = np.radians(degrees), np.radians(hatch)
    kind = KINDS.index(OCHRES)
    return Plane(
        x, y, turns[0], long, wide, bow, taper, edge_tone, faded_tone, 0.8, kind, turns[1], False
    )


# What makes it a figure, from back to front. The angle of a sharp edge tells its side: 0 is above
# the plane, 90 on its right, 180 below it and -90 on its left.
# fmt: off
FIGURE = (
    _plane(0.25, 0.84, 14, 0.17, 0.10, 0.0, 0.3, 0.10, 0.60),  # the arms of the chair
    _plane(1.05, 0.82, -10, 0.16, 0.10, 0.5, 0.2, 0.08, 0.55),
    _plane(0.50, 0.91, -32, 0.15, 0.12, 0.1, 0.3, 0.90, 0.30),  # knees
    _plane(0.84, 0.93, 26, 0.15, 0.12, 0.5, 0.3, 0.75, 0.20),
    _plane(0.62, 0.58, -78, 0.20, 0.15, 0.1, 0.3, 0.82, 0.40, 45),  # trunk, two sides of it
    _plane(0.74, 0.60, 100, 0.19, 0.12, 0.0, 0.3, 0.06, 0.58, -45),
    _plane(0.66, 0.70, 164, 0.11, 0.08, 0.6, 0.3, 0.12, 0.80),  # belly
    _plane(0.52, 0.425, -32, 0.14, 0.075, 0.0, 0.4, 0.96, 0.45),  # shoulders
    _plane(0.81, 0.440, 24, 0.13, 0.075, 0.4, 0.2, 0.70, 0.25),
    _plane(0.405, 0.575, -108, 0.125, 0.060, 0.0, 0.4, 0.92, 0.35),  # upper arms
    _plane(0.91, 0.58, 98, 0.125, 0.060, 0.3, 0.2, 0.06, 0.62),
    _plane(0.570, 0.550, 196, 0.066, 0.055, 0.9, 0.1, 0.08, 0.88),  # breasts
    _plane(0.730, 0.565, 165, 0.066, 0.060, 0.4, 0.5, 0.06, 0.74),
    _plane(0.47, 0.735, 208, 0.125, 0.045, 0.0, 0.4, 0.08, 0.88),  # forearms and hands
    _plane(0.83, 0.740, 150, 0.125, 0.045, 0.0, 0.4, 0.06, 0.75),
    _plane(0.65, 0.785, -18, 0.060, 0.040, 0.3, 0.5, 0.95, 0.40),
    _plane(0.625, 0.345, -98, 0.060, 0.045, 0.0, 0.2, 0.85, 0.40),  # neck
    _plane(0.685, 0.345, 82, 0.060, 0.040, 0.0, 0.2, 0.06, 0.52),
    _plane(0.665, 0.120, 14, 0.082, 0.075, 0.7, 0.2, 0.16, 0.66, 0),  # skull, cheeks and jaw
    _plane(0.622, 0.205, -86, 0.090, 0.060, 0.2, 0.4, 0.97, 0.50),
    _plane(0.705, 0.205, 94, 0.090, 0.060, 0.4, 0.3, 0.06, 0.48, 45),
    _plane(0.645, 0.285, 190, 0.050, 0.040, 0.2, 0.5, 0.10, 0.80),
    _plane(0.625, 0.182, 16, 0.028, 0.018, 0.5, 0.3, 0.05, 0.75),  # eyes, nose and mouth
    _plane(0.700, 0.196, 4, 0.026, 0.018, 0.7, 0.3, 0.04, 0.45),
    _plane(0.658, 0.212, 88, 0.058, 0.026, 0.0, 0.8, 0.05, 0.94, 0),
    _plane(0.645, 0.272, 12, 0.024, 0.016, -0.3, 0.3, 0.06, 0.60),
)
# fmt: on


def _planes(masses: Sequence[Mass], rng: np.random.Generator) -> Iterator[Plane]:
    """Break the masses into planes, from back to front and, within a mass, from large to small."""
    for mass in masses:
        for number in range(mass.planes):
            x = mass.x + mass.spread_x * rng.uniform(-1, 1)
            y = mass.y + mass.spread_y * rng.uniform(-1, 1)
            angle = np.radians(mass.lean + rng.choice(TURNS) + rng.normal(0, 5))
            shrink = 1.25 - 0.6 * number / mass.planes
            long = mass.size * shrink * rng.uniform(0.8, 1.25)
            bow = rng.uniform(0.5, 1.1) * rng.choice((-1, 1)) * (rng.random() < 0.3)
            # The light comes from the upper left; a plane is lit or shaded at its sharp edge.
            lit = 0.61 + 0.24 * mass.light + 0.06 * np.sin(angle)
            jump = rng.uniform(0.26, 0.46) * (-1 if rng.random() < 0.62 else 1)
            yield Plane(
                x, y, angle + np.pi * (rng.random() < 0.5), long,
                long * rng.uniform(0.32, 0.75), bow, rng.uniform(0, 0.7),
                lit + jump, lit - 0.4 * jump,
                np.clip(mass.ochre + rng.normal(0, 0.25), 0.04, 0.96),
                int(rng.choice(3, p=(0.42 - 0.3 * mass.ochre, 0.33 - 0.15 * mass.ochre,
                                     0.25 + 0.45 * mass.ochre))),
                rng.choice((np.pi / 2, np.pi / 2, 0.0, np.pi / 4, -np.pi / 4)),
                bool(rng.random() < mass.veils),
            )  # fmt: skip


def _lay_ground(plan: Plan, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> None:
    """The bare wall: light about the figure, dark in the corners."""
    glow = np.exp(-(((x - 0.64) / 0.42) ** 2) - ((y - 0.42) / 0.5) ** 2)
    tone = 0.26 + 0.26 * glow + 0.05 * cloud(x.shape, 6, 5, rng)
    plan.put(y > 0, 0, tone, 0.4, (0.4, 1.0))


def _lay_plane(plan: Plan, x: np.ndarray, y: np.ndarray, plane: Plane, subject: int) -> None:
    """Glaze one plane over the plan: solid at its sharp edge, gone at the far side."""
    reach = 1.1 * plane.long + (1.5 + abs(plane.bow)) * plane.wide
    window = np.s_[
        slice(*np.searchsorted(y[:, 0], (plane.y - reach, plane.y + reach))),
        slice(*np.searchsorted(x[0], (plane.x - reach, plane.x + reach))),
    ]
    # Views: what is put there is put into the whole plan.
    near = Plan(plan.subject[window], plan.tone[window], plan.warmth[window], plan.flow[window])
    p, q = plane.local(x[window], y[window])
    away = (q + 1) / 2  # 0 on the sharp edge .. 1 on the far side
    between = np.abs(p) < 1 - plane.taper * away
    # The plane throws a shadow over its sharp edge.
    depth = -away * plane.wide / SHADOW
    near.tone[...] *= np.where(between & (depth > 0), 1 - 0.45 * np.exp(-depth), 1.0)
    away = away.clip(0, 1)
    strength = VEIL if plane.veil else 0.96
    glaze = np.where(between & (depth < 0) & (away < 1), strength * (1 - away**1.8), 0.0)
    tone = plane.edge_tone + (plane.faded_tone - plane.edge_tone) * np.sqrt(away)
    near.tone[...] += glaze * (tone - near.tone)
    near.warmth[...] += glaze * (plane.warmth - near.warmth)
    if plane.veil:
        return
    way = plane.angle + plane.hatch
    near.put(glaze > 0.30, subject, near.tone, near.warmth, (np.cos(way), np.sin(way)))


def _contours(planes: Sequence[Plane], rng: np.random.Generator) -> list[Accents]:
    """Draw the sharp edges, broken off here and there, with light beside some; in design units.

    What is drawn on the room is overpainted by the planes before it; the drawing of the figure
    and the scaffold show through all of them.
    """
    bold, fine = [], []  # path, colour, subject
    for subject, plane in enumerate(planes, start=1):
        start, end = rng.uniform(-1, -0.55), rng.uniform(0.55, 1)
        black = np.array(BONE_BLACK if rng.random() < 0.6 else BISTRE)
        seen = len(planes) if plane in FIGURE else subject
        bold.append((plane.edge(start, end), black, seen))
        side = plane.side(rng.choice((-1, 1)), -1, rng.uniform(-0.3, 0.5))
        fine.append((side, black + 14, subject))
        if rng.random() < 0.3:
            light = np.array(BUFF if plane.warmth > 0.5 else ASH)
            beside = plane.edge(start + 0.2, end - 0.1, -1 + 0.010 / plane.wide)
            fine.append((beside, light, subject))
    for line in SCAFFOLD.reshape(-1, 2, 2):
        # In pieces, as a line is that is drawn with a loaded brush.
        for start, end in ((0.0, 0.42), (0.38, 0.70), (0.75, 1.0)):
            part = np.linspace(start, end, POINTS)[:, None]
            fine.append((line[0] + part * (line[1] - line[0]), np.array(BISTRE), len(planes)))
    return [
        Accents(*(np.array(part, float) for part in zip(*lines)), width)
        for lines, width in ((bold, BOLD), (fine, FINE))
    ]


def cubist_facets(width: int = 1024, height: int = 812) -> np.ndarray:
    """Paint a faceted figure of this size in pixels: height x width x 3, uint8 RGB."""
    design = np.random.Generator(np.random.PCG64(SEED))
    plan, x, y = Plan.blank(width, height)
    _lay_ground(plan, x, y, design)
    planes = [*_planes(ROOM, design), *FIGURE, *_planes(SPLINTERS, design)]
    for subject, plane in enumerate(planes, start=1):
        _lay_plane(plan, x, y, plane, subject)
    rows, columns = plan.subject.shape
    unit = np.array([columns / ASPECT, rows])  # grid pixels per unit of the design
    contours = [line._replace(path=line.path * unit) for line in _contours(planes, design)]
    rng = np.random.Generator(np.random.PCG64(SEED))
    plan.settle(np.full(len(planes) + 1, 0.035), rng)
    paints = {0: GROUND, **{n: KINDS[plane.kind] for n, plane in enumerate(planes, start=1)}}
    manner = Manner(paints, LAYERS, mixing=3, bristle=9, relief=0.24)
    return paint(plan, manner, (height, width), rng, contours)
