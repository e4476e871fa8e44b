"""The statistics of loss terms over an image, computed tile by tile, and their gradient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import mxnet as mx
import numpy as np

from nstrep.losses.term import LossTerm
from nstrep.losses.tiling import Tile
from nstrep.networks.features import Network


def key(name: str, term: LossTerm) -> str:
    """The name of a term's statistic or input among those of all terms."""
    return f"{name} {term.name}"


@dataclass
class Bound:
    """A graph bound for one kind of tile, and the tile and targets that its arguments hold."""

    executor: mx.executor.Executor
    arguments: dict[str, mx.nd.NDArray]
    outputs: list[str]
    gradient: mx.nd.NDArray | None
    tile: Tile | None = None
    targets: Mapping[str, np.ndarray] | None = None

    def set(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Fill in arguments, but for those that the graph does not use."""
        for name, array in arrays.items():
            if name in self.arguments:
                self.arguments[name][:] = array


class TileGraph:
    """The network and the statistics of terms over a tile, bound for one kind of tile at a time.

    MXNet can bind several graphs to shared memory, but oneDNN does not keep to it.
    """

    def __init__(
        self,
        network: Network,
        terms: Sequence[LossTerm],
        slot: dict | None = None,
        *,
        gradient: bool = False,
    ) -> None:
        """Bind nothing yet.

        Args:
            network: features.
            terms: whose statistics.
            slot: holds the one bound graph; may be shared with other graphs.
            gradient: whether :meth:`backward` is used.

        """
        self._network = network
        self._terms = [terms[place] for place in order(terms, list(network.architecture.layers))]
        self._slot = {} if slot is None else slot
        self._gradient = gradient

    def forward(
        self, tile: Tile, image: np.ndarray, targets: Mapping[str, np.ndarray] | None = None
    ) -> dict[str, mx.nd.NDArray]:
        """The statistics over a tile's own positions, by :func:`key`.

        Args:
            tile: which.
            image: the whole image, ``vgg_input``, (1, 3, H, W).
            targets: the content image's features at these positions, by :func:`key`; without them
                the statistics of terms that need a target mean nothing.

        """
        bound = self._bind(tile)
        if bound.tile != tile:
            for term in self._terms:
                stride = self._stride(term)
                bound.set({key(name, term): tile.own(a, stride) for name, a in term.maps.items()})
            bound.tile = tile
        if targets is not None and targets is not bound.targets:
            bound.set(targets)
            bound.targets = targets
        bound.arguments["image"][:] = tile.cut(image)
        return dict(zip(bound.outputs, bound.executor.forward(is_train=self._gradient)))

    def backward(self, tile: Tile, heads: Mapping[str, mx.nd.NDArray]) -> mx.nd.NDArray:
        """The gradient to what the tile of the last :meth:`forward` sees; a view.

        Args:
            tile: the same.
            heads: the gradient to each of the statistics.

        """
        bound = self._bind(tile)
        bound.executor.backward([heads[name] for name in bound.outputs])
        return bound.gradient

    def zeros(self, tile: Tile) -> dict[str, np.ndarray]:
        """Float64 arrays of the statistics' shapes, to add up the tiles in."""
        bound = self._bind(tile)
        return dict(zip(bound.outputs, (np.zeros(each.shape) for each in bound.executor.outputs)))

    def sums(self, image: np.ndarray, tiles: Sequence[Tile]) -> dict[str, np.ndarray]:
        """The statistics of the whole image, from all of its tiles."""
        sums = self.zeros(tiles[0])
        for tile in tiles:
            if not self._gradient:
                # Without a backward pass oneDNN keeps the second factor of the first x x^T.
                self._slot.clear()
            for name, part in self.forward(tile, image).items():
                sums[name] += part.asnumpy()
        return sums

    def _stride(self, term: LossTerm) -> int:
        return 1 if term.layer is None else self._network.architecture.layers[term.layer]

    def _bind(self, tile: Tile) -> Bound:
        if (self, tile.kind) not in self._slot:
            self._slot.clear()
            self._slot[self, tile.kind] = self._bound(tile)
        return self._slot[self, tile.kind]

    def _bound(self, tile: Tile) -> Bound:
        network, image = self._network, mx.sym.Variable("image")
        shape = (1, 3, *(span.stop - span.start for span in (tile.rows, tile.columns)))
        arrays = {"image": np.zeros(shape)}
        tapped = network.taps(image, {term.layer for term in self._terms} - {None}) | {None: image}
        own, outputs = {}, {}
        for term in self._terms:
            at, stride = (term.layer, term.overlap), self._stride(term)
            if at not in own:
                own[at] = tile.own_features(tapped[term.layer], stride, term.overlap)
            given = term.constants | {name: tile.own(a, stride) for name, a in term.maps.items()}
            if term.needs_target:
                sides = (span.owned(stride) for span in (tile.rows, tile.columns))
                positions = (side.stop - side.start for side in sides)
                given["target"] = np.zeros((1, network.channels(term.layer), *positions))
            inputs = {name: mx.sym.Variable(key(name, term)) for name in given}
            arrays |= {key(name, term): array for name, array in given.items()}
            for name, symbol in term.statistics(own[at], inputs, tile.edges).items():
                outputs[key(name, term)] = symbol
        group = mx.sym.Group(list(outputs.values()))
        used = {"image", *group.list_arguments()}
        arguments = {
            name: mx.nd.array(array, ctx=network.context)
            for name, array in arrays.items()
            if name in used
        }
        gradient = mx.nd.zeros(shape, ctx=network.context) if self._gradient else None
        executor = network.bind(group, arguments, gradient)
        return Bound(executor, arguments, list(outputs), gradient)


def order(terms: Sequence[LossTerm], layers: Sequence[str]) -> list[int]:
    """The places of the terms in the order in which their statistics are best computed.

    The deepest last: the gradient of each is then computed when the backward pass comes to its
    layer, not kept from the beginning. But the Gram product of a layer lays its features out as
    MXNet's pooling is ten times slower on; so it waits for a deeper one, which needs the pooling.
    """
    depths = {layer: depth for depth, layer in enumerate(layers)} | {None: -1}
    of = [depths[term.layer] for term in terms]
    places: list[int] = []
    for depth in sorted(set(of), reverse=True):
        waits = bool(places) and layers[depth + 1].startswith("pool")
        at = 1 if waits else 0
        places[at:at] = [place for place, other in enumerate(of) if other == depth]
    return places
