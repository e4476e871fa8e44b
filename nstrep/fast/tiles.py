"""A transform network over pictures of any size, layer by layer and tile by tile.

Instance norm needs the statistics of the whole picture, so a picture cannot be cut up before the
network. It is cut up in front of every convolution instead: each tile takes the pixels around it
that its kernel reaches (its halo), the convolution's output goes to a scratch file, and the mean
and variance of every channel are gathered on the way; the norm is applied when the next
convolution reads. So the result is that of the whole picture, up to rounding, and no seam can
show, while memory holds a few tiles. The scratch files (in TMPDIR) take about 200 bytes a pixel of
the picture at 32 channels.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import mxnet as mx
import numpy as np

from nstrep.fast import graph
from nstrep.fast.architectures import Conv, Residual, TransformNet
from nstrep.fast.graph import Size
from nstrep.fast.network import Transformer, to_pixels, to_rgb01

Read = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Rows and columns of a layer's input to their values (1, C, rows, columns)."""


@dataclass(frozen=True)
class Plane:
    """What a layer makes: its size, and a reader."""

    size: Size
    read: Read


class Scratch:
    """Arrays on the disk, gone at the end."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._made = folder, 0

    def array(self, channels: int, size: Size) -> np.memmap:
        """A float32 array (channels, height, width), in a file that is removed at once.

        The system keeps the file for as long as the array lives.
        """
        self._made += 1
        path = self._folder / str(self._made)
        made = np.memmap(path, np.float32, "w+", shape=(channels, *size))
        path.unlink()
        return made


def stylize(
    transformer: Transformer,
    rgb01: np.ndarray,
    tile: int,
    tell: Callable[[float], None] = lambda share: None,
) -> np.ndarray:
    """As :meth:`Transformer.__call__`, in tiles.

    Args:
        transformer: the network.
        rgb01: the picture, (H, W, 3).
        tile: side of a layer's output that is computed at once, in its own pixels.
        tell: called with the share of the layers that are done.

    Returns:
        (H, W, 3), ``rgb01``, not clipped.

    """
    net = transformer.net
    height, width = rgb01.shape[:2]
    transformer.check_size(height, width, "picture")
    mean, shift = graph.constants(net).values()
    pixels = to_pixels(rgb01) - mean
    border = ((0, 0), (0, 0), *(((net.border, net.border),) * 2))
    pixels = np.pad(pixels, border, mode="reflect") if net.border else pixels
    count = sum(1 for _ in net.convs)
    with tempfile.TemporaryDirectory(prefix="nstrep-") as folder:
        run = _Run(transformer, tile, Scratch(Path(folder)), count, tell)
        plane = Plane(pixels.shape[2:], lambda rows, columns: pixels[:, :, rows][..., columns])
        for layer in net.layers:
            plane = run.residual(plane, layer) if isinstance(layer, Residual) else (
                run.conv(plane, layer)
            )  # fmt: skip
        start = net.border - sum(net.shaved) // 2
        result = np.empty((1, 3, height, width), np.float32)
        for top, bottom, left, right in squares((height, width), tile):
            rows, columns = np.arange(top, bottom) + start, np.arange(left, right) + start
            result[:, :, top:bottom, left:right] = plane.read(rows, columns) * net.scale + shift
    return to_rgb01(result)


def squares(size: Size, tile: int) -> Iterator[tuple[int, int, int, int]]:
    """Top, bottom, left and right of each tile of a size."""
    for top in range(0, size[0], tile):
        for left in range(0, size[1], tile):
            yield top, min(top + tile, size[0]), left, min(left + tile, size[1])


class Statistics:
    """Mean and variance of each channel from the tiles, in float64 (Chan, Golub, LeVeque 1983)."""

    def __init__(self, channels: int) -> None:
        self.count = 0
        self.mean = np.zeros(channels)
        self._squares = np.zeros(channels)

    def add(self, values: np.ndarray) -> None:
        """Take in a tile (C, rows, columns)."""
        flat = values.reshape(len(values), -1).astype(np.float64)
        count, mean = flat.shape[1], flat.mean(1)
        moved = mean - self.mean
        whole = self.count + count
        self._squares += ((flat - mean[:, None]) ** 2).sum(1)
        self._squares += moved**2 * self.count * count / whole
        self.mean += moved * count / whole
        self.count = whole

    @property
    def variance(self) -> np.ndarray:
        """Of each channel, over all positions."""
        return self._squares / self.count


class _Run:
    def __init__(
        self,
        transformer: Transformer,
        tile: int,
        scratch: Scratch,
        count: int,
        tell: Callable[[float], None],
    ) -> None:
        self.transformer, self.tile, self.scratch = transformer, tile, scratch
        self.count, self.done, self.tell = count, 0, tell

    @property
    def net(self) -> TransformNet:
        return self.transformer.net

    def conv(self, plane: Plane, conv: Conv) -> Plane:
        """A convolution over the whole plane; its norm and activation wait for the reader."""
        padding = self.net.padding_of(conv)
        size = graph.output_size(conv, padding, plane.size)
        made = self.scratch.array(conv.channels, size)
        statistics = Statistics(conv.channels)
        apply = self._transposed if conv.transposed else self._direct
        for top, bottom, left, right in squares(size, self.tile):
            values = apply(plane, conv, padding, (top, bottom), (left, right))
            statistics.add(values)
            made[:, top:bottom, left:right] = values
        self.done += 1
        self.tell(self.done / self.count)
        return Plane(size, self._after(made, conv, statistics))

    def _after(self, made: np.ndarray, conv: Conv, statistics: Statistics) -> Read:
        scale, shift = np.ones(conv.channels), np.zeros(conv.channels)
        if conv.norm:
            scale = 1 / np.sqrt(statistics.variance + self.net.eps)
            if self.net.affine:
                scale = scale * self._parameter(f"{conv.name}_gamma")
                shift = self._parameter(f"{conv.name}_beta").astype(np.float64)
            shift = shift - statistics.mean * scale
        scale, shift = (part.astype(np.float32)[:, None, None] for part in (scale, shift))
        activate = ACTIVATIONS[conv.activation]

        def read(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
            return activate(_gather(made, rows, columns) * scale + shift)[None]

        return read

    def residual(self, plane: Plane, block: Residual) -> Plane:
        """A residual block; its result is stored, so that reading it costs no more each time."""
        inside = plane
        for conv in block.convs:
            inside = self.conv(inside, conv)
        lost = (plane.size[0] - inside.size[0]) // 2
        made = self.scratch.array(block.channels, inside.size)
        for top, bottom, left, right in squares(inside.size, self.tile):
            rows, columns = np.arange(top, bottom), np.arange(left, right)
            total = inside.read(rows, columns) + plane.read(rows + lost, columns + lost)
            made[:, top:bottom, left:right] = total[0]
        return Plane(inside.size, lambda rows, columns: _gather(made, rows, columns)[None])

    def _parameter(self, name: str) -> np.ndarray:
        return self.transformer.parameters[name].asnumpy()

    def _direct(
        self, plane: Plane, conv: Conv, padding: str, rows: Size, columns: Size
    ) -> np.ndarray:
        wanted = []
        for (begin, end), side in zip((rows, columns), plane.size):
            before, _ = graph.pads(conv, padding, side * conv.upsample)
            first = begin * conv.stride - before
            wanted.append(np.arange(first, (end - 1) * conv.stride - before + conv.kernel))
        x = self._around(plane, wanted, padding, conv.upsample)
        return self._apply(mx.nd.Convolution, x, conv)

    def _transposed(
        self, plane: Plane, conv: Conv, padding: str, rows: Size, columns: Size
    ) -> np.ndarray:
        lead, wanted, cuts = graph.lead(conv, padding), [], []
        for begin, end in (rows, columns):
            # Output o of all that is made comes from the inputs i with 0 <= o - stride i < kernel.
            first = -(-(begin + lead - conv.kernel + 1) // conv.stride)
            last = (end - 1 + lead) // conv.stride
            wanted.append(np.arange(first, last + 1))
            start = begin + lead - conv.stride * first
            cuts.append(slice(start, start + end - begin))
        x = self._around(plane, wanted, "zero", 1)
        return self._apply(mx.nd.Deconvolution, x, conv)[:, cuts[0], cuts[1]]

    def _around(
        self, plane: Plane, wanted: list[np.ndarray], padding: str, upsample: int
    ) -> np.ndarray:
        """The plane's values at rows and columns that may lie beyond its border."""
        places, beyond = [], []
        for places_wanted, side in zip(wanted, plane.size):
            last = side * upsample - 1
            inside = np.clip(places_wanted, 0, last)
            if padding == "reflect":
                inside = last - np.abs(last - np.abs(places_wanted))
            places.append(inside // upsample)
            beyond.append((places_wanted < 0) | (places_wanted > last))
        x = plane.read(*places)
        if padding != "reflect":
            x[:, :, beyond[0]] = 0
            x[:, :, :, beyond[1]] = 0
        return x

    def _apply(self, operator: Callable, x: np.ndarray, conv: Conv) -> np.ndarray:
        parameters = self.transformer.parameters
        bias = [parameters[f"{conv.name}_bias"]] if self.net.bias else []
        found = operator(
            mx.nd.array(x, ctx=self.transformer.context), parameters[f"{conv.name}_weight"], *bias,
            kernel=(conv.kernel,) * 2, stride=(conv.stride,) * 2, num_filter=conv.channels,
            no_bias=not bias,
        )  # fmt: skip
        return found.asnumpy()[0]


def _gather(array: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """(C, rows, columns) of (C, H, W): the block around them first, which is read at once."""
    top, left = rows.min(), columns.min()
    block = np.array(array[:, top : rows.max() + 1, left : columns.max() + 1])
    return block[:, rows - top][:, :, columns - left]


ACTIVATIONS = {"relu": lambda x: np.maximum(x, 0), "tanh": np.tanh, None: lambda x: x}
