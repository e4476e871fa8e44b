"""How an image is cut into tiles that are computed one at a time.

A tile is computed with a margin as wide as the receptive field of the features, counts only the
positions that it owns, and ends where the image ends or at a multiple of the deepest stride, so
that its poolings are those of the whole image. Every position is owned by one tile.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import mxnet as mx
import numpy as np

from nstrep.base.errors import InputError
from nstrep.losses.term import Edges, LossTerm
from nstrep.networks.features import Network


@dataclass(frozen=True)
class Span:
    """A tile along one side of the image, in pixels."""

    start: int
    stop: int
    own_start: int  # from here to own_stop its positions count; the rest is margin
    own_stop: int
    length: int  # of the image's side

    @property
    def kind(self) -> tuple[int, int, int, bool]:
        """What the graph of the tile depends on."""
        inside = (self.own_start - self.start, self.own_stop - self.start)
        return self.stop - self.start, *inside, self.own_stop == self.length

    def owned(self, stride: int, overlap: int = 0) -> slice:
        """Its own positions at a layer, and ``overlap`` of the next tile, if there is one."""
        more = 0 if self.own_stop == self.length else overlap
        return slice(self.own_start // stride, self.own_stop // stride + more)


def spans(length: int, tile: int, margin: int, stride: int) -> list[Span]:
    """Cut a side into tiles of at most ``tile`` pixels, margins included, about equally long.

    All in pixels; ``tile`` is at least ``2 * margin + stride``, and ``margin``, what is computed
    beyond what is owned, a multiple of the deepest layer's ``stride``.
    """
    if length <= tile:
        return [Span(0, length, 0, length, length)]
    inner = length - 2 * margin
    count = -(-inner // ((tile - 2 * margin) // stride * stride))
    step = -(-inner // (count * stride)) * stride
    result = []
    for start in range(0, inner, step):
        stop = min(start + step + 2 * margin, length)
        own_stop = length if stop == length else stop - margin
        result.append(Span(start, stop, start + margin if start else 0, own_stop, length))
    return result


@dataclass(frozen=True)
class Tile:
    """A rectangle of the image."""

    rows: Span
    columns: Span

    @property
    def kind(self) -> tuple:
        """Tiles of one kind have one graph."""
        return self.rows.kind, self.columns.kind

    @property
    def edges(self) -> Edges:
        """Which sides of the tile's own positions are borders of the image."""
        sides = ((s.own_start == 0, s.own_stop == s.length) for s in (self.rows, self.columns))
        return Edges(*itertools.chain(*sides))

    def cut(self, image: np.ndarray) -> np.ndarray:
        """What the tile sees of an image (..., H, W): a view."""
        rows, columns = self.rows, self.columns
        return image[..., rows.start : rows.stop, columns.start : columns.stop]

    def own(self, positions: np.ndarray, stride: int) -> np.ndarray:
        """Its own positions of an array (..., H', W') over a layer of the whole image: a view."""
        return positions[..., self.rows.owned(stride), self.columns.owned(stride)]

    def own_features(self, features: mx.sym.Symbol, stride: int, overlap: int) -> mx.sym.Symbol:
        """The own positions of the tile's features; see :meth:`Span.owned` for ``overlap``."""
        begin, end = [None, None], [None, None]
        for span in (self.rows, self.columns):
            owned, first = span.owned(stride, overlap), span.start // stride
            begin.append(owned.start - first)
            end.append(None if span.own_stop == span.length else owned.stop - first)
        whole = begin[2:] == [0, 0] and end[2:] == [None, None]
        return features if whole else mx.sym.slice(features, begin=begin, end=end)


def smallest_tile(network: Network, layers: Sequence[str]) -> int:
    """The smallest tile that owns something, in pixels."""
    return 2 * network.architecture.margin(layers) + network.architecture.stride(layers)


def check(network: Network, layers: Sequence[str], height: int, width: int, side: int) -> None:
    """Raise :class:`InputError` if tiles smaller than the image would own nothing."""
    least = smallest_tile(network, layers)
    if side < min(least, max(height, width)):
        raise InputError(f"tile={side}: must be at least {least} pixels for these layers, or null")


def tiles(
    network: Network, terms: Sequence[LossTerm], image: np.ndarray, side: int | None
) -> list[Tile]:
    """Cut an image into tiles of at most ``side`` x ``side`` pixels, those of a kind together.

    Without ``side`` the whole image is the only tile. Raises what :func:`check` does.
    """
    layers, (height, width) = [term.layer for term in terms if term.layer], image.shape[2:]
    side = side or max(height, width)
    check(network, layers, height, width, side)
    how = (side, network.architecture.margin(layers), network.architecture.stride(layers))
    sides = spans(height, *how), spans(width, *how)
    return sorted(itertools.starmap(Tile, itertools.product(*sides)), key=lambda tile: tile.kind)
