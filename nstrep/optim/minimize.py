"""The optimisation loop, and the table of optimisers.

An epoch is one update of the image, as in the MXNet example that this project descends from. Epoch
0 is the start; epoch t describes the image after t updates. In a run over several scales the start
at each is an epoch too. The state between two epochs can be saved, and another process continues
from it to the same bytes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from nstrep.base.errors import DivergedError, InputError
from nstrep.config.messages import one_of
from nstrep.config.schema import OptimizerConfig
from nstrep.optim.float32 import norm
from nstrep.optim.lbfgs import Lbfgs
from nstrep.optim.mxnet_optimizers import MxnetOptimizer
from nstrep.optim.optimizer import Bounds, Optimizer
from nstrep.optim.problem import Point, Problem
from nstrep.optim.state import State, is_count, is_list, is_number, is_numbers

OPTIMIZERS: dict[str, type[Optimizer]] = {  # the values of optimizer.name
    **dict.fromkeys(("sgd", "nag", "adam"), MxnetOptimizer),
    "lbfgs": Lbfgs,
}

FACTS: dict[str, Callable[[object], bool]] = {  # of a saved state, with a test of the value
    **dict.fromkeys(("epoch", "evaluations"), is_count),
    **dict.fromkeys(("seconds", "gradient_norm"), is_number),
    "losses": is_numbers,
    "changes": lambda value: is_list(value, (int, float)) and len(value) == 2,
}


@dataclass(frozen=True, kw_only=True)
class Step:
    """What is known after an update, and once at the start, as epoch 0.

    :mod:`nstrep.config.metrics` says what becomes of it in curve.csv and elsewhere.
    """

    epoch: int
    losses: Mapping[str, float]
    evaluations: int  #: how often losses and gradient have been computed so far
    seconds: float  #: wall time since the optimisation began
    lr: float = math.nan  #: of this update; NaN where a line search finds the step
    eps: float = math.nan  #: step size ``||x_t - x_(t-1)|| / ||x_t||``; NaN at the start
    loss_change: float = math.nan  #: ``|L_t - L_(t-1)| / |L_(t-1)|`` of the total; NaN at the start
    scale: int | None = None  #: long side in pixels, in a run over several scales
    gradient_norm: float = math.nan  #: Euclidean, of the total to the image, before any clipping
    #: ``vgg_input``, (1, 3, H, W): a view; copy it to keep it.
    image: np.ndarray = field(default_factory=lambda: np.empty(0))


def check(settings: OptimizerConfig, lr: float | None) -> None:
    """Raise InputError if there is no such optimiser, or it needs a learning rate."""
    if settings.name not in OPTIMIZERS:
        allowed = one_of(settings.name, OPTIMIZERS)
        raise InputError(f"optimizer.name={settings.name}: must be {allowed}")
    if lr is None and OPTIMIZERS[settings.name].needs_lr:
        raise InputError(f"lr=null: optimizer={settings.name} needs a number above 0")


def minimize(
    problem: Problem,
    start: np.ndarray,
    settings: OptimizerConfig,
    lr: float | None,
    observe: Callable[[Step], bool],
    *,
    bounds: Bounds | None = None,
    checkpoint: Callable[[State], None] | None = None,
    resume_from: State | None = None,
    after: Step | None = None,
    seconds: float = 0.0,
) -> str | None:
    """Minimise until ``observe`` returns true; DivergedError if a loss becomes NaN or infinite.

    ``start`` is a ``vgg_input`` image, (1, 3, H, W); ``bounds`` are for the pixels basis only.
    ``observe`` is called with the start and after every update, and then ``checkpoint`` with the
    state, which later steps do not change. ``resume_from`` is such a state, whose step is observed
    once more. The epochs and evaluations go on ``after`` a step at another size; ``seconds`` is
    the wall time that has passed before. Returns why the optimiser itself ended, or None.
    """
    rate = math.nan if lr is None else lr
    optimizer = OPTIMIZERS[settings.name](problem, settings, rate, bounds)
    began, epoch, changes = time.perf_counter() - seconds, -1, (math.nan, math.nan)
    try:
        if resume_from is None:
            if after is not None:
                epoch, problem.evaluations = after.epoch, after.evaluations
            point = problem.evaluate(problem.basis.to_coefficients(start))
            optimizer.begin(point)
            epoch += 1
        else:
            facts, point = resume_from.facts, _restored(problem, resume_from)
            epoch, changes = facts["epoch"], facts["changes"]
            began -= facts["seconds"]
            optimizer.restore(point, resume_from.part("optimizer"))
        while True:
            step = Step(
                epoch=epoch, losses=point.losses, evaluations=problem.evaluations,
                seconds=time.perf_counter() - began, lr=optimizer.lr, eps=changes[0],
                loss_change=changes[1], gradient_norm=point.gradient_norm,
                image=optimizer.result(point),
            )  # fmt: skip
            is_last = observe(step)
            if checkpoint is not None:
                checkpoint(_state(step, point, optimizer))
            if is_last:
                return None
            after = optimizer.step(point)
            if after is None:
                return "no lower loss along the search direction"
            total = point.losses["total"]
            change = abs(after.losses["total"] - total) / max(abs(total), 1e-300)
            changes = relative_step(after.image, point.image), change
            epoch, point = epoch + 1, after
    except DivergedError as error:
        cause = f"lr={rate:g} too high" if optimizer.needs_lr else "a weight far too large"
        raise DivergedError(f"epoch {epoch + 1}: {error}; the likely cause is {cause}") from None


def _state(step: Step, point: Point, optimizer: Optimizer) -> State:
    names = ("epoch", "evaluations", "seconds", "gradient_norm")
    facts = {name: getattr(step, name) for name in names}
    facts |= {"changes": [step.eps, step.loss_change], "losses": dict(step.losses)}
    arrays = {"coefficients": point.coefficients, "gradient": point.gradient}
    return State(facts, arrays) | optimizer.state().within("optimizer")


def _restored(problem: Problem, state: State) -> Point:
    facts, coefficients = state.facts, state.arrays["coefficients"]
    problem.evaluations = facts["evaluations"]
    return Point(
        coefficients=coefficients, image=problem.image(coefficients), losses=facts["losses"],
        gradient=state.arrays["gradient"], gradient_norm=facts["gradient_norm"],
    )  # fmt: skip


def relative_step(image: np.ndarray, last: np.ndarray) -> float:
    """||x_t - x_(t-1)|| / ||x_t||; infinite when x_t is zero."""
    length = norm(image)
    return norm(np.subtract(image, last)) / length if length else math.inf
