"""The objective as an optimiser sees it: a function of a basis's coefficients."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nstrep.base.errors import DivergedError
from nstrep.losses.objective import Objective
from nstrep.optim.basis import Pixels
from nstrep.optim.float32 import norm


@dataclass(frozen=True, kw_only=True)
class Point:
    """Coefficients with the objective's value and gradient there; arrays are (1, 3, H, W)."""

    coefficients: np.ndarray
    image: np.ndarray  # vgg_input
    losses: Mapping[str, float]
    gradient: np.ndarray  # with respect to the coefficients
    gradient_norm: float  # of the gradient with respect to the image


def not_finite(losses: Mapping[str, float]) -> str:
    """The losses that are NaN or infinite, those of single layers counted; or the gradient."""
    bad = [name for name, value in losses.items() if not math.isfinite(value)]
    whole = [name for name in bad if "." not in name]
    layers = f" and {len(bad) - len(whole)} of layers" if len(bad) > len(whole) else ""
    return ", ".join(whole) + layers if bad else "the gradient"


class Problem:
    """The objective as a function of a basis's coefficients; counts and checks evaluations."""

    def __init__(self, objective: Objective, basis: Pixels) -> None:
        self.objective, self.basis = objective, basis
        self.evaluations = 0

    def image(self, coefficients: np.ndarray) -> np.ndarray:
        """The ``vgg_input`` image of coefficients, both (1, 3, H, W)."""
        return np.asarray(self.basis.to_image(coefficients), dtype=np.float32)

    def evaluate(self, coefficients: np.ndarray) -> Point:
        """Losses and gradient at coefficients; DivergedError if one is not finite."""
        image = self.image(coefficients)
        evaluation = self.objective(image)
        gradient = evaluation.gradient.asnumpy()
        self.evaluations += 1
        length = norm(gradient)
        if not (math.isfinite(evaluation.total) and math.isfinite(length)):
            raise DivergedError(f"{not_finite(evaluation.losses)} became NaN or infinite")
        return Point(
            coefficients=coefficients,
            image=image,
            losses=evaluation.losses,
            gradient=self.basis.pull_back(gradient),
            gradient_norm=length,
        )
