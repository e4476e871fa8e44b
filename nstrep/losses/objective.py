"""The objective: an image in; named losses and the gradient out. One bound MXNet executor."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import mxnet as mx
import numpy as np

from nstrep.config.schema import LossesConfig
from nstrep.losses import terms as losses
from nstrep.losses.regions import Region
from nstrep.losses.terms import Term
from nstrep.networks.features import Network


@dataclass(frozen=True)
class LayerWeights:
    """What each term is multiplied with; the overall weights are already in."""

    content: Mapping[str, float]
    style: Mapping[str, float]
    tv: float


@dataclass(frozen=True)
class Evaluation:
    """The objective at one image.

    ``losses`` holds every weighted term by its name in the tree, ``style_loss.relu3_1`` (with
    several regions ``style_loss.relu3_1.region1``), the sums of the branches, ``style_loss``, and
    ``total``. ``gradient`` is a view that the next evaluation
    overwrites: (1, 3, H, W) on the objective's device.
    """

    losses: dict[str, float]
    gradient: mx.nd.NDArray

    @property
    def total(self) -> float:
        """The value to minimise."""
        return self.losses["total"]


@dataclass(frozen=True, eq=False)
class StyleTerm:
    """One style loss: ``coefficient`` x sum((S (G - A))^2)."""

    name: str
    layer: str
    mask: np.ndarray | None
    """Where it works, (H, W) of the picture; None for all of it."""
    counted: float
    """The positions that G is the mean over; with a mask the sum of their weights."""
    target: np.ndarray
    """A, (N, N)."""
    scale: np.ndarray | None
    """S, (N, N); None for ones."""
    coefficient: float


def loss_names(weights: LayerWeights, regions: int) -> list[str]:
    """The weighted terms of an objective by name, in the order of the CSV columns."""
    suffixes = [f".region{number}" for number in range(1, regions + 1)] if regions > 1 else [""]
    return [
        *(f"content_loss.{layer}" for layer in weights.content),
        *(f"style_loss.{layer}{suffix}" for suffix in suffixes for layer in weights.style),
        "tv_loss",
    ]


def style_terms(
    network: Network,
    shape: tuple[int, ...],
    regions: Sequence[Region],
    layers: Mapping[str, float],
    forms: LossesConfig,
    grams: Callable[..., dict[str, np.ndarray]],
) -> Iterator[StyleTerm]:
    """The style losses of a picture.

    The target of a blend is the mean of the paintings' Gram matrices per position by their
    shares (jcjohnson/neural-style), each with its own means under ``mean_share``; filters are
    made equal on the blend.

    Args:
        network: whose features.
        shape: of the picture, (1, 3, H, W).
        regions: what to compare where.
        layers: with their weights.
        forms: the recipe's formulas.
        grams: what :meth:`Network.grams` does.

    """
    height, width = shape[2:]
    for number, region in enumerate(regions, start=1):
        suffix = f".region{number}" if len(regions) > 1 else ""
        found = [
            grams(source.image, layers, forms.style.mean_share, source.mask)
            for source in region.sources
        ]
        for layer, weight in layers.items():
            blend = zip(region.sources, found)
            target = sum(np.float32(source.share) * each[layer] for source, each in blend)
            n, positions = network.channels(layer), network.positions(layer, height, width)
            counted: float = positions
            if region.mask is not None:
                counted, _ = network.guidance(layer, region.mask)
            scale, strength = None, energy(target)
            if forms.style.equal_filters:
                scale = losses.filter_scale(target)
                strength = energy(target * scale)
            unit = losses.style_coefficient(forms, n, positions, height * width, strength)
            share = counted / positions
            yield StyleTerm(
                f"style_loss.{layer}{suffix}",
                layer,
                region.mask,
                counted,
                target,
                scale,
                weight * share * unit,
            )


def content_coefficient(
    network: Network,
    shape: tuple[int, ...],
    layer: str,
    weight: float,
    forms: LossesConfig,
    strength: float,
) -> float:
    """What the sum of the squared differences of ``layer`` is multiplied with.

    Args:
        network: whose features.
        shape: of the picture, (1, 3, H, W).
        layer: which.
        weight: its weight.
        forms: the recipe's formulas.
        strength: :func:`energy` of the target.

    """
    height, width = shape[2:]
    n, positions = network.channels(layer), network.positions(layer, height, width)
    return weight * losses.content_coefficient(forms, n, positions, height * width, strength)


def tv_coefficients(shape: tuple[int, ...], weight: float, forms: LossesConfig) -> list[float]:
    """What each of the sums of :func:`losses.total_variation` is multiplied with."""
    counts = losses.difference_counts(*shape[2:], forms.tv.grid)
    sums = counts[: 1 if forms.tv.form == "power" else 2]
    mean = forms.tv.reduction == "mean"
    return [weight * (forms.tv.factor / (count if mean else 1)) for count in sums]


class Objective:
    """Weighted content, style and total-variation losses of an image, and their gradient."""

    tile: int | str | None = None
    """The picture is computed whole; see :class:`nstrep.losses.tiled_objective.TiledObjective`."""

    def __init__(
        self,
        network: Network,
        content: np.ndarray,
        regions: Sequence[Region],
        weights: LayerWeights,
        forms: LossesConfig,
        after: str | None = None,
    ) -> None:
        """Compute the targets and bind the graph.

        Args:
            network: features.
            content: ``vgg_input`` of the photo, (1, 3, H, W): the shape of the result.
            regions: what the style loss compares where; :func:`nstrep.losses.regions.whole` of the
                painting's ``vgg_input`` for the usual one. A region's loss counts with the share
                of the picture that it covers, so that the style pulls as strongly at each pixel
                inside as it would without masks.
            weights: layers in use, with their weights.
            forms: the recipe's formulas.
            after: be a function not of the picture but of the features of this layer, without the
                total variation; all layers in use are deeper.

        """
        self.network = network
        self.shape = picture = content.shape
        if after is not None:
            stride = network.architecture.layers[after]
            sides = (side // stride for side in picture[2:])
            self.shape = (1, network.channels(after), *sides)
        self._weights, self._forms = weights, forms
        features = network.features(content, weights.content)
        image = mx.sym.Variable("image")
        tapped = network.taps(image, [*weights.content, *weights.style], after)
        targets: dict[str, np.ndarray] = {}
        terms: list[Term] = []

        def given(name: str, array: np.ndarray) -> mx.sym.Symbol:
            targets[name] = array
            return mx.sym.Variable(name)

        for layer, weight in weights.content.items():
            name = f"content_loss.{layer}"
            value = losses.content(tapped[layer], given(name, features[layer]))
            strength = energy(features[layer])
            unit = content_coefficient(network, picture, layer, weight, forms, strength)
            terms.append(Term(name, value, unit))
        for term in style_terms(network, picture, regions, weights.style, forms, network.grams):
            root = scale = None
            if term.mask is not None:
                _, array = network.guidance(term.layer, term.mask)
                root = given(f"root.{term.name}", array)
            if term.scale is not None:
                scale = given(f"scale.{term.name}", term.scale)
            value = losses.style(
                tapped[term.layer],
                given(term.name, term.target),
                network.channels(term.layer),
                term.counted,
                mean_share=forms.style.mean_share,
                scale=scale,
                root=root,
            )
            terms.append(Term(term.name, value, term.coefficient, head_gradient=2.0))
        sums = ()
        if weights.tv and after is None:
            sums = losses.total_variation(image, forms.tv.form, forms.tv.grid)
        for value, coefficient in zip(sums, tv_coefficients(picture, weights.tv, forms)):
            terms.append(Term("tv_loss", value, coefficient))

        self.terms = terms
        self._order = order(terms, list(network.architecture.layers))
        self.image = mx.nd.zeros(self.shape, ctx=network.context)
        self._gradient = mx.nd.zeros(self.shape, ctx=network.context)
        self._heads = [
            mx.nd.array([term.coefficient * term.head_gradient], ctx=network.context)
            for term in terms
        ]
        arguments = {
            name: mx.nd.array(array, ctx=network.context) for name, array in targets.items()
        }
        self._targets = arguments
        self._executor = network.bind(
            mx.sym.Group([terms[place].value for place in self._order]),
            {"image": self.image, **arguments},
            self._gradient,
        )

    def aim(self, features: Mapping[str, np.ndarray]) -> None:
        """Compare with another photo of the same shape from now on.

        Args:
            features: of the photo, those of the content layers, each (1, N, H, W).

        """
        for place, (layer, weight) in enumerate(self._weights.content.items()):
            term = self.terms[place]  # those of the content come first
            self._targets[term.name][:] = features[layer]
            strength = energy(features[layer])
            coefficient = content_coefficient(
                self.network, self.shape, layer, weight, self._forms, strength
            )
            self.terms[place] = replace(term, coefficient=coefficient)
            self._heads[place][:] = coefficient * term.head_gradient

    def __call__(self, image: mx.nd.NDArray | np.ndarray) -> Evaluation:
        """Evaluate at an image of the content's shape, in ``vgg_input`` units.

        ``self.image`` itself may be given, and is not copied then.
        """
        if image is not self.image:
            self.image[:] = image
        outputs = self._executor.forward(is_train=True)
        self._executor.backward([self._heads[place] for place in self._order])
        raw = np.empty(len(self.terms))
        raw[self._order] = mx.nd.concat(*outputs, dim=0).asnumpy()
        named: dict[str, float] = {}
        for term, value in zip(self.terms, raw):
            named[term.name] = named.get(term.name, 0.0) + term.coefficient * float(value)
        return Evaluation(with_sums(named), self._gradient)


def order(terms: Sequence[Term], layers: Sequence[str]) -> list[int]:
    """The places of the terms in the order in which their losses are best computed.

    The deepest last: the gradient of each is then computed when the backward pass comes to its
    layer, not kept from the beginning. But the Gram product of a layer lays its features out as
    MXNet's pooling is ten times slower on; so it waits for a deeper one, which needs the pooling.
    """
    depths = {layer: depth for depth, layer in enumerate(layers)}
    of = [depths[term.name.split(".")[1]] if "." in term.name else -1 for term in terms]
    found: list[int] = []
    for depth in sorted(set(of), reverse=True):
        waits = bool(found) and layers[depth + 1].startswith("pool")
        at = 1 if waits else 0
        found[at:at] = [place for place, other in enumerate(of) if other == depth]
    return found


def energy(target: np.ndarray) -> float:
    """Sum of the squares in float64; 1 for a target that is all zero, which scales nothing."""
    return float(np.sum(np.square(target, dtype=np.float64))) or 1.0


def with_sums(named: Mapping[str, float]) -> dict[str, float]:
    """Put the total and the branches' sums before the terms, in the order of the CSV columns."""
    sums = {"content_loss": 0.0, "style_loss": 0.0, "tv_loss": 0.0}
    for name, value in named.items():
        sums[name.split(".")[0]] += float(value)
    leaves = {name: float(value) for name, value in named.items() if "." in name}
    return {"total": sum(sums.values()), **sums, **leaves}
