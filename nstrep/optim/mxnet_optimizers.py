"""MXNet's own optimisers, SGD, NAG and Adam, with their schedules, clipping and weight decay."""

from __future__ import annotations

import math
from typing import Any

import mxnet as mx
import numpy as np

from nstrep.config.schema import OptimizerConfig
from nstrep.optim.float32 import norm
from nstrep.optim.optimizer import Optimizer
from nstrep.optim.problem import Point
from nstrep.optim.state import State, is_count, is_number


class MxnetOptimizer(Optimizer):
    """The optimiser that MXNet registers under ``settings.name``."""

    _gradient_scale = 1.0
    _updates = 0
    _average: np.ndarray | None = None  # of the images, its first share still too small

    def begin(self, point: Point) -> None:
        """Take the start's gradient as the unit of a relative learning rate."""
        if self.settings.relative_lr:
            length = norm(point.gradient) / math.sqrt(point.gradient.size)
            self._gradient_scale = 1 / max(length, 1e-30)
        if self.settings.average_decay is not None:
            self._average = self._averaged(np.zeros_like(point.image), point)
        self._create(point)

    def step(self, point: Point) -> Point:
        """Update once, and evaluate the result."""
        settings, x = self.settings, self._x
        gradient = clip_norm(point.gradient * np.float32(self._gradient_scale), settings.clip_norm)
        if settings.decoupled_decay and settings.weight_decay:
            x *= 1 - self._optimizer.learning_rate * settings.weight_decay
        self._optimizer.update(0, x, mx.nd.array(gradient, ctx=x.context), self._moments)
        if self.bounds is not None:
            x[:] = np.clip(x.asnumpy(), *self.bounds)
        self._updates += 1
        self.lr = self._optimizer.learning_rate
        after = self.problem.evaluate(x.asnumpy())
        if self._average is not None:
            self._average = self._averaged(self._average, after)
        return after

    def result(self, point: Point) -> np.ndarray:
        """The image, or with ``average_decay`` the average of those so far, without its bias."""
        if self._average is None:
            return point.image
        return self._average / np.float32(1 - self.settings.average_decay ** (self._updates + 1))

    def _averaged(self, average: np.ndarray, point: Point) -> np.ndarray:
        decay = np.float32(self.settings.average_decay)
        return decay * average + (1 - decay) * point.image

    def state(self) -> State:
        """The number of updates, the gradient's scale, the moments and the average."""
        arrays = {f"moment{n}": each.asnumpy() for n, each in enumerate(_as_list(self._moments))}
        if self._average is not None:
            arrays["average"] = self._average
        return State({"updates": self._updates, "scale": self._gradient_scale}, arrays)

    def restore(self, point: Point, state: State) -> None:
        """Continue from a :meth:`state`."""
        self._updates, self._gradient_scale = state.facts["updates"], state.facts["scale"]
        self._average = state.arrays.get("average")
        self._create(point)
        for number, array in enumerate(_as_list(self._moments)):
            array[:] = state.arrays[f"moment{number}"]
        self.lr = self._optimizer.learning_rate

    @classmethod
    def fits(cls, state: State, settings: OptimizerConfig) -> bool:
        """Whether this can be a :meth:`state`."""
        moments = make_mxnet_optimizer(settings, 1.0).create_state(0, mx.nd.zeros(1))
        names = {f"moment{number}" for number in range(len(_as_list(moments)))}
        names |= {"average"} if settings.average_decay is not None else set()
        updates, scale = state.facts.get("updates"), state.facts.get("scale")
        return state.arrays.keys() == names and is_count(updates) and is_number(scale)

    @classmethod
    def arrays_kept(cls, settings: OptimizerConfig) -> int:
        """As many as Adam, which keeps the most, and the average."""
        return 2 if settings.average_decay is None else 3

    def _create(self, point: Point) -> None:
        self._x = mx.nd.array(point.coefficients, ctx=self.problem.objective.network.context)
        self._optimizer = make_mxnet_optimizer(self.settings, self.lr, self._updates)
        self._moments = self._optimizer.create_state(0, self._x)


def _as_list(moments: Any) -> list[mx.nd.NDArray]:
    """The state of an MXNet optimiser, None, an array or a tuple, as a list of arrays."""
    if moments is None:
        return []
    return list(moments) if isinstance(moments, (list, tuple)) else [moments]


def make_mxnet_optimizer(
    settings: OptimizerConfig, lr: float, updates: int = 0
) -> mx.optimizer.Optimizer:
    """MXNet's optimiser with a learning rate at the start, after a number of updates."""
    names = ("momentum", "beta1", "beta2", "epsilon", "clip_gradient")
    options = {name: getattr(settings, name) for name in names}
    options = {name: value for name, value in options.items() if value is not None}
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
