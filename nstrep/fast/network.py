"""Transform networks as MXNet graphs: from a row of the table and parameters to images.

:func:`symbol` is the graph for images of one size, :class:`Transformer` a network that runs it.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any

import mxnet as mx
import numpy as np
from cachetools import LRUCache
from mxnet.symbol import Symbol

from nstrep.base.errors import InputError
from nstrep.fast.architectures import Conv, Residual, TransformNet

Size = tuple[int, int]  # height and width


def constants(net: TransformNet) -> dict[str, np.ndarray]:
    """The arguments besides the image and the parameters, each (1, 3, 1, 1) float32."""
    mean, shift = np.array([net.mean, net.shift], np.float32).reshape(2, 1, 3, 1, 1)
    return {"input_mean": mean, "output_shift": shift}


def symbol(net: TransformNet, height: int, width: int, *, portable: bool = False) -> Symbol:
    """The network over ``image``, (1, 3, height, width), RGB from 0 to 255; the same shape out.

    If a side is no multiple of 4, up to 3 more pixels are produced at the bottom and at the right,
    and cropped, so that every pixel stays where the original programs have it.

    ``portable`` uses only operators that can be exported, which are slower. Other graphs must be
    run with ``is_train=True``: batch normalisation over a batch of one is instance normalisation,
    which MXNet then computes 15 times as fast.
    """
    build = _Builder(net, (height, width), portable)
    x = mx.sym.broadcast_sub(mx.sym.Variable("image"), mx.sym.Variable("input_mean"))
    if net.border:
        x = build.pad(x, "reflect", [(net.border, net.border)] * 2)
    for layer in net.layers:
        x = build.residual(x, layer) if isinstance(layer, Residual) else build.conv(x, layer)
    start = net.border - net.consumed_border
    begin, end = (None, None, start, start), (None, None, start + height, start + width)
    x = mx.sym.slice(x, begin=begin, end=end)
    return mx.sym.broadcast_add(x * net.scale, mx.sym.Variable("output_shift"))


def pads(conv: Conv, padding: str, length: int) -> tuple[int, int]:
    """Pixels added before and after a side of ``length`` pixels, which is already upsampled."""
    if padding == "none":
        return 0, 0
    if padding == "same":  # tf.nn.conv2d: what ceil(length / stride) outputs need, odd one last
        outputs = -(-length // conv.stride)
        total = max((outputs - 1) * conv.stride + conv.kernel - length, 0)
        return total // 2, total - total // 2
    return conv.kernel // 2, conv.kernel // 2


def transposed_start(conv: Conv, padding: str) -> int:
    """Index of the first output of a transposed convolution that belongs to the result."""
    # TensorFlow's SAME keeps the first outputs; Torch with a padding of 1 drops one.
    return (conv.kernel - conv.stride) // 2 if padding == "same" else conv.kernel // 2


def output_size(conv: Conv, padding: str, size: Size) -> Size:
    """Height and width after a convolution."""
    if conv.transposed:
        return tuple(side * conv.stride for side in size)
    scaled = [side * conv.upsample for side in size]
    padded = [side + sum(pads(conv, padding, side)) for side in scaled]
    return tuple((side - conv.kernel) // conv.stride + 1 for side in padded)


def convolve(
    operator: Callable, x: Any, conv: Conv, weights: list, kernel: int, stride: int, **options: Any
) -> Any:
    """Apply MXNet's (de)convolution with square kernels; ``weights`` may include a bias."""
    return operator(
        x, *weights, num_filter=conv.channels, kernel=(kernel, kernel), stride=(stride, stride),
        no_bias=len(weights) == 1, name=conv.name, **options,
    )  # fmt: skip


@dataclass
class _Builder:
    """Appends layers to a symbol (1, C, height, width)."""

    net: TransformNet
    size: Size  # of the symbol; which pixels SAME pads depends on it
    portable: bool

    def pad(self, x: Symbol, mode: str, around: list[tuple[int, int]]) -> Symbol:
        """Add pixels before and after the rows, then before and after the columns."""
        self.size = tuple(side + sum(pad) for side, pad in zip(self.size, around))
        width = (0, 0, 0, 0, *around[0], *around[1])
        return mx.sym.pad(x, mode=mode, pad_width=width, constant_value=0)

    def residual(self, x: Symbol, block: Residual) -> Symbol:
        """X + conv(conv(x))."""
        height = self.size[0]
        y = reduce(self.conv, block.convs, x)
        lost = (height - self.size[0]) // 2
        return y + _crop(x, lost, lost)

    def conv(self, x: Symbol, conv: Conv) -> Symbol:
        """A convolution with its padding, normalisation and activation."""
        padding = self.net.padding_of(conv)
        size = output_size(conv, padding, self.size)
        parts = ("weight", "bias") if self.net.bias else ("weight",)
        weights = [mx.sym.Variable(f"{conv.name}_{part}") for part in parts]
        if conv.transposed:
            start = transposed_start(conv, padding)
            x = convolve(mx.sym.Deconvolution, x, conv, weights, conv.kernel, conv.stride)
            x = _crop(x, start, conv.kernel - conv.stride - start)
        elif conv.upsample > 1 and not self.portable:
            # Reflecting the upsampled image by a pixel repeats the border pixels of the small one.
            x = self.pad(x, "edge" if padding == "reflect" else "constant", [(1, 1), (1, 1)])
            x = _folded_conv(x, conv, weights)
        else:
            x = self._plain_conv(x, conv, weights, padding)
        self.size = size
        if conv.norm:
            if self.net.affine:
                gamma, beta = (mx.sym.Variable(f"{conv.name}_{part}") for part in ("gamma", "beta"))
            else:
                gamma, beta = mx.sym.ones(conv.channels), mx.sym.zeros(conv.channels)
            batch = partial(mx.sym.BatchNorm, fix_gamma=False)
            norm = mx.sym.InstanceNorm if self.portable else batch
            x = norm(x, gamma, beta, eps=self.net.eps, name=f"{conv.name}_norm")
        if conv.activation:
            x = mx.sym.Activation(x, act_type=conv.activation, name=f"{conv.name}_act")
        return x

    def _plain_conv(self, x: Symbol, conv: Conv, weights: list[Symbol], padding: str) -> Symbol:
        if conv.upsample > 1:
            x = mx.sym.UpSampling(x, scale=conv.upsample, sample_type="nearest")
        around = [pads(conv, padding, side * conv.upsample) for side in self.size]
        zeros = (0, 0)  # added on both sides by the operator itself
        if padding != "reflect" and all(before == after for before, after in around):
            zeros = tuple(before for before, _ in around)
        elif any(map(any, around)):
            x = self.pad(x, "reflect" if padding == "reflect" else "constant", around)
        # With fewer than 8 output channels it is faster.
        if conv.channels < 8 and conv.stride == 1 and not self.portable:
            return _conv_by_rows(x, conv, weights, zeros)
        return convolve(mx.sym.Convolution, x, conv, weights, conv.kernel, conv.stride, pad=zeros)


def _crop(x: Symbol, before: int, after: int) -> Symbol:
    """Remove as many rows and columns before and after the others."""
    if before == after == 0:
        return x
    begin, end = (None, None, before, before), (None, None, *[-after if after else None] * 2)
    return mx.sym.slice(x, begin=begin, end=end)


def _folded_conv(x: Symbol, conv: Conv, weights: list[Symbol]) -> Symbol:
    """Nearest-neighbour upsampling and a convolution as one transposed convolution.

    Upsampling repeats pixels, so output o sees pixel i through the sum of the kernel entries k with
    floor((o stride + k - kernel // 2) / upsample) = i. This is a transposed convolution by the
    factor f = upsample / stride, whose entry t = o - f i is that sum. It needs less than half of
    the arithmetic and no upsampled image. ``x`` is padded by one pixel.
    """
    factor = conv.upsample // conv.stride
    sums: dict[int, list[int]] = {}
    for o, k in itertools.product(range(factor), range(conv.kernel)):
        pixel = (o * conv.stride + k - conv.kernel // 2) // conv.upsample
        sums.setdefault(o - factor * pixel, []).append(k)
    least, kernel = min(sums), len(sums)
    weight, *bias = weights
    for axis in (2, 3):
        rows = mx.sym.split(weight, num_outputs=conv.kernel, axis=axis)
        entries = [reduce(operator.add, [rows[k] for k in sums[t]]) for t in sorted(sums)]
        weight = mx.sym.concat(*entries, dim=axis)
    weights = [mx.sym.transpose(weight, axes=(1, 0, 2, 3)), *bias]
    x = convolve(mx.sym.Deconvolution, x, conv, weights, kernel, factor)
    return _crop(x, factor - least, kernel + least)


def _conv_by_rows(x: Symbol, conv: Conv, weights: list[Symbol], pad: Size) -> Symbol:
    """A convolution as one with a kernel of one row and a channel for each row, then their sum.

    oneDNN computes 16 channels at once; with three output channels it would waste 13.
    """
    k, channels = conv.kernel, conv.channels
    rows = mx.sym.transpose(weights[0], axes=(2, 0, 1, 3))
    rows = mx.sym.reshape(rows, shape=(-3, -2))  # (k channels, in, k)
    rows = mx.sym.expand_dims(rows, axis=2)
    x = mx.sym.Convolution(x, rows, num_filter=k * channels, kernel=(1, k), pad=pad, no_bias=True)
    shifted = []
    for row in range(k):
        begin, end = (row * channels, row), ((row + 1) * channels, row + 1 - k or None)
        shifted.append(mx.sym.slice(x, begin=(None, *begin, None), end=(None, *end, None)))
    x = mx.sym.add_n(*shifted)
    for bias in weights[1:]:
        x = mx.sym.broadcast_add(x, mx.sym.reshape(bias, shape=(1, channels, 1, 1)))
    return x


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
        net = symbol(self.net, height, width)
        inputs = {"image": np.zeros((1, 3, height, width)), **constants(self.net)}
        inputs = {name: mx.nd.array(array, ctx=self.context) for name, array in inputs.items()}
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
