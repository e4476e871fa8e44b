"""L-BFGS in single precision, whose whole state can be written down between two steps.

Nocedal and Wright, Numerical Optimization, 2nd ed., algorithms 7.4 and 7.5, with a backtracking
line search (Armijo's condition, minimum of the parabola through what is known). SciPy's L-BFGS-B
keeps its vectors in double precision and its state inside the call: a picture of 8 megapixels
would need 5 GB for its history alone, and a run that was killed could not go on as if nothing had
happened.
"""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

import numpy as np

from nstrep.base.errors import DivergedError
from nstrep.config.schema import OptimizerConfig
from nstrep.optim.float32 import add, dot, norm
from nstrep.optim.problem import Point, Problem
from nstrep.optim.state import State

DECREASE = 1e-4
"""Armijo's constant: of the decrease that the gradient promises, what a step must give."""

SHRINK = 0.1, 0.5
"""How much shorter the next trial of a line search is, at most and at least."""

CURVED = 1e-6
"""A step whose cosine to the gradient's change is below this says nothing about the curvature."""


class Pair(NamedTuple):
    """What a step says about the curvature."""

    step: np.ndarray
    change: np.ndarray
    """Of the gradient."""
    curvature: float
    """Their product, above 0."""


class Lbfgs:
    """The optimiser; see :class:`nstrep.optim.minimize.Optimizer` for what its methods promise."""

    lr = math.nan

    def __init__(
        self,
        problem: Problem,
        corrections: int,
        line_search_steps: int,
        bounds: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> None:
        """Begin without any history.

        Args:
            problem: what to minimise.
            corrections: past steps that describe the curvature.
            line_search_steps: evaluations at most for a step.
            bounds: lowest and highest image, broadcastable to its shape: each trial is projected,
                and variables that their bound holds back take no part in the direction (Bertsekas
                1982).

        """
        self._problem = problem
        self._trials = line_search_steps
        self._bounds = bounds
        self._history: deque[Pair] = deque(maxlen=corrections)

    def begin(self, point: Point) -> None:
        """Nothing is to be learnt from a start."""

    def step(self, point: Point) -> Point | None:
        """Find a point with a lower total; None where rounding leaves none to be found."""
        while True:
            found = self._search(point, self._direction(point))
            if found is not None:
                self._learn(point, found)
                return found
            if not self._history:
                return None
            self._history.clear()  # steepest descent is the last resort

    def state(self) -> State:
        """The history, oldest first: steps and the gradients' changes."""
        found = State()
        for number, (step, change, _) in enumerate(self._history):
            found |= State({}, {f"step{number}": step, f"change{number}": change})
        return found

    @staticmethod
    def fits(state: State, settings: OptimizerConfig) -> bool:
        """Whether this may be a :meth:`state`, but for the arrays' shapes."""
        pairs = range(len(state.arrays) // 2)
        names = {f"{what}{number}" for what in ("step", "change") for number in pairs}
        return state.arrays.keys() == names and len(pairs) <= settings.corrections

    def restore(self, point: Point, state: State) -> None:
        """Go on from a :meth:`state`."""
        self._history.clear()
        for number in range(len(state.arrays) // 2):
            self._remember(state.arrays[f"step{number}"], state.arrays[f"change{number}"])

    def _direction(self, point: Point) -> np.ndarray:
        free = self._free(point)
        gradient = point.gradient if free is None else point.gradient * free
        if self._history:
            direction = two_loops(gradient, self._history)
        else:
            # One grey level (root mean square) as a first step: right to some powers of two.
            seen = self._problem.basis.to_image(gradient)
            length = norm(seen) / math.sqrt(seen.size)
            direction = gradient * np.float32(-1 / length) if length else -gradient
        return direction if free is None else direction * free

    def _free(self, point: Point) -> np.ndarray | None:
        if self._bounds is None:
            return None
        low, high = self._bounds
        at, slope = point.coefficients, point.gradient
        return ~(((at <= low) & (slope > 0)) | ((at >= high) & (slope < 0)))

    def _search(self, point: Point, direction: np.ndarray) -> Point | None:
        start, length = point.losses["total"], np.float32(1)
        beyond: DivergedError | None = None
        for _ in range(self._trials):
            at = point.coefficients + length * direction
            if self._bounds is not None:
                at = np.clip(at, *self._bounds, dtype=np.float32)
            promised = dot(point.gradient, at - point.coefficients)
            if not promised < 0:
                break
            try:
                found = self._problem.evaluate(at)
            except DivergedError as error:  # so far away that the losses overflow
                beyond = error
                length *= np.float32(SHRINK[0])
                continue
            beyond = None
            gained = found.losses["total"] - start
            if gained <= DECREASE * promised:
                return found
            shorter = -promised / (2 * (gained - promised))
            length *= np.float32(np.clip(shorter, *SHRINK))
        if beyond is not None:
            raise beyond
        return None

    def _learn(self, before: Point, after: Point) -> None:
        step = after.coefficients - before.coefficients
        change = after.gradient - before.gradient
        self._remember(step, change)

    def _remember(self, step: np.ndarray, change: np.ndarray) -> None:
        curvature = dot(step, change)
        if curvature > CURVED * norm(step) * norm(change):
            self._history.append(Pair(step, change, curvature))


def two_loops(gradient: np.ndarray, history: deque[Pair]) -> np.ndarray:
    """-H g, with H the inverse Hessian that the history describes (algorithm 7.4).

    Args:
        gradient: g, single precision, any shape.
        history: steps s and gradients' changes y, oldest first.

    """
    found = np.negative(gradient, dtype=np.float32)
    shares = []
    for step, change, curvature in reversed(history):
        share = dot(step, found) / curvature
        add(found, -share, change)
        shares.append(share)
    _, change, curvature = history[-1]
    found *= np.float32(curvature / dot(change, change))
    for (step, change, curvature), share in zip(history, reversed(shares)):
        add(found, share - dot(change, found) / curvature, step)
    return found
