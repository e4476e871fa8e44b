"""What loss terms are made from, and their statistics and gradient, computed tile by tile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import mxnet as mx
import numpy as np

from nstrep.config.schema import LossesConfig
from nstrep.losses.regions import Region
from nstrep.losses.term import LossTerm
from nstrep.losses.tiling import Tile, tiles
from nstrep.networks.features import Network


def key(name: str, term: LossTerm) -> str:
    """The name of a term's statistic or input among those of all terms."""
    return f"{name} {term.name}"


class TileGraph:
    """The network and the statistics of terms over a tile, bound for one kind of tile at a time.

    MXNet can bind several graphs to shared memory, but oneDNN does not keep to it.
    """

    def __init__(
        self, network: Network, terms: Sequence[LossTerm], slot: dict, *, gradient: bool = False
    ) -> None:
        """Bind nothing yet.

        ``slot`` holds the one bound graph and may be shared with other graphs; ``gradient`` tells
        whether :meth:`backward` is used.
        """
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
        for name in arrays.keys() & arguments.keys():
            arguments[name][:] = arrays[name]
        return dict(zip(outputs, executor.forward(is_train=self._gradient)))

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

    def sums(self, image: np.ndarray, tiles: Sequence[Tile]) -> dict[str, np.ndarray]:
        """The statistics of the whole image in float64, from all of its tiles."""
        sums = self.zeros(tiles[0])
        for number, tile in enumerate(tiles):
            if number and not self._gradient:
                # Without a backward pass oneDNN keeps the second factor of the first x x^T.
                self._slot.clear()
            for name, part in self.forward(tile, image).items():
                sums[name] = sums[name] + part.asnumpy()
        return sums

    def _bind(self, tile: Tile) -> tuple:
        """An executor, the names of its outputs, its arguments, and the gradient to the image."""
        bound = id(self), tile.kind  # a reference to self would keep the graph until a collection
        if bound in self._slot:
            return self._slot[bound]
        self._slot.clear()
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
    layer, not kept from the beginning. But the Gram product of a layer lays its features out as
    MXNet's pooling is ten times slower on; so it waits for a deeper one, which needs the pooling.
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
