"""The objective: the weighted sum of loss terms at an image, and its gradient."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import mxnet as mx
import numpy as np

from nstrep.base import process_memory
from nstrep.base.errors import InputError
from nstrep.config.checks import layer_weights
from nstrep.config.schema import LossesConfig, ObjectiveConfig
from nstrep.losses.regions import Region
from nstrep.losses.term import Edges, LossTerm, Symbols, kinds
from nstrep.losses.tiling import Scene, Tile, TileGraph, assign, key, of_term, release, tiles
from nstrep.networks.features import Network

# In tiles, content targets of at most so many numbers a pixel are kept; larger ones are recomputed.
KEPT_FLOATS = 16
BRANCHES = ("content_loss", "style_loss", "tv_loss")  # every experiment has columns for them


def term_settings(config: ObjectiveConfig) -> dict[str, Any]:
    """The weights of the terms by their kind; the overall weights are already in."""
    weights = {f"{branch}_loss": layer_weights(config, branch) for branch in ("content", "style")}
    return weights | {"tv_loss": config.tv_weight}


@dataclass(frozen=True)
class Evaluation:
    """The objective at one image.

    ``losses`` holds every weighted term by its name, ``style_loss.relu3_1`` (with several regions
    ``style_loss.relu3_1.region1``), the sums of the branches, ``style_loss``, and ``total``.
    ``gradient``, (1, 3, H, W) on the objective's device, may be overwritten by the next evaluation.
    """

    losses: dict[str, float]
    gradient: mx.nd.NDArray

    @property
    def total(self) -> float:
        """The value to minimise."""
        return self.losses["total"]


class Objective:
    """Weighted losses of an image and their gradient; whole, or in tiles to need less memory.

    In tiles a first pass adds up the statistics of the terms. MXNet differentiates the values with
    respect to these sums, and a second pass sends the derivatives back through the statistics and
    the network, tile after tile. The whole image is a single tile.
    """

    def __init__(
        self, network: Network, content: np.ndarray, regions: Sequence[Region],
        settings: Mapping[str, Any], forms: LossesConfig, tile: int | None = None,
    ) -> None:  # fmt: skip
        """Compute the targets and bind the graphs.

        ``content`` is the ``vgg_input`` of the content image, (1, 3, H, W), and the shape of the
        result; ``settings`` what the terms of each kind are made from (:func:`term_settings` and
        :func:`.extra_settings`); ``tile`` the most pixels on a side of a tile, with its margins, or
        None for the whole image. Raises InputError if the tiles are too small for the layers, or if
        a term is no sum over positions.
        """
        self.network, self.shape, self.tile = network, content.shape, tile
        self._scene = scene = Scene(network, content, regions, forms, tile)
        self.terms = self.terms_for(regions, settings)
        whole = [term.name for term in self.terms if not term.sums_over_positions]
        if tile is not None and whole:
            raise InputError(f"tile={tile}: must be null, {whole[0]} is no sum over positions")
        self._tiles, self._slot = tiles(network, self.terms, content, tile), {}
        self._grown = False
        self._graph = TileGraph(network, self.terms, self._slot, gradient=True)
        self._targets = Targets(scene, self.terms, self._tiles, self._slot)
        self._zeros = self._graph.zeros(self._tiles[0])
        suffixes = tuple(key("", term) for term in self.terms if term.linear)
        self._linear = [name for name in self._zeros if name.endswith(suffixes)]
        self._values = Values(network, self.terms, self._zeros)

    def terms_for(self, regions: Sequence[Region], settings: Mapping[str, Any]) -> list[LossTerm]:
        """The terms for style images and weights, such as others for :meth:`imitate`."""
        scene = replace(self._scene, regions=regions)
        made = (kinds()[kind].create(scene, given) for kind, given in settings.items())
        return list(itertools.chain(*made))

    def imitate(self, terms: Sequence[LossTerm]) -> None:
        """Take the targets and weights of :meth:`terms_for` other style images of the same kinds.

        Not in tiles. :meth:`aim` has to follow, because weights depend on the content image too.
        """
        (tile,) = self._tiles
        for term, other in zip(self.terms, terms, strict=True):
            vars(term).update(vars(other))
            constants = {key(name, term): array for name, array in term.constants.items()}
            self._values.set(constants)
            self._graph.set(tile, constants)

    def aim(self, content: np.ndarray) -> None:
        """Compare with another content image of the same shape from now on; not in tiles."""
        self._targets.aim(self._tiles[0], content)

    def __call__(self, image: mx.nd.NDArray | np.ndarray) -> Evaluation:
        """Evaluate at an image of the content's shape, in ``vgg_input`` units."""
        evaluate = self._whole if len(self._tiles) == 1 else self._in_tiles
        values, gradient = evaluate(image)
        sums, losses = dict.fromkeys(BRANCHES, 0.0), {}
        for term, value in zip(self.terms, values):
            loss = float(np.sum(term.coefficient * value.asnumpy().astype(np.float64)))
            branch = term.name.split(".")[0]
            sums[branch] = sums.get(branch, 0.0) + loss
            losses[term.name] = loss
        # Columns in this order; the total variation is its own branch.
        return Evaluation({"total": sum(sums.values()), **sums, **losses}, gradient)

    def _whole(self, image: mx.nd.NDArray | np.ndarray) -> tuple[list, mx.nd.NDArray]:
        (tile,) = self._tiles
        values, slopes = self._values(self._graph.forward(tile, image, self._targets[tile]))
        return values, self._graph.backward(tile, slopes)

    def _in_tiles(self, image: mx.nd.NDArray | np.ndarray) -> tuple[list, mx.nd.NDArray]:
        if isinstance(image, mx.nd.NDArray):
            image = image.asnumpy()
        gradient = np.zeros(self.shape, dtype=np.float32)
        # For the graphs, one after the other; but MXNet's own work space grows in the first
        # evaluation, and each of its sizes would leave a gap.
        with process_memory.blocks_kept() if self._grown else contextlib.nullcontext():
            values = self._add_tiles(image, gradient)
        self._grown = True
        release(self._slot)  # the optimiser's arrays take its place
        process_memory.give_memory_back()
        return values, mx.nd.array(gradient, ctx=self.network.context)

    def _add_tiles(self, image: np.ndarray, gradient: np.ndarray) -> list[mx.nd.NDArray]:
        """Add the gradient of each tile to that of the image, and return the values."""
        sums = self._zeros
        if len(self._linear) < len(sums):
            needed = any(term.needs_target and not term.linear for term in self.terms)
            sums = self._graph.sums(image, self._tiles, self._targets if needed else None)
        _, slopes = self._values(sums)
        sums = sums | {name: np.zeros_like(sums[name]) for name in self._linear}
        # Backwards, because the graph of the last tile is bound.
        for tile in reversed(self._tiles):
            parts = self._graph.forward(tile, image, self._targets[tile])
            tile.cut(gradient)[:] += self._graph.backward(tile, slopes).asnumpy()
            for name in self._linear:
                sums[name] += parts[name].asnumpy()
        values, _ = self._values(sums)
        return values


class Values:
    """The values of terms as functions of their statistics, with MXNet's derivatives."""

    def __init__(
        self, network: Network, terms: Sequence[LossTerm], sums: dict[str, np.ndarray]
    ) -> None:
        """Bind the graph; ``sums`` has the names and shapes of the statistics."""
        self._terms, self._context = terms, network.context
        values, arrays = [], dict(sums)
        for term in terms:
            statistics = {name: mx.sym.Variable(key(name, term)) for name in of_term(term, sums)}
            inputs = {name: mx.sym.Variable(key(name, term)) for name in term.constants}
            arrays |= {key(name, term): array for name, array in term.constants.items()}
            values.append(term.value(statistics, inputs))
        group = mx.sym.Group(values)
        self._arguments = {
            name: mx.nd.array(arrays[name], ctx=self._context) for name in group.list_arguments()
        }
        self._slopes = {name: mx.nd.zeros_like(self._arguments[name]) for name in sums}
        self._executor = network.bind(group, self._arguments, self._slopes)

    def set(self, constants: Mapping[str, np.ndarray]) -> None:
        """Replace constants of the terms, by :func:`nstrep.losses.tiling.key`."""
        assign(self._arguments, constants)

    def __call__(
        self, sums: Mapping[str, mx.nd.NDArray | np.ndarray]
    ) -> tuple[list[mx.nd.NDArray], dict[str, mx.nd.NDArray]]:
        """The unweighted values, and the gradient of the objective to each statistic."""
        assign(self._arguments, sums)
        values = self._executor.forward(is_train=True)
        coefficients = (np.atleast_1d(term.coefficient) for term in self._terms)
        self._executor.backward([mx.nd.array(each, ctx=self._context) for each in coefficients])
        return values, self._slopes


class Targets:
    """The content image's features at the own positions of each tile."""

    def __init__(
        self, scene: Scene, terms: Sequence[LossTerm], tiles: Sequence[Tile], slot: dict
    ) -> None:
        """Compute the features, keep them if they are small, and tell the terms their energy."""
        self._terms = [term for term in terms if term.needs_target]
        self._content, self._kept = scene.content, {}
        network, strides = scene.network, scene.network.architecture.layers
        layers = [term.layer for term in self._terms]
        probes = [Features(term.name, term.layer) for term in self._terms]
        # Beside the objective's graph for a whole image, in its place for tiles.
        self._graph = TileGraph(network, probes, {} if scene.tile is None else slot)
        if scene.tile is None:
            features = network.features(scene.content, layers)
            self._kept[tiles[0]] = {key("target", t): features[t.layer] for t in self._terms}
        floats = sum(network.channels(layer) / strides[layer] ** 2 for layer in layers)
        self._keep(tiles, scene.tile is None or floats <= KEPT_FLOATS)

    def aim(self, tile: Tile, content: np.ndarray) -> None:
        """Take the features of another image, of which the tile is the whole."""
        self._content, self._kept = content, {}
        self._keep([tile])

    def _keep(self, tiles: Sequence[Tile], small: bool = True) -> None:
        energies = np.zeros(len(self._terms))
        for tile in tiles:
            features = self[tile]
            energies += [np.sum(np.square(each, dtype=np.float64)) for each in features.values()]
            if small:
                self._kept[tile] = features
        for term, sum_of_squares in zip(self._terms, energies):
            term.set_target_energy(float(sum_of_squares) or 1.0)

    def __getitem__(self, tile: Tile) -> dict[str, np.ndarray]:
        """The features by :func:`nstrep.losses.tiling.key`."""
        if tile in self._kept or not self._terms:
            return self._kept.get(tile, {})
        parts = self._graph.forward(tile, self._content)
        return {key("target", term): parts[key("target", term)].asnumpy() for term in self._terms}


class Features(LossTerm):
    """The features themselves."""

    def statistics(self, features: mx.sym.Symbol, inputs: Symbols, edges: Edges) -> Symbols:
        """Under the name by which terms take their target."""
        return {"target": features}
