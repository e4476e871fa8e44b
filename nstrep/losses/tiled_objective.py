"""The objective piece by piece: the same losses and gradient in less memory.

A Gram matrix is a sum over positions, so a first pass over the tiles adds up its parts. From then
on the gradient of every loss to the features is known position by position: that of the style loss
is linear in them. A second pass sends it back through the network, tile after tile.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import mxnet as mx
import numpy as np

from nstrep.config.schema import LossesConfig
from nstrep.losses import terms
from nstrep.losses.objective import (
    Evaluation,
    LayerWeights,
    Objective,
    StyleTerm,
    content_coefficient,
    energy,
    loss_names,
    style_terms,
    tv_coefficients,
    with_sums,
)
from nstrep.losses.regions import Region
from nstrep.losses.tiling import CUT, ROWS, STRIPS, Tile, strips, tiles
from nstrep.networks.features import Network
from nstrep.networks.gram import moments

KEPT_FLOATS = 16
"""Content targets of at most so many numbers a pixel are kept; others are computed every time."""


class Slot(dict):
    """Graphs that are bound now. MXNet can bind graphs to shared memory, but oneDNN escapes it."""

    def __init__(self, room: int) -> None:
        """At most ``room`` of them at once; when there is another, all go first."""
        super().__init__()
        self._room = room

    def make_room(self) -> None:
        """For one more."""
        if len(self) >= self._room:
            self.clear()


class Bound:
    """A graph over tiles, bound for each kind of them that comes."""

    def __init__(
        self,
        network: Network,
        build: Callable[..., list[mx.sym.Symbol]],
        slot: Slot,
        heads: Sequence[float] | None = None,
    ) -> None:
        """Bind nothing yet.

        Args:
            network: whose weights.
            build: from what names the kind of a tile to its symbols, over ``image`` and others.
            slot: holds the bound graphs.
            heads: the gradient to each of the symbols, scalars; None for a forward pass alone.

        """
        self._network, self._build, self._slot = network, build, slot
        self._heads = None
        if heads is not None:
            self._heads = [mx.nd.array([head], ctx=network.context) for head in heads]

    def __call__(
        self, kind: tuple, *what: object, head: mx.nd.NDArray | None = None, **arrays: np.ndarray
    ) -> tuple[list[np.ndarray], np.ndarray | None]:
        """Compute the graph of a kind.

        Args:
            kind: of what it is built for.
            what: goes to ``build`` when the kind is new.
            head: the gradient to one more symbol, the last; any shape.
            arrays: ``image`` and the other arguments.

        Returns:
            The outputs but for that last symbol, and the gradient to ``image`` if there are heads.

        """
        if (self, kind) not in self._slot:
            self._slot.make_room()
            self._slot[self, kind] = self._bind(self._build(*what), arrays)
        executor, arguments, gradient = self._slot[self, kind]
        for name, array in arrays.items():
            if name in arguments:
                arguments[name][:] = array
        outputs = executor.forward(is_train=self._heads is not None)
        if self._heads is not None:
            executor.backward(self._heads if head is None else [*self._heads, head])
            outputs = outputs[: len(self._heads)]
        found = [output.asnumpy() for output in outputs]
        return found, None if gradient is None else gradient.asnumpy()

    def _bind(self, symbols: list[mx.sym.Symbol], arrays: Mapping[str, np.ndarray]) -> tuple:
        group, context = mx.sym.Group(symbols), self._network.context
        used = set(group.list_arguments())
        arguments = {
            name: mx.nd.array(array, ctx=context) for name, array in arrays.items() if name in used
        }
        gradient = None
        if self._heads is not None:
            gradient = mx.nd.zeros(arrays["image"].shape, ctx=context)
        return self._network.bind(group, arguments, gradient), arguments, gradient


@dataclass
class Moments:
    """Weighted mean and scatter of a layer's features; the parts of a picture are added up.

    Sums of products around each part's own mean lose no digits to a common offset; the formula is
    that of Chan, Golub, LeVeque 1979, Updating Formulae and a Pairwise Algorithm for Computing
    Sample Variances, eq. 2.1 for matrices.
    """

    weight: float = 0.0
    mean: np.ndarray = field(default_factory=lambda: np.zeros(()))
    """(N, 1)."""
    scatter: np.ndarray = field(default_factory=lambda: np.zeros(()))
    """Sum of (f - mean) (f - mean)^T, (N, N)."""

    def add(self, weight: float, mean: np.ndarray, scatter: np.ndarray) -> None:
        """Add the positions of another part."""
        if weight == 0:
            return
        total = self.weight + weight
        step = mean.astype(np.float64) - self.mean
        self.scatter = self.scatter + scatter + step @ step.T * (self.weight * weight / total)
        self.mean = self.mean + step * (weight / total)
        self.weight = total

    def gram(self, mean_share: float) -> np.ndarray:
        """The Gram matrix per position, (N, N) float64; see :func:`nstrep.networks.gram.gram`."""
        return self.scatter / self.weight + mean_share * (self.mean @ self.mean.T)


class Statistics:
    """Moments of layers over a picture, under one mask or several."""

    def __init__(
        self,
        network: Network,
        layers: Sequence[str],
        masks: Sequence[np.ndarray | None],
        parts: Sequence[Tile],
        slot: Slot,
        cut: str | None = None,
    ) -> None:
        """Compute nothing yet.

        Args:
            network: whose features.
            layers: which have moments.
            masks: how much each pixel counts, each (H, W); None where all count as one.
            parts: the tiles.
            slot: holds the bound graphs.
            cut: a layer whose features are wanted too.

        """
        self._network, self._parts, self._cut = network, parts, cut
        self._wanted = list(itertools.product(layers, enumerate(masks)))
        self._bound = Bound(network, self._build, slot)

    def _build(self, tile: Tile) -> list[mx.sym.Symbol]:
        cut = [] if self._cut is None else [self._cut]
        tapped = own_taps(self._network, tile, [layer for layer, _ in self._wanted] + cut)
        found = [tapped[layer] for layer in cut]
        for layer, (number, mask) in self._wanted:
            found += moments(
                tapped[layer],
                self._network.channels(layer),
                mx.sym.Variable(f"inverse.{layer}.{number}"),
                None if mask is None else mx.sym.Variable(f"root.{layer}.{number}"),
            )
        return found

    def __call__(
        self, picture: np.ndarray, features: mx.nd.NDArray | None = None
    ) -> dict[tuple[str, int], Moments]:
        """By layer and number of the mask, of a ``vgg_input`` picture (1, 3, H, W).

        ``features``, (1, N, H', W'), gets those of the layer ``cut``.
        """
        found = {(layer, number): Moments() for layer, (number, _) in self._wanted}
        for tile in self._parts if found or self._cut else ():
            arrays, counted = {"image": tile.cut(picture)}, []
            for layer, (number, mask) in self._wanted:
                weights = self._weights(tile, layer, mask)
                counted.append(float(weights.sum()))
                inverse = 1 / counted[-1] if counted[-1] else 0.0
                arrays[f"inverse.{layer}.{number}"] = np.full((1, 1), inverse)
                if mask is not None:
                    arrays[f"root.{layer}.{number}"] = np.sqrt(weights).reshape(1, -1)
            outputs, _ = self._bound(tile.kind, tile, **arrays)
            if self._cut is not None:
                features[tile.place(self._network.architecture.layers[self._cut])] = outputs.pop(0)
            for layer_moments, weight, mean, scatter in zip(
                found.values(), counted, outputs[::2], outputs[1::2]
            ):
                layer_moments.add(weight, mean, scatter)
        return found

    def _weights(self, tile: Tile, layer: str, mask: np.ndarray | None) -> np.ndarray:
        stride = self._network.architecture.layers[layer]
        if mask is not None:
            return tile.weights(mask, stride)
        sides = (
            span.own_stop // stride - span.own_start // stride for span in (tile.rows, tile.columns)
        )
        return np.array(float(np.prod(list(sides))))


def own_taps(network: Network, tile: Tile, layers: Sequence[str]) -> dict[str, mx.sym.Symbol]:
    """Symbols of ``layers`` over a tile's ``image``, at the positions that are its own."""
    tapped = network.taps(mx.sym.Variable("image"), layers)
    strides = network.architecture.layers
    return {layer: tile.owned(tapped[layer], strides[layer]) for layer in layers}


def grams(
    network: Network,
    side: int,
    image: np.ndarray,
    layers: Sequence[str],
    mean_share: float,
    mask: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """What :meth:`Network.grams` does, in tiles of at most ``side`` pixels."""
    layers = tuple(layers)

    def compute() -> dict[str, np.ndarray]:
        parts = tiles(network, layers, *image.shape[2:], side)
        found = Statistics(network, layers, [mask], parts, Slot(1))(image)
        return {
            layer: moments.gram(mean_share).astype(np.float32)
            for (layer, _), moments in found.items()
        }

    seen = (image,) if mask is None else (image, mask)
    return network.once(("tiled grams", layers, mean_share, side), seen, compute)


class Passes:
    """The two passes over the tiles of a picture."""

    def __init__(
        self,
        network: Network,
        content: np.ndarray,
        styles: Sequence[StyleTerm],
        masks: Sequence[np.ndarray | None],
        weights: LayerWeights,
        forms: LossesConfig,
        parts: Sequence[Tile],
        *,
        rows: int,
        room: int,
        cut: str | None = None,
    ) -> None:
        """Compute the targets of the content.

        Args:
            network: features.
            content: ``vgg_input`` of the photo, (1, 3, H, W).
            styles: the style losses, region by region, each with every layer.
            masks: of the regions.
            weights: layers in use, with their weights.
            forms: the recipe's formulas.
            parts: the tiles.
            rows: of the picture for which the total variation is computed at once.
            room: for so many bound graphs at once.
            cut: a layer whose features the first pass gives, and to which the second gets a
                gradient.

        """
        self._network, self._parts, self._cut = network, parts, cut
        self._styles, self._forms = styles, forms
        self._content_layers, self._style_layers = tuple(weights.content), tuple(weights.style)
        slot = Slot(room)
        self._statistics = Statistics(network, self._style_layers, masks, parts, slot, cut)
        self._features = Bound(network, self._build_features, slot)
        self._keep_content(content)
        shape = content.shape
        self._content = {
            layer: content_coefficient(network, shape, layer, weight, forms, strength)
            for (layer, weight), strength in zip(weights.content.items(), self._strengths)
        }
        heads = [*self._content.values(), *[1.0] * len(self._style_layers)]
        self._back = Bound(network, self._build_back, slot, heads)
        self._tv = tv_coefficients(shape, weights.tv, forms)
        self._tv_rows = rows
        self._tv_back = Bound(network, self._build_tv, slot, self._tv)
        self._gradient = np.zeros(shape, dtype=np.float32)

    def _keep_content(self, content: np.ndarray) -> None:
        """The content targets if they are small, else the photo; and their energies."""
        strides = self._network.architecture.layers
        floats = sum(
            self._network.channels(layer) / strides[layer] ** 2 for layer in self._content_layers
        )
        self._photo, self._targets = content, {}
        sums = np.zeros(len(self._content_layers))
        for tile in self._parts if self._content_layers else ():
            found = self._content_targets(tile)
            sums += [np.sum(np.square(array, dtype=np.float64)) for array in found.values()]
            if floats <= KEPT_FLOATS:
                self._targets[tile] = found
        if floats <= KEPT_FLOATS:
            self._photo = None
        self._strengths = [strength or energy(np.zeros(1)) for strength in sums]

    def _content_targets(self, tile: Tile) -> dict[str, np.ndarray]:
        if tile in self._targets or not self._content_layers:
            return self._targets.get(tile, {})
        outputs, _ = self._features(tile.kind, tile, image=tile.cut(self._photo))
        names = (f"content_loss.{layer}" for layer in self._content_layers)
        return dict(zip(names, outputs))

    def _build_features(self, tile: Tile) -> list[mx.sym.Symbol]:
        return list(own_taps(self._network, tile, self._content_layers).values())

    def _build_back(self, tile: Tile) -> list[mx.sym.Symbol]:
        """Sums whose gradient is that of the losses: the content losses, and sum(f * pull).

        The gradient of a style loss to the features f of a position is linear in f: see _pulls.
        """
        cut = [] if self._cut is None else [self._cut]
        tapped = own_taps(self._network, tile, [*self._content_layers, *self._style_layers, *cut])
        found = [
            terms.content(tapped[layer], mx.sym.Variable(f"content_loss.{layer}"))
            for layer in self._content_layers
        ]
        for layer in self._style_layers:
            features, n = tapped[layer], self._network.channels(layer)
            pulls = []
            for term in (term for term in self._styles if term.layer == layer):
                matrix, offset = (mx.sym.Variable(f"{what}.{term.name}") for what in _PULL)
                # Blocked here too, or MXNet sends the zeros behind it back through it.
                at = mx.sym.BlockGrad(features)
                pull = mx.sym.Convolution(at, matrix, offset, kernel=(1, 1), num_filter=n)
                if term.mask is not None:
                    pull = mx.sym.broadcast_mul(pull, mx.sym.Variable(f"weights.{term.name}"))
                pulls.append(pull)
            pull = mx.sym.BlockGrad(mx.sym.add_n(*pulls) if len(pulls) > 1 else pulls[0])
            flat = (mx.sym.reshape(symbol, shape=(-1,)) for symbol in (features, pull))
            found.append(mx.sym.dot(*flat))
        return [*found, *(tapped[layer] for layer in cut)]

    def _build_tv(self, above: bool, below: bool) -> list[mx.sym.Symbol]:
        form = self._forms.tv
        image = mx.sym.Variable("image")
        return [*terms.total_variation(image, form.form, form.grid, above=above, below=below)]

    def first(
        self, image: np.ndarray, features: mx.nd.NDArray | None = None
    ) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """The style losses, and what their gradients to the features are made of.

        Args:
            image: ``vgg_input``, (1, 3, H, W).
            features: gets those of the layer ``cut``, (1, N, H', W').

        """
        named: dict[str, float] = {}
        pulls: dict[str, np.ndarray] = {}
        numbers = (index // len(self._style_layers) for index in range(len(self._styles)))
        moments = self._statistics(image, features)
        for number, term in zip(numbers, self._styles):
            found = moments[term.layer, number]
            named[term.name], matrix, offset = _pull(term, found, self._forms.style.mean_share)
            for what, array in zip(_PULL, (matrix, offset)):
                pulls[f"{what}.{term.name}"] = array
        return named, pulls

    def second(
        self,
        image: np.ndarray,
        pulls: Mapping[str, np.ndarray],
        head: mx.nd.NDArray | None = None,
    ) -> tuple[dict[str, float], np.ndarray]:
        """The other losses, and the gradient of all: (1, 3, H, W), written over by the next call.

        Args:
            image: as in the first pass.
            pulls: what that pass gave.
            head: gradient to the layer ``cut``.

        """
        self._gradient[:] = 0
        named = dict.fromkeys((f"content_loss.{layer}" for layer in self._content_layers), 0.0)
        strides = self._network.architecture.layers
        for tile in self._parts:
            weights = {
                f"weights.{term.name}": tile.weights(term.mask, strides[term.layer])[None, None]
                for term in self._styles
                if term.mask is not None
            }
            arrays = {**self._content_targets(tile), **pulls, **weights}
            own = None if head is None else head[tile.place(strides[self._cut])]
            sums, gradient = self._back(tile.kind, tile, head=own, image=tile.cut(image), **arrays)
            tile.cut(self._gradient)[:] += gradient
            for layer, value in zip(self._content_layers, sums):
                named[f"content_loss.{layer}"] += self._content[layer] * float(value)
        named["tv_loss"] = self._total_variation(image)
        return named, self._gradient

    def _total_variation(self, image: np.ndarray) -> float:
        """Strip by strip, each with the first row of the next; its gradient is added."""
        total, height = 0.0, image.shape[2]
        if not any(self._tv):
            return total
        for start in range(0, max(1, height - 1), self._tv_rows):
            stop = min(start + self._tv_rows + 1, height)
            ends = (start > 0, stop < height)
            rows = slice(start, stop)
            sums, gradient = self._tv_back((stop - start, *ends), *ends, image=image[:, :, rows])
            self._gradient[:, :, rows] += gradient
            total += sum(unit * float(value) for unit, value in zip(self._tv, sums))
        return total


class TiledObjective:
    """What :class:`nstrep.losses.objective.Objective` is, computed tile by tile."""

    def __init__(
        self,
        network: Network,
        content: np.ndarray,
        regions: Sequence[Region],
        weights: LayerWeights,
        forms: LossesConfig,
        side: int,
    ) -> None:
        """Compute the targets.

        Args:
            network: features.
            content: ``vgg_input`` of the photo, (1, 3, H, W): the shape of the result.
            regions: what the style loss compares where.
            weights: layers in use, with their weights.
            forms: the recipe's formulas.
            side: of a tile at most, margins included, in pixels.

        Raises:
            InputError: the tiles are too small for the layers.

        """
        self.network = network
        self.shape = content.shape
        self.tile = side
        self._names = loss_names(weights, len(regions))
        parts = tiles(network, [*weights.content, *weights.style], *self.shape[2:], side)
        styles = style_terms(
            network, self.shape, regions, weights.style, forms, partial(grams, network, side)
        )
        self._passes = Passes(
            network, content, list(styles), [region.mask for region in regions], weights, forms,
            parts, rows=max(1, side**2 // self.shape[3]), room=1,
        )  # fmt: skip

    def __call__(self, image: mx.nd.NDArray | np.ndarray) -> Evaluation:
        """Evaluate at an image of the content's shape, in ``vgg_input`` units."""
        image = as_numpy(image)
        styles, pulls = self._passes.first(image)
        others, gradient = self._passes.second(image, pulls)
        return evaluation({**styles, **others}, self._names, gradient, self.network)


class StripedObjective:
    """The same as :class:`Objective`, without keeping the features of the first block.

    They are as large as all others together. Up to :data:`CUT` the picture is computed in strips,
    once forward and once more, forward and backward; the rest of the network, on the features at
    the cut, is computed as a whole. The first block's forward pass is a twentieth of VGG-19.
    """

    tile = STRIPS

    def __init__(
        self,
        network: Network,
        content: np.ndarray,
        regions: Sequence[Region],
        weights: LayerWeights,
        forms: LossesConfig,
        rows: int = ROWS,
    ) -> None:
        """Compute the targets; the arguments are those of :class:`TiledObjective`.

        ``rows`` is the height of a strip at most, margins included.
        """
        self.network = network
        self.shape = content.shape
        self._names = loss_names(weights, len(regions))
        upto = list(network.architecture.layers).index(CUT)
        early = set(list(network.architecture.layers)[: upto + 1])
        first, rest = divided(weights, early)
        self._rest = Objective(network, content, regions, rest, forms, after=CUT)
        styles = style_terms(network, self.shape, regions, first.style, forms, network.grams)
        self._passes = Passes(
            network, content, list(styles), [region.mask for region in regions], first, forms,
            strips(network, [CUT], *self.shape[2:], rows), rows=2 * rows, room=16, cut=CUT,
        )  # fmt: skip

    def __call__(self, image: mx.nd.NDArray | np.ndarray) -> Evaluation:
        """Evaluate at an image of the content's shape, in ``vgg_input`` units."""
        image = as_numpy(image)
        styles, pulls = self._passes.first(image, self._rest.image)
        rest = self._rest(self._rest.image)
        others, gradient = self._passes.second(image, pulls, rest.gradient)
        return evaluation({**rest.losses, **styles, **others}, self._names, gradient, self.network)


def divided(weights: LayerWeights, early: Collection[str]) -> tuple[LayerWeights, LayerWeights]:
    """The weights of the layers in ``early``, with the total variation, and those of the others."""

    def part(of: Mapping[str, float], inside: bool) -> dict[str, float]:
        return {layer: weight for layer, weight in of.items() if (layer in early) == inside}

    parts = (
        (part(weights.content, inside), part(weights.style, inside)) for inside in (True, False)
    )
    first, rest = parts
    return LayerWeights(*first, weights.tv), LayerWeights(*rest, 0.0)


def as_numpy(image: mx.nd.NDArray | np.ndarray) -> np.ndarray:
    """In single precision."""
    if isinstance(image, mx.nd.NDArray):
        image = image.asnumpy()
    return np.asarray(image, dtype=np.float32)


def evaluation(
    found: Mapping[str, float], names: Sequence[str], gradient: np.ndarray, network: Network
) -> Evaluation:
    """The losses in their usual order, and the gradient on the network's device."""
    on_device = mx.nd.array(gradient, ctx=network.context)
    return Evaluation(with_sums({name: found[name] for name in names}), on_device)


_PULL = ("matrix", "offset")


def _pull(
    term: StyleTerm, moments: Moments, mean_share: float
) -> tuple[float, np.ndarray, np.ndarray]:
    """A style loss, and B, b of its gradient to the features f of a position: weight x (B f + b).

    B and b have the shapes of a 1 x 1 convolution's weight and bias.

    With E the gradient to the Gram matrix G, n the positions counted and u the means,
    G = sum(f f^T) / n - (1 - mean_share) u u^T, so that B = 2 E / n and
    b = -(1 - mean_share) B u.
    """
    difference = moments.gram(mean_share) - term.target
    square = 1.0 if term.scale is None else np.square(term.scale, dtype=np.float64)
    loss = term.coefficient * float(np.sum(square * difference**2))
    matrix = (4 * term.coefficient / moments.weight) * square * difference
    offset = (mean_share - 1) * matrix @ moments.mean
    return loss, matrix[:, :, None, None], offset.ravel()
