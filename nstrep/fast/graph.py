"""From a row of the table to an MXNet symbol, for one picture of a given size."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import mxnet as mx
import numpy as np
from mxnet.symbol import Symbol

from nstrep.fast.architectures import Conv, Residual, TransformNet

CONSTANTS = ("input_mean", "output_shift")
"""Arguments of the symbol that are neither the image nor trained; see :func:`constants`."""

FEW = 8
"""Channels for which :func:`_row_by_row` pays."""

Size = tuple[int, int]


def constants(net: TransformNet) -> dict[str, np.ndarray]:
    """What is subtracted from the input and added to the output, each (1, 3, 1, 1) float32."""
    values = (net.mean, net.shift)
    return {
        name: np.array(value, np.float32).reshape(1, 3, 1, 1)
        for name, value in zip(CONSTANTS, values)
    }


def symbol(net: TransformNet, height: int, width: int, *, portable: bool = False) -> Symbol:
    """The network over ``image``, (1, 3, height, width), RGB, 0 to 255; the same shape out.

    Where a side is no multiple of 4 the networks make up to 3 pixels more at the bottom and the
    right; these are cut off, so that every pixel stays where the original programs have it.

    Args:
        net: a row of the table.
        height: of the picture.
        width: of the picture.
        portable: only operators that other programs have too, for export; slower. Otherwise the
            graph is to be run with ``is_train=True``, which makes batch norm, over a batch of
            one, the instance norm that MXNet computes 15 times as fast.

    """
    build = _Builder(net, portable)
    x = mx.sym.broadcast_sub(mx.sym.Variable("image"), mx.sym.Variable("input_mean"))
    size = (height, width)
    if net.border:
        x, size = _pad(x, size, "reflect", ((net.border,) * 2,) * 2)
    for layer in net.layers:
        x, size = build.residual(x, size, layer) if isinstance(layer, Residual) else (
            build.conv(x, size, layer)
        )  # fmt: skip
    # Residual blocks without padding have used the border up already.
    start = net.border - sum(net.shaved) // 2
    x = _cut(x, size, (start, start), (height, width))
    return mx.sym.broadcast_add(x * net.scale, mx.sym.Variable("output_shift"))


def pads(conv: Conv, padding: str, length: int) -> tuple[int, int]:
    """How many pixels go before and after a side of ``length``, after upsampling."""
    if padding == "none":
        return 0, 0
    if padding == "same":  # tf.nn.conv2d: what ceil(length / stride) outputs need, odd one last
        outputs = -(-length // conv.stride)
        total = max((outputs - 1) * conv.stride + conv.kernel - length, 0)
        return total // 2, total - total // 2
    return conv.kernel // 2, conv.kernel // 2


def lead(conv: Conv, padding: str) -> int:
    """Where in all that a transposed convolution makes its result begins.

    TensorFlow's SAME keeps the first outputs, Torch's padding of 1 with an adjustment of 1 drops
    one.
    """
    return (conv.kernel - conv.stride) // 2 if padding == "same" else conv.kernel // 2


def output_size(conv: Conv, padding: str, size: Size) -> Size:
    """Height and width after a convolution."""
    if conv.transposed:
        return tuple(side * conv.stride for side in size)
    scaled = [side * conv.upsample for side in size]
    return tuple(
        (side + sum(pads(conv, padding, side)) - conv.kernel) // conv.stride + 1 for side in scaled
    )


def folded(kernel: int, upsample: int, stride: int) -> tuple[list[list[int]], int]:
    """A convolution of an upsampled picture as a transposed convolution of the picture itself.

    Nearest-neighbour upsampling repeats pixels, so output o sees pixel i by the sum of those
    kernel entries k with floor((o stride + k - kernel // 2) / upsample) = i: a transposed
    convolution by factor f = upsample / stride whose entry t = o - f i is that sum. It needs less
    than half of the arithmetic, and no large picture in between.

    Returns:
        For each entry, from the least t on, which k it sums; and the least t.

    """
    factor = upsample // stride
    entries: dict[int, list[int]] = {}
    for o in range(factor):
        for k in range(kernel):
            pixel = math.floor((o * stride + k - kernel // 2) / upsample)
            entries.setdefault(o - factor * pixel, []).append(k)
    least = min(entries)
    return [entries.get(t, []) for t in range(least, max(entries) + 1)], least


class _Builder:
    def __init__(self, net: TransformNet, portable: bool) -> None:
        self.net, self.portable = net, portable

    def conv(self, x: Symbol, size: Size, conv: Conv) -> tuple[Symbol, Size]:
        padding = self.net.padding_of(conv)
        weight = mx.sym.Variable(f"{conv.name}_weight")
        bias = mx.sym.Variable(f"{conv.name}_bias") if self.net.bias else None
        if conv.transposed:
            x, made = _transposed(x, size, conv, weight, bias)
            x = _cut(x, made, (lead(conv, padding),) * 2, output_size(conv, padding, size))
        elif conv.upsample > 1 and not self.portable:
            x = _folded_conv(x, size, conv, weight, bias, padding)
        else:
            if conv.upsample > 1:
                x = mx.sym.UpSampling(x, scale=conv.upsample, sample_type="nearest")
            scaled = tuple(side * conv.upsample for side in size)
            around = tuple(pads(conv, padding, side) for side in scaled)
            own = (0, 0)
            if padding != "reflect" and all(before == after for before, after in around):
                own = tuple(before for before, _ in around)  # zeros that the convolution adds
            elif any(map(any, around)):
                x, _ = _pad(x, scaled, "reflect" if padding == "reflect" else "constant", around)
            if conv.channels < FEW and conv.stride == 1 and not self.portable:
                x = _row_by_row(x, output_size(conv, padding, size)[0], conv, weight, bias, own)
            else:
                x = _convolution("Convolution", x, conv, weight, bias, pad=own)
        return self.after(x, conv), output_size(conv, padding, size)

    def after(self, x: Symbol, conv: Conv) -> Symbol:
        if conv.norm:
            if self.net.affine:
                gamma, beta = (mx.sym.Variable(f"{conv.name}_{part}") for part in ("gamma", "beta"))
            else:
                gamma, beta = mx.sym.ones(conv.channels), mx.sym.zeros(conv.channels)
            if self.portable:
                x = mx.sym.InstanceNorm(x, gamma, beta, eps=self.net.eps, name=f"{conv.name}_norm")
            else:
                x = mx.sym.BatchNorm(
                    x, gamma, beta, eps=self.net.eps, fix_gamma=False, name=f"{conv.name}_norm"
                )
        if conv.activation:
            x = mx.sym.Activation(x, act_type=conv.activation, name=f"{conv.name}_act")
        return x

    def residual(self, x: Symbol, size: Size, block: Residual) -> tuple[Symbol, Size]:
        kept, before = x, size
        for conv in block.convs:
            x, size = self.conv(x, size, conv)
        lost = (before[0] - size[0]) // 2
        return x + _cut(kept, before, (lost, lost), size), size


def _convolution(
    operator: str, x: Symbol, conv: Conv, weight: Symbol, bias: Symbol | None, **given: Any
) -> Symbol:
    parts = [x, weight] if bias is None else [x, weight, bias]
    kernel = given.pop("kernel", (conv.kernel,) * 2)
    return getattr(mx.sym, operator)(
        *parts,
        num_filter=conv.channels, kernel=kernel, stride=given.pop("stride", (conv.stride,) * 2),
        no_bias=bias is None, name=conv.name, **given,
    )  # fmt: skip


def _row_by_row(
    x: Symbol, height: int, conv: Conv, weight: Symbol, bias: Symbol | None, pad: Size
) -> Symbol:
    """A convolution as one with a kernel of one row and a channel for each row, then their sum.

    oneDNN works on 16 channels at once, and would compute 13 for nothing where there are 3.
    """
    k, channels = conv.kernel, conv.channels
    rows = mx.sym.transpose(weight, axes=(2, 0, 1, 3))
    rows = mx.sym.reshape(rows, shape=(-3, -2))  # (k channels, in, k)
    x = mx.sym.Convolution(
        x, mx.sym.expand_dims(rows, axis=2),
        num_filter=k * channels, kernel=(1, k), pad=pad, no_bias=True, name=conv.name,
    )  # fmt: skip
    shifted = (
        mx.sym.slice(
            x, begin=(None, row * channels, row, None),
            end=(None, (row + 1) * channels, row + height, None),
        )
        for row in range(k)
    )  # fmt: skip
    x = mx.sym.add_n(*shifted)
    if bias is None:
        return x
    return mx.sym.broadcast_add(x, mx.sym.reshape(bias, shape=(1, channels, 1, 1)))


def _transposed(
    x: Symbol, size: Size, conv: Conv, weight: Symbol, bias: Symbol | None
) -> tuple[Symbol, Size]:
    made = tuple((side - 1) * conv.stride + conv.kernel for side in size)
    return _convolution("Deconvolution", x, conv, weight, bias), made


def _folded_conv(
    x: Symbol, size: Size, conv: Conv, weight: Symbol, bias: Symbol | None, padding: str
) -> Symbol:
    sums, least = folded(conv.kernel, conv.upsample, conv.stride)
    factor = conv.upsample // conv.stride
    for axis in (2, 3):
        rows = [
            mx.sym.slice_axis(weight, axis=axis, begin=k, end=k + 1) for k in range(conv.kernel)
        ]
        weight = mx.sym.concat(*[_sum(rows[k] for k in entry) for entry in sums], dim=axis)
    weight = mx.sym.transpose(weight, axes=(1, 0, 2, 3))
    # Mirroring the upsampled picture by one pixel repeats the border pixels of the small one.
    x, size = _pad(x, size, "edge" if padding == "reflect" else "constant", ((1, 1), (1, 1)))
    made = tuple((side - 1) * factor + len(sums) for side in size)
    x = _convolution(
        "Deconvolution", x, conv, weight, bias, kernel=(len(sums),) * 2, stride=(factor, factor)
    )
    wanted = tuple((side - 2) * factor for side in size)
    return _cut(x, made, (factor - least,) * 2, wanted)


def _sum(symbols: Iterable[Symbol]) -> Symbol:
    first, *rest = symbols
    for other in rest:
        first = first + other
    return first


def _pad(x: Symbol, size: Size, mode: str, around: tuple[Size, Size]) -> tuple[Symbol, Size]:
    (top, bottom), (left, right) = around
    x = mx.sym.pad(x, mode=mode, pad_width=(0, 0, 0, 0, top, bottom, left, right), constant_value=0)
    return x, (size[0] + top + bottom, size[1] + left + right)


def _cut(x: Symbol, size: Size, start: Size, wanted: Size) -> Symbol:
    if size == wanted and start == (0, 0):
        return x
    end = tuple(first + side for first, side in zip(start, wanted))
    return mx.sym.slice(x, begin=(None, None, *start), end=(None, None, *end))
