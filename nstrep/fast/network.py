"""A transform network with its parameters: images in, images out."""

from __future__ import annotations

import math
from collections.abc import Mapping

import mxnet as mx
import numpy as np
from cachetools import LRUCache

from nstrep.base.errors import InputError
from nstrep.fast import graph
from nstrep.fast.architectures import TransformNet

MOST_EXECUTORS = 8  # each for images of one size


def initial(net: TransformNet, seed: int) -> dict[str, np.ndarray]:
    """Draw the initial parameters: random weights, scales of 1, shifts and biases of 0.

    Torch's own networks start with random biases too; those before a normalisation have no effect.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    parameters = {}
    for name, shape in net.shapes.items():
        if not name.endswith("_weight"):
            values = np.full(shape, name.endswith("_gamma"))
        elif net.initial == "uniform":
            bound = 1 / math.sqrt(math.prod(shape[1:]))
            values = rng.uniform(-bound, bound, shape)
        else:
            values = rng.standard_normal(shape)
            while (beyond := np.abs(values) > 2).any():
                values[beyond] = rng.standard_normal(int(beyond.sum()))
            values *= 0.1
        parameters[name] = values.astype(np.float32)
    return parameters


class Transformer:
    """A network on a device. Its parameters can be trained in place."""

    def __init__(
        self, net: TransformNet, parameters: Mapping[str, np.ndarray],
        context: mx.Context | None = None,
    ) -> None:  # fmt: skip
        self.net = net
        self.context = context or mx.cpu()
        self.parameters = {n: mx.nd.array(parameters[n], ctx=self.context) for n in net.shapes}
        self._executors: LRUCache = LRUCache(MOST_EXECUTORS)

    def check_size(self, height: int, width: int, name: str) -> None:
        """Raise :class:`InputError`, naming ``name``, for an image that is too small."""
        least = self.net.least_side
        if min(height, width) < least:
            raise InputError(
                f"{name}: net={self.net.name} needs at least {least} x {least} pixels,"
                f" this picture has {width} x {height}"
            )

    def bind(
        self, height: int, width: int, gradients: Mapping[str, mx.nd.NDArray] | None = None
    ) -> mx.executor.Executor:
        """An executor over ``image``, (1, 3, height, width), to be run with ``is_train=True``.

        Running it backward adds to ``gradients``, arrays by the name of their parameter.
        """
        symbol = graph.symbol(self.net, height, width)
        inputs = {"image": np.zeros((1, 3, height, width)), **graph.constants(self.net)}
        inputs = {name: mx.nd.array(array, ctx=self.context) for name, array in inputs.items()}
        known = {**inputs, **self.parameters}
        arguments = {name: known[name] for name in symbol.list_arguments()}
        _, _, shapes = symbol.infer_shape(**{name: a.shape for name, a in arguments.items()})
        # The moving averages of batch normalisation, which are never read.
        moving = [mx.nd.zeros(shape, ctx=self.context) for shape in shapes]
        if gradients is None:
            # MXNet 1.9.1 rewrites a graph without any gradient: it folds batch normalisation into
            # a copy of the weights, which training then leaves behind. Asking for a gradient that
            # is never computed prevents this.
            gradients = {"output_shift": mx.nd.zeros_like(arguments["output_shift"])}
        requests = {name: "add" if name in gradients else "null" for name in arguments}
        return symbol.bind(
            self.context, arguments, args_grad=dict(gradients), grad_req=requests, aux_states=moving
        )

    def __call__(self, rgb01: np.ndarray) -> np.ndarray:
        """Stylise an image, ``rgb01``, not clipped. Raises InputError if it is too small."""
        size = rgb01.shape[:2]
        self.check_size(*size, "picture")
        if size not in self._executors:
            self._executors[size] = self.bind(*size)
        (output,) = self._executors[size].forward(is_train=True, image=to_pixels(rgb01))
        return to_rgb01(output.asnumpy())

    def arrays(self) -> dict[str, np.ndarray]:
        """A copy of the parameters."""
        return {name: array.asnumpy() for name, array in self.parameters.items()}


def to_pixels(rgb01: np.ndarray) -> np.ndarray:
    """``rgb01`` (H, W, 3) to the networks' input: (1, 3, H, W), 0 to 255, float32."""
    return np.ascontiguousarray(rgb01.transpose(2, 0, 1)[None] * 255, dtype=np.float32)


def to_rgb01(pixels: np.ndarray) -> np.ndarray:
    """Inverse of :func:`to_pixels`; values outside of [0, 1] are kept."""
    return pixels[0].transpose(1, 2, 0) / np.float32(255)
