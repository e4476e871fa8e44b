"""A transform network over images of any size, layer by layer and tile by tile.

Instance normalisation needs the statistics of the whole image, so the image cannot be cut into
tiles before the network. It is cut before every convolution instead: a tile reads the pixels that
its kernels need, the output goes to a scratch file, and the mean and variance of every channel are
accumulated; the normalisation is applied when the next convolution reads. The result is that of the
whole image up to rounding, without seams, and memory holds a few tiles. The scratch files (in
TMPDIR) take about 200 bytes per pixel of the image at 32 channels.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce

import mxnet as mx
import numpy as np

from nstrep.fast import convolutions, graph
from nstrep.fast.architectures import Conv, Residual
from nstrep.fast.convolutions import Size
from nstrep.fast.graph import Style, style_weights, to_pixels, to_rgb01
from nstrep.fast.network import Transformer

ACTIVATIONS = {"relu": lambda x: np.maximum(x, 0), "tanh": np.tanh, None: lambda x: x}


@dataclass(frozen=True)
class Features:
    """The output of a layer."""

    stored: np.ndarray  # (C, H, W)
    finish: Callable[[np.ndarray], np.ndarray] = lambda values: values  # applied to what is read

    @property
    def size(self) -> Size:
        """Height and width."""
        return self.stored.shape[1:]

    def read(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """A copy of some rows and columns; only the block around them is read from the disk."""
        top, left = rows.min(), columns.min()
        block = np.array(self.stored[:, top : rows.max() + 1, left : columns.max() + 1])
        return self.finish(block[:, rows - top][:, :, columns - left])


def stylize(
    transformer: Transformer, rgb01: np.ndarray, tile: int,
    progress: Callable[[float], None] = lambda share: None, style: Style = None,
) -> np.ndarray:  # fmt: skip
    """As :meth:`Transformer.__call__`, in tiles.

    ``tile`` is the side of the part of a layer's output that is computed at once, in pixels of the
    layer. ``progress`` is called with the share of the layers that are done, 0 to 1.
    """
    net = transformer.net
    size = rgb01.shape[:2]
    mean, shift, *noise = (array[0] for array in graph.constants(net, *size).values())
    image = sum(noise, to_pixels(rgb01)[0] - mean)
    if net.border:
        image = np.pad(image, ((0, 0), *[(net.border,) * 2] * 2), mode="reflect")
    weights = style_weights(net, style) if net.styles else None
    tiled = _TiledNetwork(transformer, tile, weights)
    x = Features(image)
    for number, layer in enumerate(net.layers, start=1):
        x = tiled.residual(x, layer) if isinstance(layer, Residual) else tiled.conv(x, layer)
        progress(number / len(net.layers))
    result = np.empty((1, 3, *size), np.float32)
    for rows, columns in squares(size, tile):
        part = _read(x, rows, columns, net.border - net.consumed_border)
        result[0, :, rows, columns] = part * net.scale + shift
    return to_rgb01(result)


def squares(size: Size, tile: int) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of each tile."""
    height, width = size
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            yield slice(top, min(top + tile, height)), slice(left, min(left + tile, width))


@dataclass
class Statistics:
    """Mean and variance of each channel over tiles, in float64 (Chan, Golub, LeVeque 1983)."""

    count: int = 0
    mean: np.ndarray | float = 0.0
    variance: np.ndarray | float = 0.0

    def add(self, values: np.ndarray) -> None:
        """Add a tile, (C, rows, columns)."""
        flat = values.reshape(len(values), -1).astype(np.float64)
        count, mean = flat.shape[1], flat.mean(1)
        total, difference = self.count + count, mean - self.mean
        squares = self.variance * self.count + ((flat - mean[:, None]) ** 2).sum(1)
        squares += difference**2 * self.count * count / total
        self.mean = self.mean + difference * count / total
        self.count, self.variance = total, squares / total


@dataclass
class _TiledNetwork:
    """The layers of a network, computed tile by tile."""

    transformer: Transformer
    tile: int  # side in pixels
    style: np.ndarray | None = None  # (S,): weights of the styles

    def residual(self, x: Features, block: Residual) -> Features:
        """A residual block; its sum is stored, so that later blocks do not compute it again."""
        y = reduce(self.conv, block.convs, x)
        output = _scratch(block.convs[-1].channels, y.size)
        for rows, columns in squares(y.size, self.tile):
            before = _read(x, rows, columns, (x.size[0] - y.size[0]) // 2)
            output[:, rows, columns] = _read(y, rows, columns) + before
        return Features(output)

    def conv(self, x: Features, conv: Conv) -> Features:
        """A convolution; normalisation and activation are applied when its result is read."""
        net = self.transformer.net
        size = convolutions.output_size(conv, net.padding_of(conv), x.size)
        output, statistics = _scratch(conv.channels, size), Statistics()
        for tile in squares(size, self.tile):
            values = self._convolve(x, conv, tile)
            statistics.add(values)
            output[(slice(None), *tile)] = values
        scale, shift = np.ones(conv.channels), np.zeros(conv.channels)
        if conv.norm:
            scale = 1 / np.sqrt(statistics.variance + net.eps)
            if net.affine:
                scale = scale * self._of_style(f"{conv.name}_gamma")
                shift = self._of_style(f"{conv.name}_beta")
            shift = shift - statistics.mean * scale
        scale, shift = (part.astype(np.float32)[:, None, None] for part in (scale, shift))
        activate = ACTIVATIONS[conv.activation]
        return Features(output, lambda values: activate(values * scale + shift))

    def _of_style(self, name: str) -> np.ndarray:
        values = self.transformer.parameters[name].asnumpy()
        return values if self.style is None else self.style @ values

    def _convolve(self, x: Features, conv: Conv, tile: tuple[slice, slice]) -> np.ndarray:
        """A tile of a convolution's output."""
        net, kernel, stride = self.transformer.net, conv.kernel, conv.stride
        padding = net.padding_of(conv)
        start = convolutions.transposed_start(conv, padding)
        inputs, results = [], []
        for part, side in zip(tile, x.size):
            if conv.transposed:
                # Output o, counted before cropping, needs inputs i with 0 <= o - stride i < kernel.
                first = -(-(part.start + start - kernel + 1) // stride)
                stop = (part.stop - 1 + start) // stride + 1
                offset = start - stride * first
            else:
                before, _ = convolutions.pads(conv, padding, side * conv.upsample)
                first = part.start * stride - before
                stop = (part.stop - 1) * stride - before + kernel
                offset = -part.start
            inputs.append(np.arange(first, stop))
            results.append(slice(part.start + offset, part.stop + offset))
        if conv.bilinear:
            values = _read_bilinear(x, inputs)
        else:
            values = _read_padded(x, inputs, "zero" if conv.transposed else padding, conv.upsample)
        values = mx.nd.array(values[None], ctx=self.transformer.context)
        operator = mx.nd.Deconvolution if conv.transposed else mx.nd.Convolution
        parts = ("weight", "bias") if net.bias else ("weight",)
        weights = [self.transformer.parameters[f"{conv.name}_{part}"] for part in parts]
        result = convolutions.convolve(operator, values, conv, weights, kernel, stride)
        return result.asnumpy()[(0, slice(None), *results)]


def _scratch(channels: int, size: Size) -> np.ndarray:
    """A float32 array (channels, height, width) in a file that is removed with the array."""
    with tempfile.TemporaryFile(prefix="nstrep-") as file:
        return np.memmap(file, np.float32, "w+", shape=(channels, *size))


def _read(x: Features, rows: slice, columns: slice, offset: int = 0) -> np.ndarray:
    """Read a tile, moved by an offset in both directions."""
    return x.read(*(np.arange(part.start, part.stop) + offset for part in (rows, columns)))


def _read_padded(x: Features, indices: list[np.ndarray], padding: str, upsample: int) -> np.ndarray:
    """Read rows and columns of the upsampled features; those outside are padding."""
    sides = [side * upsample for side in x.size]
    outside = [(index < 0) | (index >= side) for index, side in zip(indices, sides)]
    if padding == "reflect":
        indices = [side - 1 - np.abs(side - 1 - np.abs(i)) for i, side in zip(indices, sides)]
    values = x.read(*(np.clip(i, 0, side - 1) // upsample for i, side in zip(indices, sides)))
    if padding != "reflect":
        values[:, outside[0]] = 0
        values[:, :, outside[1]] = 0
    return values


def _read_bilinear(x: Features, indices: list[np.ndarray]) -> np.ndarray:
    """Read rows and columns of the features at twice their size, the border repeated."""
    parts = []
    for index, side in zip(indices, x.size):
        wide = np.arange(index[0] - 1, index[-1] + 2)
        parts.append(np.clip(wide, 0, 2 * side - 1) // 2)
    values = x.read(*parts)
    for axis in (1, 2):
        count = values.shape[axis] - 2
        shifted = (
            share * np.take(values, np.arange(count) + 1 + near, axis)
            for near, share in convolutions.BILINEAR
        )
        values = sum(shifted, np.float32(0))
    return values.astype(np.float32)
