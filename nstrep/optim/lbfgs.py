"""L-BFGS in single precision, whose whole state can be saved between two steps.

Nocedal and Wright, Numerical Optimization, 2nd ed., algorithms 7.4 and 7.5, with a backtracking
line search (Armijo's condition; each trial is the minimum of the parabola through the known
values). SciPy's L-BFGS-B is not used because it keeps its vectors in double precision and its state
inside the call: 8 megapixels would need 5 GB for the history alone, and a run that was killed could
not be resumed.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import numpy as np

from nstrep.base.errors import DivergedError
from nstrep.config.schema import OptimizerConfig
from nstrep.optim.float32 import add, dot, norm
from nstrep.optim.optimizer import Optimizer
from nstrep.optim.problem import Point
from nstrep.optim.state import State

# Armijo's constant: the share of the decrease promised by the gradient that a step must give.
DECREASE = 1e-4
SHRINK = 0.1, 0.5  # smallest and largest factor between the lengths of two trials of a line search
CURVED = 1e-6  # with a smaller cosine to the gradient's change, a step says nothing about curvature


# A step, the gradient's change along it, and their product, which is above 0.
Pair = tuple[np.ndarray, np.ndarray, float]


class Lbfgs(Optimizer):
    """L-BFGS; ``settings.corrections`` is the history size.

    With bounds each trial is projected, and variables that their bound holds back take no part in
    the direction (Bertsekas 1982).
    """

    needs_lr = False

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._history: deque[Pair] = deque(maxlen=self.settings.corrections)

    def step(self, point: Point) -> Point | None:
        """Find a point with a lower total; None where rounding leaves none."""
        while True:
            after = self._search(point, self._direction(point))
            if after is not None:
                step = after.coefficients - point.coefficients
                self._remember(step, after.gradient - point.gradient)
                return after
            if not self._history:
                return None
            self._history.clear()  # steepest descent is the last resort

    def state(self) -> State:
        """The history, oldest first: steps and the gradients' changes."""
        arrays = {}
        for number, (step, change, _) in enumerate(self._history):
            arrays |= {f"step{number}": step, f"change{number}": change}
        return State({}, arrays)

    def restore(self, point: Point, state: State) -> None:
        """Continue from a :meth:`state`."""
        for number in range(len(state.arrays) // 2):
            self._remember(state.arrays[f"step{number}"], state.arrays[f"change{number}"])

    @classmethod
    def fits(cls, state: State, settings: OptimizerConfig) -> bool:
        """Whether this can be a :meth:`state`."""
        pairs = len(state.arrays) // 2
        names = {f"{kind}{number}" for kind in ("step", "change") for number in range(pairs)}
        return state.arrays.keys() == names and pairs <= settings.corrections

    @classmethod
    def arrays_kept(cls, settings: OptimizerConfig) -> int:
        """Two for each correction."""
        return 2 * settings.corrections

    def _remember(self, step: np.ndarray, change: np.ndarray) -> None:
        curvature = dot(step, change)
        if curvature > CURVED * norm(step) * norm(change):
            self._history.append((step, change, curvature))

    def _direction(self, point: Point) -> np.ndarray:
        gradient, free = point.gradient, None
        if self.bounds is not None:  # variables that are not held back by their bound
            x, (low, high) = point.coefficients, self.bounds
            free = ~(((x <= low) & (gradient > 0)) | ((x >= high) & (gradient < 0)))
            gradient = gradient * free
        if self._history:
            direction = two_loops(gradient, self._history)
        else:
            # The first step is one grey level (root mean square), right to some powers of two.
            image_gradient = self.problem.basis.to_image(gradient)
            length = norm(image_gradient) / math.sqrt(image_gradient.size)
            direction = gradient * np.float32(-1 / length) if length else -gradient
        return direction if free is None else direction * free

    def _search(self, point: Point, direction: np.ndarray) -> Point | None:
        """Search along a direction; the lengths of the trials start at 1."""
        start, length = point.losses["total"], np.float32(1)
        overflow: DivergedError | None = None
        for _ in range(self.settings.line_search_steps):
            x = self.clip(point.coefficients + length * direction)
            promised = dot(point.gradient, x - point.coefficients)
            if not promised < 0:
                break
            try:
                trial = self.problem.evaluate(x)
            except DivergedError as error:  # so far away that the losses overflow
                overflow = error
                length *= np.float32(SHRINK[0])
                continue
            overflow = None
            gained = trial.losses["total"] - start
            if gained <= DECREASE * promised:
                return trial
            shorter = -promised / (2 * (gained - promised))
            length *= np.float32(np.clip(shorter, *SHRINK))
        if overflow is not None:
            raise overflow
        return None


def two_loops(gradient: np.ndarray, history: deque[Pair]) -> np.ndarray:
    """-H g, where H is the inverse Hessian that the history, oldest first, describes (7.4)."""
    direction = np.negative(gradient, dtype=np.float32)
    shares = []
    for step, change, curvature in reversed(history):
        share = dot(step, direction) / curvature
        add(direction, -share, change)
        shares.append(share)
    _, change, curvature = history[-1]
    direction *= np.float32(curvature / dot(change, change))
    for (step, change, curvature), share in zip(history, reversed(shares)):
        add(direction, share - dot(change, direction) / curvature, step)
    return direction
