"""A transform network with its parameters: pictures in, pictures out."""

from __future__ import annotations

import math
from collections.abc import Mapping

import mxnet as mx
import numpy as np

from nstrep.base.errors import InputError
from nstrep.fast import graph
from nstrep.fast.architectures import TransformNet

BOUND = 8
"""Picture sizes whose executors are kept."""


def initial(net: TransformNet, seed: int) -> dict[str, np.ndarray]:
    """Draw the parameters that training starts from; scales are 1, shifts and biases 0.

    Torch's own networks start with random biases too; those before a norm have no effect.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    found = {}
    for name, shape in net.shapes.items():
        if name.endswith("_weight"):
            found[name] = DRAWS[net.initial](rng, shape).astype(np.float32)
        else:
            found[name] = np.full(shape, name.endswith("_gamma"), np.float32)
    return found


def _truncated_normal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    values = rng.standard_normal(shape)
    while (beyond := np.abs(values) > 2).any():
        values[beyond] = rng.standard_normal(int(beyond.sum()))
    return 0.1 * values


def _uniform(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    bound = 1 / math.sqrt(math.prod(shape[1:]))
    return rng.uniform(-bound, bound, shape)


DRAWS = {"truncated_normal": _truncated_normal, "uniform": _uniform}


class Transformer:
    """The network on a device; its parameters can be trained in place."""

    def __init__(
        self,
        net: TransformNet,
        parameters: Mapping[str, np.ndarray],
        context: mx.Context | None = None,
    ) -> None:
        self.net = net
        self.context = context or mx.cpu()
        self.parameters = {
            name: mx.nd.array(parameters[name], ctx=self.context) for name in net.shapes
        }
        self._constants = {
            name: mx.nd.array(array, ctx=self.context)
            for name, array in graph.constants(net).items()
        }
        self._bound: dict[tuple[int, int], mx.executor.Executor] = {}

    def check_size(self, height: int, width: int, name: str) -> None:
        """Raise :class:`InputError`, naming ``name``, for a picture that is too small."""
        least = self.net.least_side
        if min(height, width) < least:
            raise InputError(
                f"{name}: net={self.net.name} needs at least {least} x {least} pixels,"
                f" this picture has {width} x {height}"
            )

    def bind(
        self, height: int, width: int, gradients: Mapping[str, mx.nd.NDArray] | None = None
    ) -> mx.executor.Executor:
        """An executor over ``image`` (1, 3, height, width), to be run with ``is_train=True``.

        Args:
            height: of the picture.
            width: of the picture.
            gradients: by parameter, where its gradient is added to; None for none.

        """
        symbol = graph.symbol(self.net, height, width)
        image = mx.nd.zeros((1, 3, height, width), ctx=self.context)
        known = {"image": image, **self._constants, **self.parameters}
        arguments = {name: known[name] for name in symbol.list_arguments()}
        _, _, shapes = symbol.infer_shape(**{name: a.shape for name, a in arguments.items()})
        # The moving statistics of batch norm, which nothing reads.
        statistics = {
            name: mx.nd.zeros(shape, ctx=self.context)
            for name, shape in zip(symbol.list_auxiliary_states(), shapes)
        }
        if gradients is None:
            # MXNet 1.9.1 rewrites graphs without any gradient: it keeps a copy of the weights,
            # which training then leaves behind, and folds batch norm into them. Asking for a
            # gradient that is never computed keeps it from that.
            shift = graph.CONSTANTS[1]
            gradients = {shift: mx.nd.zeros_like(arguments[shift])}
        requests = {name: "add" if name in gradients else "null" for name in arguments}
        return symbol.bind(
            self.context, arguments, args_grad=dict(gradients), grad_req=requests,
            aux_states=statistics,
        )  # fmt: skip

    def __call__(self, rgb01: np.ndarray) -> np.ndarray:
        """The picture in the network's style: (H, W, 3), ``rgb01`` in and out, not clipped.

        Raises:
            InputError: the picture is too small.

        """
        height, width = size = rgb01.shape[:2]
        self.check_size(height, width, "picture")
        if size not in self._bound:
            if len(self._bound) >= BOUND:
                self._bound.pop(next(iter(self._bound)))
            self._bound[size] = self.bind(height, width)
        executor = self._bound[size]
        executor.forward(is_train=True, image=to_pixels(rgb01))
        return to_rgb01(executor.outputs[0].asnumpy())

    def arrays(self) -> dict[str, np.ndarray]:
        """The parameters, copied."""
        return {name: array.asnumpy() for name, array in self.parameters.items()}


def to_pixels(rgb01: np.ndarray) -> np.ndarray:
    """``rgb01`` (H, W, 3) to what the networks take: (1, 3, H, W), 0 to 255, float32."""
    return np.ascontiguousarray(rgb01.transpose(2, 0, 1)[None] * 255, dtype=np.float32)


def to_rgb01(pixels: np.ndarray) -> np.ndarray:
    """Inverse of :func:`to_pixels`; values beyond [0, 1] are kept."""
    return pixels[0].transpose(1, 2, 0) / np.float32(255)
