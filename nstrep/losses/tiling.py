"""How a picture is cut into tiles that are computed one at a time.

A tile is computed with a margin as wide as the features reach, counts only the positions that it
owns, and ends where the picture ends or at a multiple of the deepest stride, so that its poolings
are those of the whole picture. Every position is owned by one tile.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import mxnet as mx
import numpy as np

from nstrep.base.errors import InputError
from nstrep.networks.features import Network
from nstrep.networks.gram import pooled

STRIPS = "strips"
"""The way between the whole and tiles: :class:`nstrep.losses.tiled_objective.StripedObjective`."""

CUT = "pool1"
"""Where it divides the network."""

ROWS = 32
"""Of its strips, margins included."""


@dataclass(frozen=True)
class Span:
    """A tile along one side of the picture, in pixels."""

    start: int
    stop: int
    own_start: int
    """From here to ``own_stop`` its positions count; the rest is margin."""
    own_stop: int
    length: int
    """Of the picture's side."""

    @property
    def kind(self) -> tuple[int, int, int, bool]:
        """What the graph of the tile depends on."""
        inside = (self.own_start - self.start, self.own_stop - self.start)
        return self.stop - self.start, *inside, self.own_stop == self.length

    def owned(self, stride: int) -> tuple[int, int | None]:
        """Its own positions at a layer, counted from its start; None for up to its end."""
        last = None if self.own_stop == self.length else (self.own_stop - self.start) // stride
        return (self.own_start - self.start) // stride, last


def spans(length: int, tile: int, margin: int, stride: int) -> list[Span]:
    """Cut a side into tiles of at most ``tile`` pixels, margins included, about equally long.

    Args:
        length: pixels.
        tile: at least ``2 * margin + stride``.
        margin: pixels computed beyond what is owned; a multiple of ``stride``.
        stride: of the deepest layer.

    """
    if length <= tile:
        return [Span(0, length, 0, length, length)]
    most = (tile - 2 * margin) // stride * stride
    count = -(-(length - 2 * margin) // most)
    step = -(-(length - 2 * margin) // (count * stride)) * stride
    found = []
    for start in itertools.count(0, step):
        stop = min(start + step + 2 * margin, length)
        last = stop == length
        found.append(
            Span(
                start,
                stop,
                start + margin if start else 0,
                length if last else stop - margin,
                length,
            )
        )
        if last:
            return found
    raise AssertionError("unreachable: the tiles move on")


@dataclass(frozen=True)
class Tile:
    """A rectangle of the picture."""

    rows: Span
    columns: Span

    @property
    def kind(self) -> tuple:
        """Tiles of one kind have one graph."""
        return self.rows.kind, self.columns.kind

    def cut(self, picture: np.ndarray) -> np.ndarray:
        """What the tile sees of a picture (..., H, W): a view."""
        rows, columns = self.rows, self.columns
        return picture[..., rows.start : rows.stop, columns.start : columns.stop]

    def place(self, stride: int) -> tuple[slice, ...]:
        """Where its own positions are among those of the whole picture, (1, N, H', W')."""
        sides = (
            slice(span.own_start // stride, span.own_stop // stride)
            for span in (self.rows, self.columns)
        )
        return (slice(None), slice(None), *sides)

    def weights(self, mask: np.ndarray, stride: int) -> np.ndarray:
        """What a mask (H, W) comes to at the own positions of a layer, (h, w), float64."""
        rows, columns = self.rows, self.columns
        own = mask[rows.own_start : rows.own_stop, columns.own_start : columns.own_stop]
        return pooled(own, stride)

    def owned(self, features: mx.sym.Symbol, stride: int) -> mx.sym.Symbol:
        """The own positions of the tile's features."""
        ends = zip(self.rows.owned(stride), self.columns.owned(stride))
        begin, end = ((None, None, *pair) for pair in ends)
        return mx.sym.slice(features, begin=begin, end=end)


def margin(network: Network, layers: Sequence[str]) -> int:
    """How far tiles reach beyond what they own, in pixels: a multiple of the deepest stride."""
    stride = network.architecture.stride(layers)
    return -(-network.architecture.reach(layers) // stride) * stride


def smallest_tile(network: Network, layers: Sequence[str]) -> int:
    """The smallest tile that owns something, in pixels."""
    return 2 * margin(network, layers) + network.architecture.stride(layers)


def can_be_striped(network: Network, layers: Sequence[str]) -> bool:
    """Whether there is a layer beyond the cut."""
    names = list(network.architecture.layers)
    return names.index(network.architecture.deepest(layers)) > names.index(CUT)


def check(
    network: Network, layers: Sequence[str], height: int, width: int, side: int | str
) -> None:
    """Raise :class:`InputError` if tiles smaller than the picture would own nothing."""
    if side == STRIPS:
        if not can_be_striped(network, layers):
            raise InputError(f"tile={STRIPS}: needs a layer deeper than {CUT}")
        return
    least = smallest_tile(network, layers)
    if side < min(least, max(height, width)):
        raise InputError(f"tile={side}: must be at least {least} pixels for these layers, or null")


def tiles(
    network: Network, layers: Sequence[str], height: int, width: int, side: int
) -> list[Tile]:
    """Cut a picture into tiles of at most ``side`` x ``side`` pixels, those of a kind together.

    Raises:
        InputError: see :func:`check`.

    """
    check(network, layers, height, width, side)
    how = (margin(network, layers), network.architecture.stride(layers))
    sides = spans(height, side, *how), spans(width, side, *how)
    return sorted(itertools.starmap(Tile, itertools.product(*sides)), key=lambda tile: tile.kind)


def strips(
    network: Network, layers: Sequence[str], height: int, width: int, rows: int
) -> list[Tile]:
    """Cut a picture into tiles as wide as it is and at most ``rows`` high, like :func:`tiles`."""
    how = (margin(network, layers), network.architecture.stride(layers))
    (across,) = spans(width, width, *how)
    found = (Tile(down, across) for down in spans(height, rows, *how))
    return sorted(found, key=lambda tile: tile.kind)
