"""The objective tile by tile: the same losses and gradient, in memory that a tile decides.

A Gram matrix is a sum over positions, so a first pass over the tiles adds up its parts. From then
on the gradient of every loss to the features is known position by position: that of the style loss
is linear in them. A second pass sends it back through the network, tile after tile.

A tile is computed with a margin as wide as the features reach, counts only the positions that it
owns, and ends where the picture ends or at a multiple of the deepest stride, so that its poolings
are those of the whole picture. Every position is owned by one tile.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import mxnet as mx
import numpy as np

from nstrep import losses
from nstrep.config import LossesConfig
from nstrep.errors import InputError
from nstrep.network import Network
from nstrep.objective import (
    Evaluation,
    LayerWeights,
    StyleTerm,
    content_coefficient,
    energy,
    style_terms,
    tv_coefficients,
    with_sums,
)
from nstrep.regions import Region, pooled

KEPT_FLOATS = 16
"""Content targets of at most so many numbers a pixel are kept; others are computed every time."""


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


def check(network: Network, layers: Sequence[str], height: int, width: int, side: int) -> None:
    """Raise :class:`InputError` if tiles smaller than the picture would own nothing."""
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
    how = (side, margin(network, layers), network.architecture.stride(layers))
    found = (Tile(*pair) for pair in itertools.product(spans(height, *how), spans(width, *how)))
    return sorted(found, key=lambda tile: tile.kind)


class Bound:
    """A graph over tiles, bound for one kind of them at a time, so that memory is that of one tile.

    MXNet can bind graphs to shared memory, but oneDNN's layouts escape it.
    """

    def __init__(
        self,
        network: Network,
        build: Callable[..., list[mx.sym.Symbol]],
        heads: Sequence[float] | None = None,
        slot: dict | None = None,
    ) -> None:
        """Bind nothing yet.

        Args:
            network: whose weights.
            build: from what names the kind of a tile to its symbols, over ``image`` and others.
            heads: the gradient to each of the symbols; None for a forward pass alone.
            slot: of graphs that are given the same one, only one is bound at a time.

        """
        self._network, self._build = network, build
        self._slot: dict = {} if slot is None else slot
        self._heads = None
        if heads is not None:
            self._heads = [mx.nd.array([head], ctx=network.context) for head in heads]

    def __call__(
        self, kind: tuple, *what: object, **arrays: np.ndarray
    ) -> tuple[list[np.ndarray], np.ndarray | None]:
        """Compute the graph of a kind.

        Args:
            kind: of what it is built for.
            what: goes to ``build`` when the kind is new.
            arrays: ``image`` and the other arguments.

        Returns:
            The outputs, and the gradient to ``image`` if there are heads.

        """
        if (self, kind) not in self._slot:
            self._slot.clear()  # before there is another
            self._slot[self, kind] = self._bind(self._build(*what), arrays)
        executor, arguments, gradient = self._slot[self, kind]
        for name, array in arrays.items():
            if name in arguments:
                arguments[name][:] = array
        outputs = executor.forward(is_train=self._heads is not None)
        if self._heads is not None:
            executor.backward(self._heads)
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
        """The Gram matrix per position, (N, N) float64; see :func:`nstrep.losses.gram`."""
        return self.scatter / self.weight + mean_share * (self.mean @ self.mean.T)


class Statistics:
    """Moments of layers over a picture, under one mask or several."""

    def __init__(
        self,
        network: Network,
        layers: Sequence[str],
        masks: Sequence[np.ndarray | None],
        parts: Sequence[Tile],
        slot: dict | None = None,
    ) -> None:
        self._network, self._parts = network, parts
        self._wanted = list(itertools.product(layers, enumerate(masks)))
        self._bound = Bound(network, self._build, slot=slot)

    def _build(self, tile: Tile) -> list[mx.sym.Symbol]:
        layers = [layer for layer, _ in self._wanted]
        tapped = self._network.taps(mx.sym.Variable("image"), layers)
        found: list[mx.sym.Symbol] = []
        for layer, (number, mask) in self._wanted:
            found += losses.moments(
                tile.owned(tapped[layer], self._network.architecture.layers[layer]),
                self._network.channels(layer),
                mx.sym.Variable(f"inverse.{layer}.{number}"),
                None if mask is None else mx.sym.Variable(f"root.{layer}.{number}"),
            )
        return found

    def __call__(self, picture: np.ndarray) -> dict[tuple[str, int], Moments]:
        """By layer and number of the mask, of a ``vgg_input`` picture (1, 3, H, W)."""
        found = {(layer, number): Moments() for layer, (number, _) in self._wanted}
        for tile in self._parts if found else ():
            arrays, counted = {"image": tile.cut(picture)}, []
            for layer, (number, mask) in self._wanted:
                weights = self._weights(tile, layer, mask)
                counted.append(float(weights.sum()))
                inverse = 1 / counted[-1] if counted[-1] else 0.0
                arrays[f"inverse.{layer}.{number}"] = np.full((1, 1), inverse)
                if mask is not None:
                    arrays[f"root.{layer}.{number}"] = np.sqrt(weights).reshape(1, -1)
            outputs, _ = self._bound(tile.kind, tile, **arrays)
            for moments, weight, mean, scatter in zip(
                found.values(), counted, outputs[::2], outputs[1::2]
            ):
                moments.add(weight, mean, scatter)
        return found

    def _weights(self, tile: Tile, layer: str, mask: np.ndarray | None) -> np.ndarray:
        stride = self._network.architecture.layers[layer]
        if mask is not None:
            return tile.weights(mask, stride)
        sides = (span.own_stop // stride - span.own_start // stride for span in _sides(tile))
        return np.array(float(np.prod(list(sides))))


def _sides(tile: Tile) -> tuple[Span, Span]:
    return tile.rows, tile.columns


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
        found = Statistics(network, layers, [mask], parts)(image)
        return {
            layer: moments.gram(mean_share).astype(np.float32)
            for (layer, _), moments in found.items()
        }

    seen = (image,) if mask is None else (image, mask)
    return network.once(("tiled grams", layers, mean_share, side), seen, compute)


class TiledObjective:
    """What :class:`nstrep.objective.Objective` is, computed tile by tile."""

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
        layers = [*weights.content, *weights.style]
        self._parts = tiles(network, layers, *self.shape[2:], side)
        self._content_layers, self._style_layers = tuple(weights.content), tuple(weights.style)
        self._forms = forms
        slot: dict = {}

        def painted(*what: object) -> dict[str, np.ndarray]:
            return grams(network, side, *what)

        self._styles = list(
            style_terms(network, self.shape, regions, weights.style, forms, painted)
        )
        masks = [region.mask for region in regions]
        self._statistics = Statistics(network, self._style_layers, masks, self._parts, slot)
        self._features = Bound(network, self._build_features, slot=slot)
        self._keep_content(content)
        self._content = {
            layer: content_coefficient(network, self.shape, layer, weight, forms, strength)
            for (layer, weight), strength in zip(weights.content.items(), self._strengths)
        }
        heads = [*self._content.values(), *[1.0] * len(self._style_layers)]
        self._back = Bound(network, self._build_back, heads, slot)
        self._tv = tv_coefficients(self.shape, weights.tv, forms)
        self._tv_rows = max(1, side**2 // self.shape[3])
        self._tv_back = Bound(network, self._build_tv, self._tv, slot)
        self._gradient = np.zeros(self.shape, dtype=np.float32)

    def _keep_content(self, content: np.ndarray) -> None:
        """The content targets if they are small, else the photo; and their energies."""
        strides = self.network.architecture.layers
        floats = sum(
            self.network.channels(layer) / strides[layer] ** 2 for layer in self._content_layers
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

    def _taps(self, tile: Tile, layers: Sequence[str]) -> dict[str, mx.sym.Symbol]:
        tapped = self.network.taps(mx.sym.Variable("image"), layers)
        strides = self.network.architecture.layers
        return {layer: tile.owned(tapped[layer], strides[layer]) for layer in layers}

    def _build_features(self, tile: Tile) -> list[mx.sym.Symbol]:
        return list(self._taps(tile, self._content_layers).values())

    def _build_back(self, tile: Tile) -> list[mx.sym.Symbol]:
        """Sums whose gradient is that of the losses: the content losses, and sum(f * pull).

        The gradient of a style loss to the features f of a position is linear in f: see _pulls.
        """
        tapped = self._taps(tile, [*self._content_layers, *self._style_layers])
        found = [
            losses.content(tapped[layer], mx.sym.Variable(f"content_loss.{layer}"))
            for layer in self._content_layers
        ]
        for layer in self._style_layers:
            features, n = tapped[layer], self.network.channels(layer)
            pulls = []
            for term in (term for term in self._styles if term.layer == layer):
                matrix, offset = (mx.sym.Variable(f"{what}.{term.name}") for what in _PULL)
                pull = mx.sym.Convolution(features, matrix, offset, kernel=(1, 1), num_filter=n)
                if term.mask is not None:
                    pull = mx.sym.broadcast_mul(pull, mx.sym.Variable(f"weights.{term.name}"))
                pulls.append(pull)
            pull = mx.sym.BlockGrad(mx.sym.add_n(*pulls) if len(pulls) > 1 else pulls[0])
            flat = (mx.sym.reshape(symbol, shape=(-1,)) for symbol in (features, pull))
            found.append(mx.sym.dot(*flat))
        return found

    def _build_tv(self, above: bool, below: bool) -> list[mx.sym.Symbol]:
        form = self._forms.tv
        image = mx.sym.Variable("image")
        return [*losses.total_variation(image, form.form, form.grid, above=above, below=below)]

    def __call__(self, image: mx.nd.NDArray | np.ndarray) -> Evaluation:
        """Evaluate at an image of the content's shape, in ``vgg_input`` units."""
        if isinstance(image, mx.nd.NDArray):
            image = image.asnumpy()
        image = np.asarray(image, dtype=np.float32)
        self._gradient[:] = 0
        named = dict.fromkeys((f"content_loss.{layer}" for layer in self._content_layers), 0.0)
        styles, pulls = self._style(image)
        strides = self.network.architecture.layers
        for tile in self._parts:
            weights = {
                f"weights.{term.name}": tile.weights(term.mask, strides[term.layer])[None, None]
                for term in self._styles
                if term.mask is not None
            }
            arrays = {**self._content_targets(tile), **pulls, **weights}
            sums, gradient = self._back(tile.kind, tile, image=tile.cut(image), **arrays)
            tile.cut(self._gradient)[:] += gradient
            for layer, value in zip(self._content_layers, sums):
                named[f"content_loss.{layer}"] += self._content[layer] * float(value)
        named |= {**styles, "tv_loss": self._total_variation(image)}
        gradient = mx.nd.array(self._gradient, ctx=self.network.context)
        return Evaluation(with_sums(named), gradient)

    def _style(self, image: np.ndarray) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """The style losses, and what their gradients to the features are made of."""
        named: dict[str, float] = {}
        pulls: dict[str, np.ndarray] = {}
        # Terms come region by region, each with every layer; moments likewise by both.
        numbers = (index // len(self._style_layers) for index in range(len(self._styles)))
        moments = self._statistics(image)
        for number, term in zip(numbers, self._styles):
            found = moments[term.layer, number]
            named[term.name], matrix, offset = _pull(term, found, self._forms.style.mean_share)
            for what, array in zip(_PULL, (matrix, offset)):
                pulls[f"{what}.{term.name}"] = array
        return named, pulls

    def _total_variation(self, image: np.ndarray) -> float:
        """Strip by strip, each with the first row of the next; its gradient is added."""
        total, height = 0.0, self.shape[2]
        for start in range(0, max(1, height - 1), self._tv_rows):
            stop = min(start + self._tv_rows + 1, height)
            ends = (start > 0, stop < height)
            rows = slice(start, stop)
            sums, gradient = self._tv_back((stop - start, *ends), *ends, image=image[:, :, rows])
            self._gradient[:, :, rows] += gradient
            total += sum(unit * float(value) for unit, value in zip(self._tv, sums))
        return total


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
