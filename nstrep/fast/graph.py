"""Transform networks as graphs of MXNet's operators: from a row of the table to a symbol.

Nothing here imports MXNet; :mod:`nstrep.fast.network` and :mod:`nstrep.fast.native` run the graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial, reduce

import numpy as np

from nstrep.base.errors import InputError
from nstrep.fast import convolutions
from nstrep.fast import symbols as sym
from nstrep.fast.architectures import Conv, Residual, TransformNet
from nstrep.fast.convolutions import Size
from nstrep.fast.symbols import Symbol

Style = str | Mapping[str, float] | Sequence[float] | np.ndarray | None


def constants(net: TransformNet, height: int, width: int) -> dict[str, np.ndarray]:
    """The arguments besides the image, the style and the parameters, float32.

    ``input_mean`` and ``output_shift``, (1, 3, 1, 1), and the :func:`noise` of a network with it.
    """
    mean, shift = np.array([net.mean, net.shift], np.float32).reshape(2, 1, 3, 1, 1)
    added = {"noise": noise(net, height, width)} if net.noise else {}
    return {"input_mean": mean, "output_shift": shift, **added}


def noise(net: TransformNet, height: int, width: int, seed: int = 0) -> np.ndarray:
    """What is added to the image, (1, 1, height, width); a pass has the seed 0."""
    rng = np.random.Generator(np.random.PCG64(seed))
    return rng.standard_normal((1, 1, height, width), np.float32) * np.float32(net.noise)


def symbol(net: TransformNet, height: int, width: int, *, portable: bool = False) -> Symbol:
    """The network over ``image``, (1, 3, height, width), RGB from 0 to 255; the same shape out.

    A network with styles has another input, ``style``, (1, S): the weights of the styles.

    If a side is no multiple of 4, up to 3 more pixels are produced at the bottom and at the right,
    and cropped, so that every pixel stays where the original programs have it.

    ``portable`` uses only operators that can be exported, which are slower. Other graphs must be
    run with ``is_train=True``: batch normalisation over a batch of one is instance normalisation,
    which MXNet then computes 15 times as fast.
    """
    style = sym.Variable("style") if net.styles else None
    build = _Builder(net, (height, width), portable, style)
    x = sym.broadcast_sub(sym.Variable("image"), sym.Variable("input_mean"))
    if net.noise:
        x = sym.broadcast_add(x, sym.Variable("noise"))
    if net.border:
        x = build.pad(x, "reflect", [(net.border, net.border)] * 2)
    for layer in net.layers:
        x = build.residual(x, layer) if isinstance(layer, Residual) else build.conv(x, layer)
    start = net.border - net.consumed_border
    begin, end = (None, None, start, start), (None, None, start + height, start + width)
    x = sym.slice(x, begin=begin, end=end)
    return sym.broadcast_add(x * net.scale, sym.Variable("output_shift"))


@dataclass
class _Builder:
    """Appends layers to a symbol (1, C, height, width)."""

    net: TransformNet
    size: Size  # of the symbol; which pixels SAME pads depends on it
    portable: bool
    style: Symbol | None = None  # (1, S): weights of the styles

    def pad(self, x: Symbol, mode: str, around: list[tuple[int, int]]) -> Symbol:
        """Add pixels before and after the rows, then before and after the columns."""
        self.size = tuple(side + sum(pad) for side, pad in zip(self.size, around))
        width = (0, 0, 0, 0, *around[0], *around[1])
        return sym.pad(x, mode=mode, pad_width=width, constant_value=0)

    def residual(self, x: Symbol, block: Residual) -> Symbol:
        """X + conv(conv(x))."""
        height = self.size[0]
        y = reduce(self.conv, block.convs, x)
        lost = (height - self.size[0]) // 2
        return y + convolutions.crop(x, lost, lost)

    def conv(self, x: Symbol, conv: Conv) -> Symbol:
        """A convolution with its padding, normalisation and activation."""
        padding = self.net.padding_of(conv)
        size = convolutions.output_size(conv, padding, self.size)
        parts = ("weight", "bias") if self.net.bias else ("weight",)
        weights = [sym.Variable(f"{conv.name}_{part}") for part in parts]
        if conv.transposed:
            start = convolutions.transposed_start(conv, padding)
            x = convolutions.convolve(sym.Deconvolution, x, conv, weights, conv.kernel, conv.stride)
            x = convolutions.crop(x, start, conv.kernel - conv.stride - start)
        elif conv.upsample > 1 and not self.portable:
            # Reflecting the upsampled image by a pixel repeats the border pixels of the small one.
            x = self.pad(x, "edge" if padding == "reflect" else "constant", [(1, 1), (1, 1)])
            x = convolutions.folded_conv(x, conv, weights, self.net.blocked)
        else:
            x = self._plain_conv(x, conv, weights, padding)
        self.size = size
        if conv.norm:
            if self.net.affine:
                gamma, beta = (self._of_style(f"{conv.name}_{part}") for part in ("gamma", "beta"))
            else:
                gamma, beta = sym.ones(conv.channels), sym.zeros(conv.channels)
            batch = partial(sym.BatchNorm, fix_gamma=False)
            norm = sym.InstanceNorm if self.portable else batch
            x = norm(x, gamma, beta, eps=self.net.eps, name=f"{conv.name}_norm")
        if conv.activation:
            x = sym.Activation(x, act_type=conv.activation, name=f"{conv.name}_act")
        return x

    def _of_style(self, name: str) -> Symbol:
        """A scale or shift (C,): that of the network, or the mean of its styles', weighted."""
        parameter = sym.Variable(name)
        if self.style is None:
            return parameter
        return sym.reshape(sym.dot(self.style, parameter), shape=(-1,))

    def _plain_conv(self, x: Symbol, conv: Conv, weights: list[Symbol], padding: str) -> Symbol:
        if conv.bilinear:
            x = self.pad(x, "edge" if padding == "reflect" else "constant", [(1, 1), (1, 1)])
            x = sym.UpSampling(x, scale=conv.upsample, sample_type="nearest")
            for _ in range(2):  # a mean of 2 x 2 pixels twice is BILINEAR
                x = sym.Pooling(x, pool_type="avg", kernel=(2, 2), stride=(1, 1))
            return convolutions.convolve(sym.Convolution, x, conv, weights, conv.kernel, 1)
        if conv.upsample > 1:
            x = sym.UpSampling(x, scale=conv.upsample, sample_type="nearest")
        around = [convolutions.pads(conv, padding, side * conv.upsample) for side in self.size]
        zeros = (0, 0)  # added on both sides by the operator itself
        if padding != "reflect" and all(before == after for before, after in around):
            zeros = tuple(before for before, _ in around)
        elif any(map(any, around)):
            x = self.pad(x, "reflect" if padding == "reflect" else "constant", around)
        # With fewer than 8 output channels it is faster.
        if conv.channels < 8 and conv.stride == 1 and not self.portable:
            return convolutions.conv_by_rows(x, conv, weights, zeros, 16 if self.net.blocked else 1)
        return convolutions.convolve(
            sym.Convolution, x, conv, weights, conv.kernel, conv.stride, pad=zeros
        )


def check_size(net: TransformNet, height: int, width: int, name: str) -> None:
    """Raise :class:`InputError`, naming ``name``, for an image that is too small."""
    least = net.least_side
    if min(height, width) < least:
        raise InputError(
            f"{name}: net={net.name} needs at least {least} x {least} pixels,"
            f" this picture has {width} x {height}"
        )


def style_weights(net: TransformNet, style: Style = None) -> np.ndarray:
    """The weights of all styles, (S,) float32: one style, or a blend.

    ``style`` is a name, a mapping from names to weights, a vector of S weights, or None for the
    only style. Weights are used as given; those of a blend are 1 in all. Raises InputError for
    another name or vector, and for None if there are several styles.
    """
    names = net.styles
    if style is None and len(names) == 1:
        style = names[0]
    if style is None:
        raise InputError(f"style: must name one or more of {', '.join(names)}")
    if isinstance(style, str):
        style = {style: 1.0}
    if isinstance(style, Mapping):
        if unknown := [name for name in style if name not in names]:
            raise InputError(f"style={unknown[0]}: must be one of {', '.join(names)}")
        style = [style.get(name, 0.0) for name in names]
    weights = np.asarray(style, np.float32)
    if weights.shape != (len(names),) or not np.isfinite(weights).all():
        raise InputError(f"style={style}: must be {len(names)} finite weights")
    return weights


def to_pixels(rgb01: np.ndarray) -> np.ndarray:
    """``rgb01`` (H, W, 3) to the networks' input: (1, 3, H, W), 0 to 255, float32."""
    return np.ascontiguousarray(rgb01.transpose(2, 0, 1)[None] * 255, dtype=np.float32)


def to_rgb01(pixels: np.ndarray) -> np.ndarray:
    """Inverse of :func:`to_pixels`; values outside of [0, 1] are kept."""
    return pixels[0].transpose(1, 2, 0) / np.float32(255)
