"""MXNet's own optimisers: SGD, NAG and Adam, with their schedules, clipping and decay."""

from __future__ import annotations

import math

import mxnet as mx
import numpy as np

from nstrep.config.schema import OptimizerConfig
from nstrep.optim.float32 import norm
from nstrep.optim.problem import Point, Problem
from nstrep.optim.state import State, is_count, is_number


class Updates:
    """One optimiser; see :class:`nstrep.optim.minimize.Optimizer` for what its methods promise."""

    def __init__(
        self,
        problem: Problem,
        settings: OptimizerConfig,
        lr: float,
        bounds: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> None:
        """Remember what to do; nothing is made before the start is known.

        Args:
            problem: what to minimise.
            settings: which optimiser, and how.
            lr: learning rate at the start.
            bounds: lowest and highest image, broadcastable to its shape, to which it is cut.

        """
        self.lr = lr
        self._problem, self._settings, self._start_lr = problem, settings, lr
        self._bounds = bounds
        self._scale = 1.0
        self._updates = 0

    def begin(self, point: Point) -> None:
        """Learn the start's gradient, to which a relative learning rate is relative."""
        if self._settings.relative_lr:
            length = norm(point.gradient) / math.sqrt(point.gradient.size)
            self._scale = 1 / max(length, 1e-30)
        self._make(point)

    def step(self, point: Point) -> Point:
        """Update once, and evaluate there."""
        settings, context, x = self._settings, self._x.context, self._x
        gradient = clip_norm(point.gradient * np.float32(self._scale), settings.clip_norm)
        if settings.decoupled_decay and settings.weight_decay:
            x *= 1 - self._optimizer.learning_rate * settings.weight_decay
        self._optimizer.update(0, x, mx.nd.array(gradient, ctx=context), self._memory)
        if self._bounds is not None:
            x[:] = np.clip(x.asnumpy(), *self._bounds)
        self._updates += 1
        self.lr = self._optimizer.learning_rate
        return self._problem.evaluate(x.asnumpy())

    def state(self) -> State:
        """How many updates there were, the gradient's scale, and the moments."""
        arrays = {f"moment{n}": array.asnumpy() for n, array in enumerate(moments(self._memory))}
        return State({"updates": self._updates, "scale": self._scale}, arrays)

    @staticmethod
    def fits(state: State, settings: OptimizerConfig) -> bool:
        """Whether this may be a :meth:`state`, but for the arrays' shapes."""
        memory = make_mxnet_optimizer(settings, 1.0).create_state(0, mx.nd.zeros(1))
        names = {f"moment{number}" for number in range(len(moments(memory)))}
        right = {"updates": is_count, "scale": is_number}
        return state.arrays.keys() == names and all(
            name in state.facts and fits(state.facts[name]) for name, fits in right.items()
        )

    def restore(self, point: Point, state: State) -> None:
        """Go on from a :meth:`state` at the point that it was at."""
        self._updates, self._scale = state.facts["updates"], state.facts["scale"]
        self._make(point)
        for number, array in enumerate(moments(self._memory)):
            array[:] = state.arrays[f"moment{number}"]
        self.lr = self._optimizer.learning_rate

    def _make(self, point: Point) -> None:
        context = self._problem.objective.network.context
        self._x = mx.nd.array(point.coefficients, ctx=context)
        self._optimizer = make_mxnet_optimizer(self._settings, self._start_lr, self._updates)
        self._memory = self._optimizer.create_state(0, self._x)


def moments(memory: object) -> list[mx.nd.NDArray]:
    """What MXNet's optimiser remembers: none, one or several arrays of the picture's shape."""
    if memory is None:
        return []
    return list(memory) if isinstance(memory, (list, tuple)) else [memory]


def make_mxnet_optimizer(
    settings: OptimizerConfig, lr: float, updates: int = 0
) -> mx.optimizer.Optimizer:
    """MXNet's own optimiser with its schedule, element-wise clipping and weight decay.

    Args:
        settings: which, and how.
        lr: learning rate.
        updates: how many there have been.

    """
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
    return mx.optimizer.create(
        settings.name, learning_rate=lr, wd=decay, begin_num_update=updates, **options
    )


def clip_norm(gradient: np.ndarray, limit: float | str | None) -> np.ndarray:
    """Rescale to the limiting norm when above it; see ``OptimizerConfig.clip_norm``."""
    if limit is None:
        return gradient
    most = gradient.size if limit == "size" else float(limit)
    length = norm(gradient)
    return gradient * np.float32(most / length) if length > most else gradient
