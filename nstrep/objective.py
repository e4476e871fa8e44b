"""The objective: an image in; named losses and the gradient out. One bound MXNet executor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import mxnet as mx
import numpy as np

from nstrep import losses
from nstrep.config import LossesConfig
from nstrep.losses import Term
from nstrep.network import Network
from nstrep.regions import Region


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


class Objective:
    """Weighted content, style and total-variation losses of an image, and their gradient."""

    def __init__(
        self,
        network: Network,
        content: np.ndarray,
        regions: Sequence[Region],
        weights: LayerWeights,
        forms: LossesConfig,
    ) -> None:
        """Compute the targets and bind the graph.

        Args:
            network: features.
            content: ``vgg_input`` of the photo, (1, 3, H, W): the shape of the result.
            regions: what the style loss compares where; :func:`nstrep.regions.whole` of the
                painting's ``vgg_input`` for the usual one. A region's loss counts with the share
                of the picture that it covers, so that the style pulls as strongly at each pixel
                inside as it would without masks.
            weights: layers in use, with their weights.
            forms: the recipe's formulas.

        """
        self.network = network
        self.shape = content.shape
        self._weights, self._forms = weights, forms
        height, width = content.shape[2:]
        features = network.features(content, weights.content)
        image = mx.sym.Variable("image")
        tapped = network.taps(image, [*weights.content, *weights.style])
        targets: dict[str, np.ndarray] = {}
        terms: list[Term] = []

        for layer, weight in weights.content.items():
            name = f"content_loss.{layer}"
            targets[name] = features[layer]
            value = losses.content(tapped[layer], mx.sym.Variable(name))
            coefficient = weight * self._content_unit(layer, features[layer])
            terms.append(Term(name, value, coefficient))
        for name, layer, region, target in self._style_targets(regions, weights.style, forms):
            n, positions, image_positions = self._size(layer)
            share, counted, root = 1.0, positions, None
            if region.mask is not None:
                counted, targets[f"root.{name}"] = network.guidance(layer, region.mask)
                share, root = counted / positions, mx.sym.Variable(f"root.{name}")
            targets[name] = target
            scale = None
            strength = energy(target)
            if forms.style.equal_filters:
                targets[f"scale.{name}"] = losses.filter_scale(target)
                strength = energy(target * targets[f"scale.{name}"])
                scale = mx.sym.Variable(f"scale.{name}")
            value = losses.style(
                tapped[layer],
                mx.sym.Variable(name),
                n,
                counted,
                mean_share=forms.style.mean_share,
                scale=scale,
                root=root,
            )
            unit = losses.style_coefficient(forms, n, positions, image_positions, strength)
            weight = weights.style[layer] * share
            terms.append(Term(name, value, weight * unit, head_gradient=2.0))
        sums = losses.total_variation(image, forms.tv.form, forms.tv.grid)
        counts = losses.difference_counts(height, width, forms.tv.grid)
        for value, count in zip(sums, counts):
            unit = forms.tv.factor / (count if forms.tv.reduction == "mean" else 1)
            terms.append(Term("tv_loss", value, weights.tv * unit))

        self.terms = terms
        self._image = mx.nd.zeros(self.shape, ctx=network.context)
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
            mx.sym.Group([term.value for term in terms]),
            {"image": self._image, **arguments},
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
            coefficient = weight * self._content_unit(layer, features[layer])
            self.terms[place] = replace(term, coefficient=coefficient)
            self._heads[place][:] = coefficient * term.head_gradient

    def _size(self, layer: str) -> tuple[int, int, int]:
        height, width = self.shape[2:]
        positions = self.network.positions(layer, height, width)
        return self.network.channels(layer), positions, height * width

    def _content_unit(self, layer: str, features: np.ndarray) -> float:
        return losses.content_coefficient(self._forms, *self._size(layer), energy(features))

    def _style_targets(
        self, regions: Sequence[Region], layers: Mapping[str, float], forms: LossesConfig
    ) -> Iterator[tuple[str, str, Region, np.ndarray]]:
        """Name, layer, region and target of every style term.

        The target of a blend is the mean of the paintings' Gram matrices per position by their
        shares (jcjohnson/neural-style), each with its own means under ``mean_share``; filters are
        made equal on the blend.
        """
        mean_share = forms.style.mean_share
        for number, region in enumerate(regions, start=1):
            suffix = f".region{number}" if len(regions) > 1 else ""
            found = [
                self.network.grams(source.image, layers, mean_share, source.mask)
                for source in region.sources
            ]
            for layer in layers:
                blend = zip(region.sources, found)
                target = sum(np.float32(source.share) * grams[layer] for source, grams in blend)
                yield f"style_loss.{layer}{suffix}", layer, region, target

    def __call__(self, image: mx.nd.NDArray | np.ndarray) -> Evaluation:
        """Evaluate at an image of the content's shape, in ``vgg_input`` units."""
        self._image[:] = image
        outputs = self._executor.forward(is_train=True)
        self._executor.backward(self._heads)
        raw = mx.nd.concat(*outputs, dim=0).asnumpy().astype(np.float64)
        named: dict[str, float] = {}
        for term, value in zip(self.terms, raw):
            named[term.name] = named.get(term.name, 0.0) + term.coefficient * float(value)
        return Evaluation(with_sums(named), self._gradient)


def energy(target: np.ndarray) -> float:
    """Sum of the squares in float64; 1 for a target that is all zero, which scales nothing."""
    return float(np.sum(np.square(target, dtype=np.float64))) or 1.0


def with_sums(named: Mapping[str, float]) -> dict[str, float]:
    """Put the total and the branches' sums before the terms, in the order of the CSV columns."""
    sums = {"content_loss": 0.0, "style_loss": 0.0, "tv_loss": 0.0}
    for name, value in named.items():
        sums[name.split(".")[0]] += value
    leaves = {name: value for name, value in named.items() if "." in name}
    return {"total": sum(sums.values()), **sums, **leaves}
