"""The style loss: squared differences of Gram matrices (Gatys, Ecker, Bethge 2015, eq. 4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import mxnet as mx
import numpy as np

from nstrep.config.schema import LossesConfig
from nstrep.losses.regions import Source, pooled
from nstrep.losses.term import (
    Edges,
    LossTerm,
    Symbols,
    energy,
    form_coefficient,
    over_difference,
    register,
    sum_of_squares,
    total,
)
from nstrep.losses.tiling import Scene

# Share of the mean energy that filters are taken to have at least when they are scaled to equal
# energy: one that hardly fires on the style image must not decide the result.
FAINT = 0.05


@register("style_loss")
@dataclass(eq=False)
class StyleLoss(LossTerm):
    """sum((S (G - A))^2) of the Gram matrices per position, G of the image and A the target.

    The constants are A and, with ``equal_filters``, the scale S; both (N, N). A mask gives the map
    ``root``: the square roots of the weights that the positions count with.
    """

    channels: int = 0
    positions: float = 0  # of which the Gram matrix is the mean; with a mask the sum of the weights
    mean_share: float = 1.0
    divide_by: str = "size"

    @classmethod
    def create(cls, scene: Scene, settings: Mapping[str, float]) -> Iterator[StyleLoss]:
        """One term for each region and layer; ``settings`` holds the layers with their weights.

        The target of a blend is the mean of the style images' Gram matrices per position by their
        shares (jcjohnson/neural-style), each with its own means under ``mean_share``; filters are
        made equal on the blend. A region counts with its share of the image, so that the style
        loss weighs as much at each pixel inside as without masks.
        """
        forms = scene.forms
        for number, region in enumerate(scene.regions if settings else (), start=1):
            suffix = f".region{number}" if len(scene.regions) > 1 else ""
            grams = [source_grams(scene, source, tuple(settings)) for source in region.sources]
            for layer, weight in settings.items():
                blend = zip(region.sources, grams)
                target = sum(np.float32(source.share) * each[layer] for source, each in blend)
                name, sizes = f"style_loss.{layer}{suffix}", scene.sizes(layer)
                term = gram_term(scene, name, layer, scene.content.shape, region.mask)
                term.constants, strength = {"target": target}, energy(target)
                if forms.style.equal_filters:
                    term.constants["scale"] = scale = filter_scale(target)
                    strength = energy(target * scale)
                share = term.positions / sizes[1]
                term.coefficient = weight * share * style_coefficient(forms, sizes, strength)
                yield term

    def statistics(self, features: mx.sym.Symbol, inputs: Symbols, edges: Edges) -> Symbols:
        """sum(w f f^T), (N, N), and unless the mean counts in full sum(w f), (N, 1)."""
        flat, root = mx.sym.reshape(features, shape=(self.channels, -1)), inputs.get("root")
        if root is not None:
            root = mx.sym.reshape(root, shape=(1, -1))
            flat = mx.sym.broadcast_mul(flat, root)
        sums = {"products": self_product(flat, self.channels)}
        if self.mean_share != 1:
            # As a product it takes a tenth of the time of MXNet's mean.
            if root is None:
                root = mx.sym.ones_like(mx.sym.slice_axis(flat, axis=0, begin=0, end=1))
            sums["features"] = mx.sym.dot(flat, root, transpose_b=True)
        return sums

    def gram(self, statistics: Symbols) -> mx.sym.Symbol:
        """F F^T / M (Gatys, Ecker, Bethge 2015, eq. 3, per position), (N, N).

        It is the covariance plus the outer product of the means, which counts as ``mean_share``.
        """
        products = statistics["products"] * (1.0 / self.positions)
        if self.mean_share == 1:
            return products
        mean = statistics["features"] * (1.0 / self.positions)
        return products - self_product(mean, self.channels) * (1 - self.mean_share)

    def value(self, statistics: Symbols, inputs: Symbols) -> mx.sym.Symbol:
        """The sum of the squared and scaled differences; see ``LossForm.divide_by``."""
        difference = self.gram(statistics) - inputs["target"]
        difference = difference * inputs["scale"] if "scale" in inputs else difference
        squares = sum_of_squares(difference)
        if self.divide_by != "difference":
            return squares
        return over_difference(squares, total(mx.sym.abs(difference)))


def self_product(x: mx.sym.Symbol, rows: int) -> mx.sym.Symbol:
    """The product x x^T of a matrix with so many rows, for a symmetric use of the result.

    The second factor is held constant, which saves a matrix product in the backward pass. That
    gives half of the gradient, if the gradient to the result is symmetric; so it is doubled.
    """
    # The fastest of MXNet's five ways to write x x^T, forward and backward.
    product = mx.sym.FullyConnected(x, mx.sym.BlockGrad(x), num_hidden=rows, no_bias=True)
    return mx.sym.contrib.gradientmultiplier(product, scalar=2.0)


def gram_term(
    scene: Scene, name: str, layer: str, shape: tuple[int, ...], mask: np.ndarray | None
) -> StyleLoss:
    """A term without a target, for an image of ``shape`` under a mask (H, W)."""
    network, maps = scene.network, {}
    positions: float = network.positions(layer, *shape[2:])
    if mask is not None:
        weights = pooled(mask, network.architecture.layers[layer])
        positions, maps["root"] = float(weights.sum()), np.sqrt(weights)[None, None]
    return StyleLoss(
        name, layer, maps=maps, channels=network.channels(layer), positions=positions,
        mean_share=scene.forms.style.mean_share, divide_by=scene.forms.style.divide_by,
    )  # fmt: skip


def source_grams(scene: Scene, source: Source, layers: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Gram matrices per position of a style image, by layer, each (N, N)."""

    def compute() -> dict[str, np.ndarray]:
        shape, grams = source.image.shape, {}
        terms = [gram_term(scene, layer, layer, shape, source.mask) for layer in layers]
        for term, sums in zip(terms, scene.sums(source.image, terms)):
            symbol = term.gram({name: mx.sym.Variable(name) for name in sums})
            arrays = {name: mx.nd.array(array) for name, array in sums.items()}
            grams[term.layer] = symbol.eval(mx.cpu(), **arrays)[0].asnumpy()
        return grams

    arrays = tuple(array for array in (source.image, source.mask) if array is not None)
    key = ("Gram matrices", layers, scene.forms.style.mean_share, scene.tile)
    return scene.network.once(key, arrays, compute)


def filter_scale(target: np.ndarray) -> np.ndarray:
    """What brings every filter of a Gram matrix (N, N) to the same energy, (N, N) float32.

    Entry (i, j) is 1 / sqrt(A_ii A_jj), each A_ii plus :data:`FAINT` of the diagonal's mean.
    """
    diagonal = np.diag(target).astype(np.float64)
    each = 1 / np.sqrt(diagonal + FAINT * (diagonal.mean() or 1.0))
    return np.outer(each, each).astype(np.float32)


def style_coefficient(forms: LossesConfig, sizes: tuple[int, int, int], energy: float) -> float:
    """What turns sum((G - A)^2) into the recipe's loss; see :func:`form_coefficient`.

    G is per position, so that images of different sizes compare; a formula on raw Gram matrices
    gets M^2 back.
    """
    units = sizes[1] ** 2 * forms.feature_scale**4
    if forms.style.divide_by == "difference":
        units = forms.feature_scale**2
    return form_coefficient(forms.style, sizes, energy, units)
