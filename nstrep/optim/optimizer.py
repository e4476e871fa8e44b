"""The base class of the optimisers."""

from __future__ import annotations

import math

import numpy as np

from nstrep.config.schema import OptimizerConfig
from nstrep.optim.problem import Point, Problem
from nstrep.optim.state import State

# Lowest and highest image, broadcastable to its shape; for the pixels basis only.
Bounds = tuple[np.ndarray, np.ndarray]


class Optimizer:
    """One way to a lower loss; a subclass defines :meth:`step`.

    Arrays that the next step depends on are attributes that :meth:`begin` sets and ``memory``
    names. A subclass with another state overrides the other methods too.

    Example:
        >>> class HeavyBall(Optimizer):
        ...     memory = ("velocity",)
        ...
        ...     def begin(self, point):
        ...         self.velocity = np.zeros_like(point.coefficients)
        ...
        ...     def step(self, point):
        ...         decayed = np.float32(self.settings.momentum) * self.velocity
        ...         self.velocity = decayed - np.float32(self.lr) * point.gradient
        ...         return self.problem.evaluate(self.clip(point.coefficients + self.velocity))

    """

    needs_lr = True  # whether the key lr must be set
    memory: tuple[str, ...] = ()  # names of attributes, arrays of the image's shape

    def __init__(
        self, problem: Problem, settings: OptimizerConfig, lr: float, bounds: Bounds | None
    ) -> None:
        self.problem, self.settings, self.bounds = problem, settings, bounds
        self.lr = lr if self.needs_lr else math.nan  # of the last step

    def begin(self, point: Point) -> None:
        """Prepare for the first step from the start."""

    def step(self, point: Point) -> Point | None:
        """Find the next point; None if there is none, which ends the optimisation."""
        raise NotImplementedError

    def result(self, point: Point) -> np.ndarray:
        """The image, (1, 3, H, W), to record at a point and to end with."""
        return point.image

    def clip(self, coefficients: np.ndarray) -> np.ndarray:
        """Coefficients within the bounds, if there are any."""
        if self.bounds is None:
            return coefficients
        return np.clip(coefficients, *self.bounds, dtype=np.float32)

    def state(self) -> State:
        """What the next step depends on besides the point; later steps must not change it."""
        return State({}, {name: np.array(getattr(self, name)) for name in self.memory})

    def restore(self, point: Point, state: State) -> None:
        """Continue from a :meth:`state` that was taken at ``point``; replaces :meth:`begin`."""
        for name in self.memory:
            setattr(self, name, state.arrays[name])

    @classmethod
    def fits(cls, state: State, settings: OptimizerConfig) -> bool:
        """Whether this can be a :meth:`state`; the arrays' shapes are checked elsewhere."""
        return state.arrays.keys() == set(cls.memory)

    @classmethod
    def arrays_kept(cls, settings: OptimizerConfig) -> int:
        """How many arrays of the image's size it keeps between two steps, for the memory plan."""
        return len(cls.memory)
