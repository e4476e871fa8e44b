"""The optimisers behind one interface: MXNet's SGD, NAG and Adam, and L-BFGS.

An epoch is one update of the image, as in the program that this project descends from. Row 0 is
the start; row t describes the image after t updates. Between two epochs an optimisation can be
written down, and gone on with in another process, to the same bytes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from nstrep.base.errors import DivergedError
from nstrep.config.schema import OptimizerConfig
from nstrep.optim.float32 import norm
from nstrep.optim.lbfgs import Lbfgs
from nstrep.optim.mxnet_optimizers import Updates
from nstrep.optim.problem import Point, Problem
from nstrep.optim.state import State


@dataclass(frozen=True)
class Step:
    """What a recorder sees after each update; also once for the start, as epoch 0."""

    epoch: int
    evaluations: int
    """How often losses and gradient have been computed so far."""
    seconds: float
    """Wall time since the optimisation began."""
    lr: float
    """The learning rate of this update; NaN for L-BFGS, whose line search finds the step."""
    eps: float
    """||x_t - x_(t-1)|| / ||x_t|| of the ``vgg_input`` image: a step size; NaN at the start."""
    loss_change: float
    """|L_t - L_(t-1)| / |L_(t-1)| of the total; NaN at the start."""
    gradient_norm: float
    """Euclidean norm of the gradient of the total to the image, before any clipping."""
    losses: Mapping[str, float]
    image: np.ndarray
    """``vgg_input``, (1, 3, H, W): a view; copy it to keep it."""


Observer = Callable[[Step], bool]
"""Sees every step; true ends the optimisation."""

Keeper = Callable[[Callable[[], State]], None]
"""Called after every step that the observer has seen; calls what it gets if it keeps the state."""


class Optimizer(Protocol):
    """One way to a lower loss."""

    lr: float
    """The learning rate of the last step; NaN where a line search finds the step."""

    def begin(self, point: Point) -> None:
        """Learn the start."""

    def step(self, point: Point) -> Point | None:
        """Find the next point; None if there is none, which ends the optimisation."""

    def state(self) -> State:
        """What the next step depends on besides the point."""

    def restore(self, point: Point, state: State) -> None:
        """Go on from a :meth:`state` that was taken at ``point``; in place of :meth:`begin`."""


def minimize(
    problem: Problem,
    start: np.ndarray,
    settings: OptimizerConfig,
    lr: float,
    observe: Observer,
    *,
    bounds: tuple[np.ndarray, np.ndarray] | None = None,
    keep: Keeper | None = None,
    kept: State | None = None,
    spent: float = 0.0,
) -> str | None:
    """Minimise until ``observe`` returns true.

    Args:
        problem: what to minimise.
        start: ``vgg_input`` image, (1, 3, H, W).
        settings: which optimiser, and how.
        lr: learning rate; L-BFGS does not use one.
        observe: called with the start and after every update.
        bounds: lowest and highest image, broadcastable to its shape; pixels basis only.
        keep: may keep the state after a step.
        kept: a state that ``keep`` got: goes on with its step, which is observed once more.
        spent: seconds that count already.

    Returns:
        None, or why the optimiser itself could not go on (L-BFGS alone).

    Raises:
        DivergedError: losses or gradient became NaN or infinite.

    """
    descent = _Descent(problem, make_optimizer(problem, settings, lr, bounds), spent)
    try:
        step = descent.begin(start) if kept is None else descent.restore(kept)
        while not observe(step):
            if keep is not None:
                keep(descent.state)
            step = descent.step()
            if step is None:
                return "no lower loss along the search direction"
        return None
    except DivergedError as error:
        cause = "a weight far too large" if settings.name == "lbfgs" else f"lr={lr:g} too high"
        raise DivergedError(
            f"epoch {descent.epoch + 1}: {error}; the likely cause is {cause}"
        ) from None


def make_optimizer(
    problem: Problem,
    settings: OptimizerConfig,
    lr: float,
    bounds: tuple[np.ndarray, np.ndarray] | None = None,
) -> Optimizer:
    """The optimiser of these settings; see :func:`minimize`."""
    if settings.name == "lbfgs":
        return Lbfgs(problem, settings.corrections, settings.line_search_steps, bounds)
    return Updates(problem, settings, lr, bounds)


def fits(state: State, settings: OptimizerConfig) -> bool:
    """Whether a state may be one that these settings' optimiser gave, but for arrays' shapes."""
    kind = Lbfgs if settings.name == "lbfgs" else Updates
    return kind.fits(state.part("optimizer"), settings)


class _Descent:
    """The way of an optimiser, step by step: what changed, and all that the next step needs."""

    def __init__(self, problem: Problem, optimizer: Optimizer, spent: float) -> None:
        self.epoch = -1
        self._problem, self._optimizer = problem, optimizer
        self._began = time.perf_counter() - spent
        self._point: Point | None = None
        self._changes = math.nan, math.nan

    def begin(self, start: np.ndarray) -> Step:
        self._point = self._problem.evaluate(self._problem.basis.to_coefficients(start))
        self._optimizer.begin(self._point)
        self.epoch = 0
        return self._step()

    def step(self) -> Step | None:
        last = self._point
        point = self._optimizer.step(last)
        if point is None:
            return None
        self._point = point
        self.epoch += 1
        before = last.losses["total"]
        change = abs(point.losses["total"] - before) / max(abs(before), 1e-300)
        self._changes = relative_step(point.image, last.image), change
        return self._step()

    def _step(self) -> Step:
        point, (eps, change) = self._point, self._changes
        return Step(
            epoch=self.epoch,
            evaluations=self._problem.evaluations,
            seconds=time.perf_counter() - self._began,
            lr=self._optimizer.lr,
            eps=eps,
            loss_change=change,
            gradient_norm=point.gradient_norm,
            losses=point.losses,
            image=point.image,
        )

    def state(self) -> State:
        """All that the next steps depend on."""
        point = self._point
        facts = {
            "epoch": self.epoch,
            "evaluations": self._problem.evaluations,
            "seconds": time.perf_counter() - self._began,
            "changes": list(self._changes),
            "gradient_norm": point.gradient_norm,
            "losses": dict(point.losses),
        }
        arrays = {"coefficients": point.coefficients, "gradient": point.gradient}
        return State(facts, arrays) | self._optimizer.state().within("optimizer")

    def restore(self, state: State) -> Step:
        """Be where a :meth:`state` was taken."""
        facts, coefficients = state.facts, state.arrays["coefficients"]
        self.epoch, self._problem.evaluations = facts["epoch"], facts["evaluations"]
        self._began -= facts["seconds"]
        self._point = Point(
            coefficients,
            self._problem.image(coefficients),
            facts["losses"],
            state.arrays["gradient"],
            facts["gradient_norm"],
        )
        self._changes = tuple(facts["changes"])
        self._optimizer.restore(self._point, state.part("optimizer"))
        return self._step()


def relative_step(image: np.ndarray, last: np.ndarray) -> float:
    """||x_t - x_(t-1)|| / ||x_t||; infinite when x_t is zero."""
    length = norm(image)
    return norm(np.subtract(image, last)) / length if length else math.inf
