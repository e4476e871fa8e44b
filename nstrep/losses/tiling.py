"""What loss terms are made from, and their statistics and gradient, computed tile by tile.

A tile is computed with a margin as wide as the receptive field of the features, counts only the
positions that it owns, and ends where the image ends or at a multiple of the deepest stride, so
that its poolings are those of the whole image. Every position is owned by one tile.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import mxnet as mx
import numpy as np

from nstrep.base.errors import InputError
from nstrep.config.schema import LossesConfig
from nstrep.losses.regions import Region
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
    return 2 * network.margin(layers) + network.architecture.stride(layers)


def lengths(
    network: Network, layers: Sequence[str], height: int, width: int, side: int
) -> tuple[list[int], list[int]]:
    """Pixels along the sides of the tiles, margins included: of the rows, and of the columns."""
    how = (side, network.margin(layers), network.architecture.stride(layers))
    rows, columns = (
        [span.stop - span.start for span in spans(length, *how)] for length in (height, width)
    )
    return rows, columns


def cost(network: Network, layers: Sequence[str], height: int, width: int, side: int) -> float:
    """How much longer tiles of ``side`` take than the whole: their area over the image's."""
    rows, columns = lengths(network, layers, height, width, side)
    return sum(rows) * sum(columns) / (height * width)


def most_pixels(network: Network, layers: Sequence[str], height: int, width: int, side: int) -> int:
    """Pixels of the largest of the tiles, which is smaller than ``side`` x ``side`` at times."""
    return math.prod(map(max, lengths(network, layers, height, width, side)))


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
    how = (side, network.margin(layers), network.architecture.stride(layers))
    sides = spans(height, *how), spans(width, *how)
    return sorted(itertools.starmap(Tile, itertools.product(*sides)), key=lambda tile: tile.kind)


def key(name: str, term: LossTerm) -> str:
    """The name of a term's statistic or input among those of all terms."""
    return f"{name} {term.name}"


def assign(arguments: Mapping[str, mx.nd.NDArray], values: Mapping[str, Any]) -> None:
    """Set those arguments of a graph for which there are values."""
    for name in arguments.keys() & values.keys():
        arguments[name][:] = values[name]


def release(slot: dict) -> None:
    """Drop the bound graph, and wait until MXNet has freed it: the next would grow beside it."""
    slot.clear()
    mx.nd.waitall()


class TileGraph:
    """The network and the statistics of terms over a tile, bound for one kind of tile at a time.

    MXNet can bind several graphs to shared memory, but oneDNN does not keep to it.
    """

    def __init__(
        self, network: Network, terms: Sequence[LossTerm], slot: dict, *, gradient: bool = False
    ) -> None:
        """``slot`` holds the one bound graph of all that share it; ``gradient`` for backward."""
        self._network, self._slot, self._gradient = network, slot, gradient
        self._terms = order(terms, list(network.architecture.layers))
        strides = {**network.architecture.layers, None: 1}
        self._strides = {term: strides[term.layer] for term in terms}

    def forward(
        self, tile: Tile, image: np.ndarray, targets: Mapping[str, np.ndarray] | None = None
    ) -> dict[str, mx.nd.NDArray]:
        """The statistics over a tile's own positions, by :func:`key`.

        ``image`` is the whole one, ``vgg_input``; ``targets`` are the content image's features at
        these positions, by :func:`key`, for the terms that need a target.
        """
        executor, outputs, arguments, _ = self._bind(tile)
        arrays = {"image": tile.cut(image), **(targets or {})}
        for term in self._terms:
            for name, array in term.maps.items():
                arrays[key(name, term)] = tile.own(array, self._strides[term])
        assign(arguments, arrays)
        return dict(zip(outputs, executor.forward(is_train=self._gradient)))

    def set(self, tile: Tile, constants: Mapping[str, np.ndarray]) -> None:
        """Replace constants that the statistics use, by :func:`key`."""
        _, _, arguments, _ = self._bind(tile)
        assign(arguments, constants)

    def backward(self, tile: Tile, slopes: Mapping[str, mx.nd.NDArray]) -> mx.nd.NDArray:
        """The gradient to what the tile of the last :meth:`forward` sees; a view.

        ``slopes`` holds the gradient to each of the statistics.
        """
        executor, outputs, _, gradient = self._bind(tile)
        executor.backward([slopes[name] for name in outputs])
        return gradient

    def zeros(self, tile: Tile) -> dict[str, np.ndarray]:
        """Arrays of the statistics' shapes that take no memory; read-only."""
        executor, outputs, *_ = self._bind(tile)
        shapes = (each.shape for each in executor.outputs)
        return {name: np.broadcast_to(0.0, shape) for name, shape in zip(outputs, shapes)}

    def sums(
        self, image: np.ndarray, tiles: Sequence[Tile], targets: Mapping[Tile, dict] | None = None
    ) -> dict[str, np.ndarray]:
        """The statistics of the whole image in float64, from all of its tiles.

        ``targets`` are by tile, for terms that need them.
        """
        sums = self.zeros(tiles[0])
        for number, tile in enumerate(tiles):
            if number and not self._gradient:
                # Without a backward pass oneDNN keeps the second factor of the first x x^T.
                release(self._slot)
            for name, part in self.forward(tile, image, targets[tile] if targets else {}).items():
                sums[name] = sums[name] + part.asnumpy()
        return sums

    def _bind(self, tile: Tile) -> tuple:
        """An executor, the names of its outputs, its arguments, and the gradient to the image."""
        bound = id(self), tile.kind  # a reference to self would keep the graph until a collection
        if bound in self._slot:
            return self._slot[bound]
        release(self._slot)
        network, image = self._network, mx.sym.Variable("image")
        layers = {term.layer for term in self._terms} - {None}
        tapped = network.taps(image, layers) | {None: image}
        lengths = (tile.rows.length, tile.columns.length)
        arrays = {"image": tile.cut(np.zeros((1, 3, *lengths)))}
        outputs, own = {}, {}
        for term in self._terms:
            stride, at = self._strides[term], (term.layer, term.overlap)
            if at not in own:
                own[at] = tile.own_features(tapped[term.layer], stride, term.overlap)
            given = term.constants | {name: tile.own(a, stride) for name, a in term.maps.items()}
            if term.needs_target:
                positions = (network.channels(term.layer), *(side // stride for side in lengths))
                given["target"] = tile.own(np.zeros((1, *positions)), stride)
            inputs = {name: mx.sym.Variable(key(name, term)) for name in given}
            arrays |= {key(name, term): array for name, array in given.items()}
            for name, symbol in term.statistics(own[at], inputs, tile.edges).items():
                outputs[key(name, term)] = symbol
        group, context = mx.sym.Group(list(outputs.values())), network.context
        arguments = {
            name: mx.nd.array(arrays[name], ctx=context)
            for name in group.list_arguments()
            if name in arrays
        }
        gradients = {}
        if self._gradient:
            gradients["image"] = mx.nd.zeros(arrays["image"].shape, ctx=context)
        executor = network.bind(group, arguments, gradients)
        self._slot[bound] = executor, list(outputs), arguments, gradients.get("image")
        return self._slot[bound]


def order(terms: Sequence[LossTerm], layers: Sequence[str]) -> list[LossTerm]:
    """The terms in the order in which their statistics are best computed.

    The deepest last: the gradient of each is then computed when the backward pass comes to its
    layer, not kept from the beginning. There is one exception: a Gram product changes the layout
    of its features, and MXNet's pooling is ten times slower on that. So the terms of a layer that
    is pooled come after those of the next deeper layer, which compute the pooling first.
    """
    depths = {layer: depth for depth, layer in enumerate(layers)} | {None: -1}
    ordered: list[LossTerm] = []
    for depth in sorted({depths[term.layer] for term in terms}, reverse=True):
        waits = bool(ordered) and layers[depth + 1].startswith("pool")
        at = 1 if waits else 0
        ordered[at:at] = [term for term in terms if depths[term.layer] == depth]
    return ordered


@dataclass(frozen=True, eq=False)
class Scene:
    """The network, the images and the formulas of an objective."""

    network: Network
    content: np.ndarray  # vgg_input of the content image, (1, 3, H, W): the shape of the result
    regions: Sequence[Region]  # what the style loss compares where
    forms: LossesConfig  # the recipe's formulas
    tile: int | None = None  # side in pixels, margins included; None for the whole image at once

    @property
    def style_image(self) -> np.ndarray:
        """``vgg_input`` of the first style image, (1, 3, H, W)."""
        return self.regions[0].sources[0].image

    def sizes(self, layer: str) -> tuple[int, int, int]:
        """Channels and positions of a layer over the result, and the result's pixels."""
        network, size = self.network, self.content.shape[2:]
        return network.channels(layer), network.positions(layer, *size), size[0] * size[1]

    def sums(self, image: np.ndarray, terms: Sequence[LossTerm]) -> list[dict[str, np.ndarray]]:
        """The statistics of each of the terms by name, at an image of any size (1, 3, H, W)."""
        parts = tiles(self.network, terms, image, self.tile)
        sums = TileGraph(self.network, terms, {}).sums(image, parts)
        return [of_term(term, sums) for term in terms]


def of_term(term: LossTerm, sums: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A term's statistics by their own names."""
    end = key("", term)
    return {name.removesuffix(end): array for name, array in sums.items() if name.endswith(end)}
