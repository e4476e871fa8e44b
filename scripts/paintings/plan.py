"""The plan of a painting: what is where, how light it is, and which way the brush runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

ASPECT = 1024 / 812
"""Designs are drawn in units of the canvas height: x runs to ASPECT, y runs down to 1."""

PLAN_ROWS = 400  # a finer plan would not show under the strokes


def cloud(shape: tuple[int, int], across: int, down: int, rng: np.random.Generator) -> np.ndarray:
    """Smooth noise of the shape (rows, columns), with so many random values across and down."""
    coarse = Image.fromarray(rng.standard_normal((down, across)).astype(np.float32))
    return np.asarray(coarse.resize(shape[::-1], Image.Resampling.BICUBIC), np.float64)


@dataclass
class Plan:
    """The scene before it is painted, on a grid of rows x columns."""

    subject: np.ndarray  # rows x columns: a key of the scene's paints; 0 at the start
    tone: np.ndarray  # rows x columns, 0 dark .. 1 light: the place in the row of paints
    warmth: np.ndarray  # rows x columns, 0 .. 1: the chance that a stroke takes the warm row
    flow: np.ndarray  # rows x columns x 2: the way of the brush, x and y; unit vectors once settled

    @classmethod
    def blank(cls, width: int, height: int) -> tuple[Plan, np.ndarray, np.ndarray]:
        """Start a plan for a picture of width x height pixels.

        Returns the plan, and x and y of its points in units of the design, each rows x columns.
        Shapes other than ASPECT stretch the design.
        """
        rows = min(height, PLAN_ROWS)
        columns = round(rows * width / height)
        x, y = np.meshgrid(np.arange(columns) + 0.5, np.arange(rows) + 0.5)
        x, y = x / columns * ASPECT, y / rows
        tone, warmth, flow = np.zeros(x.shape), np.zeros(x.shape), np.zeros((*x.shape, 2))
        return cls(np.zeros(x.shape, int), tone, warmth, flow), x, y

    def put(
        self,
        where: np.ndarray,
        subject: int,
        tone: np.ndarray | float,
        warmth: np.ndarray | float,
        flow: tuple[np.ndarray | float, np.ndarray | float] | None = None,
    ) -> None:
        """Lay a subject over what is there, where the mask says so; without flow, keep the way."""
        self.subject[where] = subject
        np.copyto(self.tone, tone, where=where)
        np.copyto(self.warmth, warmth, where=where)
        for axis, value in enumerate(flow or ()):
            np.copyto(self.flow[..., axis], value, where=where)

    def settle(self, streaks: np.ndarray, rng: np.random.Generator) -> None:
        """Make the plan ready for the brush, once everything has been put.

        Args:
            streaks: how strongly streaks along the brush break up each subject's tone; one number
                a subject.
            rng: source of the streaks.

        """
        rows, columns = self.subject.shape
        self.flow *= (columns / ASPECT, rows)  # from units of the design to pixels of the grid
        self.flow /= np.hypot(self.flow[..., :1], self.flow[..., 1:]) + 1e-9
        # Rounded here and below: the last bit of sin and exp differs between machines, and must
        # not decide where a stroke goes.
        self.flow = self.flow.round(3)
        self.tone += streaks[self.subject] * self._smear(cloud((rows, columns), 50, 40, rng))
        self.tone, self.warmth = self.tone.clip(0, 1).round(3), self.warmth.round(3)

    def cell(self, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Give the row and column of the grid under each point: ... x 2, x and y, grid pixels."""
        rows, columns = self.subject.shape
        row = np.clip(np.floor(at[..., 1]), 0, rows - 1).astype(int)
        return row, np.clip(np.floor(at[..., 0]), 0, columns - 1).astype(int)

    def step(
        self, at: np.ndarray, heading: np.ndarray, step: float | np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Move points a step (grid pixels) along the brush: new points and headings, ... x 2.

        The midpoint rule: plain Euler steps would spiral out of the rings around a star.
        """
        heading = self._turned(at, heading)
        heading = self._turned(at + step / 2 * heading, heading)
        return at + step * heading, heading

    def _turned(self, at: np.ndarray, heading: np.ndarray) -> np.ndarray:
        """Look up the way of the brush at each point, turned to the heading's side: ... x 2."""
        flow = self.flow[self.cell(at)]
        backward = (flow * heading).sum(axis=-1, keepdims=True) < 0
        return np.where(backward, -flow, flow)

    def _smear(self, noise: np.ndarray) -> np.ndarray:
        """Line-integral convolution: the mean of the noise along the brush, unit variance."""
        total = noise.copy()
        rows, columns = noise.shape
        start = np.stack(np.meshgrid(np.arange(columns) + 0.5, np.arange(rows) + 0.5), axis=-1)
        for sign in (1.0, -1.0):
            at, heading = start, sign * self.flow
            for _ in range(rows // 11):
                at, heading = self.step(at, heading, 2.0)
                total += noise[self.cell(at)]
        return (total - total.mean()) / total.std()
