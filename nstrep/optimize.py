"""The optimisers behind one interface: MXNet's SGD, NAG and Adam, and SciPy's L-BFGS-B.

An epoch is one update of the image, as in the program that this project descends from. Row 0 is
the start; row t describes the image after t updates.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import mxnet as mx
import numpy as np
from scipy import optimize

from nstrep.basis import Basis
from nstrep.config import OptimizerConfig
from nstrep.errors import DivergedError
from nstrep.objective import Objective


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


@dataclass(frozen=True)
class Point:
    """Coefficients with the objective's value and gradient there."""

    coefficients: np.ndarray
    image: np.ndarray
    losses: Mapping[str, float]
    gradient: np.ndarray
    """To the coefficients."""
    gradient_norm: float
    """To the image."""


class Problem:
    """The objective as a function of a basis's coefficients; counts and checks evaluations."""

    def __init__(self, objective: Objective, basis: Basis) -> None:
        self.objective = objective
        self.basis = basis
        self.evaluations = 0

    def evaluate(self, coefficients: np.ndarray) -> Point:
        """Losses and gradient at coefficients of shape (1, 3, H, W).

        Raises:
            DivergedError: a loss or the gradient is not finite.

        """
        image = np.asarray(self.basis.to_image(coefficients), dtype=np.float32)
        evaluation = self.objective(image)
        gradient = evaluation.gradient.asnumpy()
        self.evaluations += 1
        norm = float(np.linalg.norm(gradient.astype(np.float64)))
        if not (math.isfinite(evaluation.total) and math.isfinite(norm)):
            bad = [name for name, value in evaluation.losses.items() if not math.isfinite(value)]
            raise DivergedError(f"{', '.join(bad) or 'the gradient'} became NaN or infinite")
        pulled = self.basis.pull_back(gradient)
        return Point(coefficients, image, evaluation.losses, pulled, norm)


class _Track:
    """Turns points into steps: what changed since the last one."""

    def __init__(self, problem: Problem, observe: Observer) -> None:
        self._problem = problem
        self._observe = observe
        self._began = time.perf_counter()
        self._last: Point | None = None
        self.epoch = -1

    def __call__(self, point: Point, lr: float) -> bool:
        last, self._last = self._last, point
        self.epoch += 1
        eps = change = math.nan
        if last is not None:
            eps = relative_step(point.image, last.image)
            before = last.losses["total"]
            change = abs(point.losses["total"] - before) / max(abs(before), 1e-300)
        return self._observe(
            Step(
                epoch=self.epoch,
                evaluations=self._problem.evaluations,
                seconds=time.perf_counter() - self._began,
                lr=lr,
                eps=eps,
                loss_change=change,
                gradient_norm=point.gradient_norm,
                losses=point.losses,
                image=point.image,
            )
        )


def relative_step(image: np.ndarray, last: np.ndarray) -> float:
    """||x_t - x_(t-1)|| / ||x_t|| in float64; infinite when x_t is zero."""
    norm = np.linalg.norm(image.astype(np.float64))
    step = np.linalg.norm(np.subtract(image, last, dtype=np.float64))
    return float(step / norm) if norm else math.inf


def minimize(
    problem: Problem,
    start: np.ndarray,
    settings: OptimizerConfig,
    lr: float,
    observe: Observer,
    *,
    bounds: tuple[np.ndarray, np.ndarray] | None = None,
) -> str | None:
    """Minimise until ``observe`` returns true.

    Args:
        problem: what to minimise.
        start: ``vgg_input`` image, (1, 3, H, W).
        settings: which optimiser, and how.
        lr: learning rate; L-BFGS does not use one.
        observe: called with the start and after every update.
        bounds: lowest and highest image, broadcastable to its shape; pixels basis only.

    Returns:
        None, or why the optimiser itself could not go on (L-BFGS alone).

    Raises:
        DivergedError: losses or gradient became NaN or infinite.

    """
    track = _Track(problem, observe)
    coefficients = problem.basis.to_coefficients(start)
    run = _minimize_lbfgs if settings.name == "lbfgs" else _minimize_mxnet
    try:
        return run(problem, coefficients, settings, lr, track, bounds)
    except DivergedError as error:
        cause = "a weight far too large" if settings.name == "lbfgs" else f"lr={lr:g} too high"
        raise DivergedError(
            f"epoch {track.epoch + 1}: {error}; the likely cause is {cause}"
        ) from None


def _minimize_mxnet(problem, start, settings, lr, track, bounds) -> None:
    optimizer = make_mxnet_optimizer(settings, lr)
    context = problem.objective.network.context
    x = mx.nd.array(start, ctx=context)
    state = optimizer.create_state(0, x)
    point = problem.evaluate(x.asnumpy())
    scale = 1.0
    if settings.relative_lr:
        scale = 1 / max(math.sqrt(np.mean(np.square(point.gradient))), 1e-30)
    if track(point, lr):
        return
    while True:
        gradient = clip_norm(point.gradient * scale, settings.clip_norm)
        if settings.decoupled_decay and settings.weight_decay:
            x *= 1 - optimizer.learning_rate * settings.weight_decay
        optimizer.update(0, x, mx.nd.array(gradient, ctx=context), state)
        if bounds is not None:
            x[:] = np.clip(x.asnumpy(), *bounds)
        used = optimizer.learning_rate
        point = problem.evaluate(x.asnumpy())
        if track(point, used):
            return


def make_mxnet_optimizer(settings: OptimizerConfig, lr: float) -> mx.optimizer.Optimizer:
    """MXNet's own optimiser with its schedule, element-wise clipping and weight decay."""
    own = {
        "momentum": settings.momentum,
        "beta1": settings.beta1,
        "beta2": settings.beta2,
        "epsilon": settings.epsilon,
        "clip_gradient": settings.clip_gradient,
    }
    options = {name: value for name, value in own.items() if value is not None}
    if settings.lr_decay_every:
        options["lr_scheduler"] = mx.lr_scheduler.FactorScheduler(
            step=settings.lr_decay_every, factor=settings.lr_decay, base_lr=lr
        )
    decay = 0.0 if settings.decoupled_decay else settings.weight_decay or 0.0
    return mx.optimizer.create(settings.name, learning_rate=lr, wd=decay, **options)


def clip_norm(gradient: np.ndarray, limit: float | str | None) -> np.ndarray:
    """Rescale to the limiting norm when above it; see :class:`nstrep.config.OptimizerConfig`."""
    if limit is None:
        return gradient
    most = gradient.size if limit == "size" else float(limit)
    norm = float(np.linalg.norm(gradient.astype(np.float64)))
    return gradient * (most / norm) if norm > most else gradient


def _minimize_lbfgs(problem, start, settings, lr, track, bounds) -> str | None:
    shape = start.shape
    # L-BFGS-B's very first trial step has length 1. In these units that is a step of one grey
    # level (root mean square), from which the line search finds the right one in a few trials.
    unit = math.sqrt(start.size)
    last: Point | None = None
    stopped = False

    def function(variables: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal last
        last = problem.evaluate((variables * unit).reshape(shape))
        return last.losses["total"], last.gradient.ravel().astype(np.float64) * unit

    def callback(intermediate_result: optimize.OptimizeResult) -> None:
        nonlocal stopped
        accepted = (intermediate_result.x * unit).reshape(shape)
        point = last
        if not np.array_equal(accepted, point.coefficients):  # the line search fell back
            point = problem.evaluate(accepted)
        stopped = track(point, math.nan)
        if stopped:
            raise StopIteration

    variables = start.ravel().astype(np.float64) / unit
    if track(problem.evaluate((variables * unit).reshape(shape)), math.nan):
        return None
    box = None
    if bounds is not None:
        low, high = (np.broadcast_to(side, shape).ravel() / unit for side in bounds)
        box = optimize.Bounds(low, high)
    result = optimize.minimize(
        function,
        variables,
        jac=True,
        method="L-BFGS-B",
        bounds=box,
        callback=callback,
        options={
            "maxcor": settings.corrections,
            "maxls": settings.line_search_steps,
            "maxiter": 10**9,
            "maxfun": 10**9,
            # The observer decides when to stop. The losses are of any magnitude, so SciPy's own
            # thresholds on their change and on the gradient would end a run at random.
            "ftol": 0.0,
            "gtol": 0.0,
        },
    )
    return None if stopped else f"L-BFGS-B: {result.message}"
