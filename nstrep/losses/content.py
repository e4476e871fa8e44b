"""The content loss: squared differences of features (Gatys, Ecker, Bethge 2015, eq. 1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import mxnet as mx

from nstrep.config.schema import LossesConfig
from nstrep.losses.term import (
    Edges,
    LossTerm,
    Symbols,
    form_coefficient,
    over_difference,
    register,
    sum_of_squares,
    total,
)
from nstrep.losses.tiling import Scene


@register("content_loss")
@dataclass(eq=False)
class ContentLoss(LossTerm):
    """sum((F - P)^2) over channels and positions, P being the content image's features.

    With ``divide_by=difference`` it is divided by sum(|F - P|).
    """

    weight: float = 1.0
    scene: Scene | None = None
    needs_target = True

    @classmethod
    def create(cls, scene: Scene, settings: Mapping[str, float]) -> Iterator[ContentLoss]:
        """One term for each layer; ``settings`` holds the layers with their weights."""
        for layer, weight in settings.items():
            yield cls(f"content_loss.{layer}", layer, weight=weight, scene=scene)

    @property
    def linear(self) -> bool:
        """Whether the value is the only statistic."""
        return self.scene.forms.content.divide_by != "difference"

    def statistics(self, features: mx.sym.Symbol, inputs: Symbols, edges: Edges) -> Symbols:
        """The sum of the squared differences, and that of their sizes if it divides by them."""
        difference = features - inputs["target"]
        sums = {"squares": sum_of_squares(difference)}
        return sums if self.linear else sums | {"sizes": total(mx.sym.abs(difference))}

    def value(self, statistics: Symbols, inputs: Symbols) -> mx.sym.Symbol:
        """The sum itself, or the quotient."""
        return statistics["squares"] if self.linear else over_difference(*statistics.values())

    def set_target_energy(self, energy: float) -> None:
        """Set the coefficient, which depends on the energy with ``divide_by=energy``."""
        unit = content_coefficient(self.scene.forms, self.scene.sizes(self.layer), energy)
        self.coefficient = self.weight * unit


def content_coefficient(forms: LossesConfig, sizes: tuple[int, int, int], energy: float) -> float:
    """What turns sum((F - P)^2) into the recipe's loss; see :func:`form_coefficient`."""
    power = 1 if forms.content.divide_by == "difference" else 2
    return form_coefficient(forms.content, sizes, energy, forms.feature_scale**power)
