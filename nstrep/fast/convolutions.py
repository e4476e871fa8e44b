"""Convolutions as MXNet computes them fast on a CPU, and the sizes of their results."""

from __future__ import annotations

import itertools
import operator
from collections import Counter
from collections.abc import Callable
from functools import reduce
from typing import Any

from nstrep.fast import symbols as sym
from nstrep.fast.architectures import Conv
from nstrep.fast.symbols import Symbol

Size = tuple[int, int]  # height and width

# Offsets and shares of the repeated pixels that make a pixel of the upsampled image. The mean of
# three, of which the middle one counts twice, is bilinear interpolation by a factor of 2.
NEAREST = ((0, 1.0),)
BILINEAR = ((-1, 0.25), (0, 0.5), (1, 0.25))


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


def crop(x: Symbol, before: int, after: int) -> Symbol:
    """Remove as many rows and columns before and after the others."""
    if before == after == 0:
        return x
    begin, end = (None, None, before, before), (None, None, *[-after if after else None] * 2)
    return sym.slice(x, begin=begin, end=end)


def folded_conv(x: Symbol, conv: Conv, weights: list[Symbol], blocked: bool) -> Symbol:
    """Upsampling and a convolution as one transposed convolution.

    Upsampling repeats pixels, so output o sees pixel i through the sum of the kernel entries k with
    floor((o stride + k - kernel // 2) / upsample) = i. This is a transposed convolution by the
    factor f = upsample / stride, whose entry t = o - f i is that sum. It needs no upsampled image
    and, unless the upsampling is bilinear, less than half of the arithmetic. ``x`` is padded by one
    pixel.
    """
    factor = conv.upsample // conv.stride
    sums: dict[int, Counter] = {}  # by t: how much of which kernel entries
    for o, k in itertools.product(range(factor), range(conv.kernel)):
        for near, share in BILINEAR if conv.bilinear else NEAREST:
            pixel = (o * conv.stride + k + near - conv.kernel // 2) // conv.upsample
            sums.setdefault(o - factor * pixel, Counter())[k] += share
    least, kernel = min(sums), len(sums)
    weight, *bias = weights
    for axis in (2, 3):
        rows = sym.split(weight, num_outputs=conv.kernel, axis=axis)
        entries = [
            reduce(operator.add, [rows[k] if share == 1 else rows[k] * share for k, share in entry])
            for entry in (sums[t].items() for t in sorted(sums))
        ]
        weight = sym.concat(*entries, dim=axis)
    weights = [sym.transpose(weight, axes=(1, 0, 2, 3)), *bias]
    before, after = factor - least, kernel + least
    if blocked and before == after:
        # The operator crops; a slice would change the layout, and normalisation be slower.
        around = (before, after)
        return convolve(sym.Deconvolution, x, conv, weights, kernel, factor, pad=around)
    x = convolve(sym.Deconvolution, x, conv, weights, kernel, factor)
    return crop(x, before, after)


def conv_by_rows(x: Symbol, conv: Conv, weights: list[Symbol], pad: Size, multiple: int) -> Symbol:
    """A convolution as one with a kernel of one row and a channel for each row, then their sum.

    oneDNN computes 16 channels at once; with three output channels it would waste 13. Channels of
    zeros are added up to a ``multiple``.
    """
    k, channels = conv.kernel, conv.channels
    rows = sym.transpose(weights[0], axes=(2, 0, 1, 3))
    rows = sym.reshape(rows, shape=(-3, -2))  # (k channels, in, k)
    rows = sym.expand_dims(rows, axis=2)
    count = -(-k * channels // multiple) * multiple
    if added := count - k * channels:
        zeros = sym.zeros_like(sym.slice_axis(rows, axis=0, begin=0, end=added))
        rows = sym.concat(rows, zeros, dim=0)
    x = sym.Convolution(x, rows, num_filter=count, kernel=(1, k), pad=pad, no_bias=True)
    if added:
        # MXNet 1.9.1 cannot slice oneDNN's layout between its blocks; reshaping ends that layout.
        x = sym.reshape(x, shape=(0, 0, -1, 0))
    shifted = []
    for row in range(k):
        begin, end = (row * channels, row), ((row + 1) * channels, row + 1 - k or None)
        shifted.append(sym.slice(x, begin=(None, *begin, None), end=(None, *end, None)))
    x = sym.add_n(*shifted)
    for bias in weights[1:]:
        x = sym.broadcast_add(x, sym.reshape(bias, shape=(1, channels, 1, 1)))
    return x
