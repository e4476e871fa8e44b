"""Transform networks on a device of MXNet: initial parameters, gradients and images."""

from __future__ import annotations

import math
from collections.abc import Mapping

import mxnet as mx
import numpy as np
from cachetools import LRUCache

from nstrep.fast import graph
from nstrep.fast.architectures import TransformNet
from nstrep.fast.graph import Style, check_size, constants, style_weights, to_pixels, to_rgb01
from nstrep.fast.symbols import to_json


def symbol(net: TransformNet, height: int, width: int, *, portable: bool = False) -> mx.sym.Symbol:
    """:func:`graph.symbol` as MXNet's object."""
    return mx.sym.load_json(to_json(graph.symbol(net, height, width, portable=portable)))


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
        self.net, self.context = net, context or mx.cpu()
        self.parameters = {n: mx.nd.array(parameters[n], ctx=self.context) for n in net.shapes}
        self._executors = LRUCache(8)  # each for images of one size

    def bind(
        self, height: int, width: int, gradients: Mapping[str, mx.nd.NDArray] | None = None
    ) -> mx.executor.Executor:
        """An executor over ``image``, (1, 3, height, width), to be run with ``is_train=True``.

        With styles it has the argument ``style``, (1, S), at first the first style alone.
        Running it backward adds to ``gradients``, arrays by the name of their parameter.
        """
        net = symbol(self.net, height, width)
        inputs = {"image": np.zeros((1, 3, height, width)), **constants(self.net, height, width)}
        inputs["style"] = np.eye(1, len(self.net.styles))
        inputs = {n: mx.nd.array(a, ctx=self.context) for n, a in inputs.items() if a.size}
        known = {**inputs, **self.parameters}
        arguments = {name: known[name] for name in net.list_arguments()}
        _, _, shapes = net.infer_shape(**{name: a.shape for name, a in arguments.items()})
        # The moving averages of batch normalisation, which are never read.
        moving = [mx.nd.zeros(shape, ctx=self.context) for shape in shapes]
        if gradients is None:
            # MXNet 1.9.1 rewrites a graph without any gradient: it folds batch normalisation into
            # a copy of the weights, which training then leaves behind. Asking for a gradient that
            # is never computed prevents this.
            gradients = {"output_shift": mx.nd.zeros_like(arguments["output_shift"])}
        requests = {name: "add" if name in gradients else "null" for name in arguments}
        return net.bind(
            self.context, arguments, args_grad=dict(gradients), grad_req=requests, aux_states=moving
        )

    def __call__(self, rgb01: np.ndarray, style: Style = None) -> np.ndarray:
        """Stylise an image, ``rgb01``, not clipped.

        Raises InputError if it is too small, or for what :func:`style_weights` refuses.
        """
        size = rgb01.shape[:2]
        check_size(self.net, *size, "picture")
        inputs = {"image": to_pixels(rgb01)}
        if self.net.styles:
            inputs["style"] = style_weights(self.net, style)[None]
        if size not in self._executors:
            self._executors[size] = self.bind(*size)
        (output,) = self._executors[size].forward(is_train=True, **inputs)
        return to_rgb01(output.asnumpy())

    def arrays(self) -> dict[str, np.ndarray]:
        """A copy of the parameters."""
        return {name: array.asnumpy() for name, array in self.parameters.items()}
