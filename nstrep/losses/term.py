"""The protocol for loss terms, the registry of their kinds, and sums that several of them use.

The graph computes *raw* sums over positions only: sum(F F^T) of features, sum((F - P)^2), sums over
differences of pixels. What distinguishes one paper's loss from another's (halves, quarters, powers
of the layer's size) is one float64 number for each term, its coefficient, applied outside of the
graph.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import mxnet as mx
import numpy as np

from nstrep.config.fields import number, text
from nstrep.config.schema import LossForm

if TYPE_CHECKING:
    from nstrep.losses.scene import Scene

Symbols = Mapping[str, mx.sym.Symbol]


class Edges(NamedTuple):
    """Which sides of the positions given to a term are borders of the image."""

    top: bool = True
    bottom: bool = True
    left: bool = True
    right: bool = True


@dataclass
class Settings:
    """What ``extra_losses`` sets for every kind of loss; a kind may add keys with defaults."""

    weight: float = number("multiplies the loss", at_least=0)
    layers: list[str] = text("layers whose features the loss compares, one term for each")


@dataclass(eq=False)
class LossTerm:
    """One named loss: ``coefficient`` times ``value`` of the ``statistics`` of a layer.

    A subclass implements :meth:`create`, :meth:`statistics` and :meth:`value`. MXNet differentiates
    both. The statistics are sums over positions, so an image can be computed in tiles: a first pass
    adds the statistics up over the tiles, ``value`` is differentiated with respect to their sums,
    and a second pass sends these derivatives back through the statistics and the network.
    """

    name: str
    """Column of curve.csv: ``style_loss.relu3_1``, with regions ``style_loss.relu3_1.region2``."""
    layer: str | None
    """The layer whose features the statistics are computed from; None for the image itself."""
    coefficient: float | np.ndarray = 1.0
    """What the value is multiplied with; of a value of several numbers, a factor for each."""
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    """Arrays that the statistics and the value use, such as a target; of any shape."""
    maps: dict[str, np.ndarray] = field(default_factory=dict)
    """Arrays that the statistics use, with one value for each position: (1, C, H', W')."""

    sums_over_positions: ClassVar[bool] = True
    """Whether the statistics are sums over positions; if not, the term is refused in tiles."""
    linear: ClassVar[bool] = False
    """Whether the value is linear in the statistics, so that the first pass can do without them."""
    needs_target: ClassVar[bool] = False
    """Whether the statistics use the content image's features of the layer: ``inputs["target"]``"""
    overlap: ClassVar[int] = 0
    """How many more positions to the right and below the statistics of a tile use."""
    Settings: ClassVar[type[Settings] | None] = None
    """What ``extra_losses`` may set for this kind; None for the kinds that have their own keys."""

    @classmethod
    def create(cls, scene: Scene, settings: Any) -> Iterable[LossTerm]:
        """The terms of an experiment, in the order of their columns.

        Args:
            scene: network, images and formulas.
            settings: an instance of :attr:`Settings`.

        """
        raise NotImplementedError

    @classmethod
    def names(cls, branch: str, settings: Any, regions: int) -> list[str]:
        """The names of the terms that :meth:`create` makes."""
        return [f"{branch}.{layer}" for layer in settings.layers]

    def statistics(self, features: mx.sym.Symbol, inputs: Symbols, edges: Edges) -> Symbols:
        """Sums over positions, by name.

        Args:
            features: of :attr:`layer`, (1, N, H', W'): of the whole image or of a part of it.
            inputs: :attr:`constants`, :attr:`maps` at these positions, and ``target``.
            edges: which sides of the part are borders of the image.

        """
        raise NotImplementedError

    def value(self, statistics: Symbols, inputs: Symbols) -> mx.sym.Symbol:
        """The loss as a function of the whole image's statistics, shape (1,).

        A value of several numbers, (k,), stands for their sum, weighted by the coefficient.

        Args:
            statistics: what :meth:`statistics` returns.
            inputs: the :attr:`constants`.

        """
        raise NotImplementedError

    def set_target_energy(self, energy: float) -> None:
        """Adapt the coefficient to the target; ``energy`` is the sum of its squares, never 0."""


KINDS: dict[str, type[LossTerm]] = {}


def register(name: str) -> Callable[[type[LossTerm]], type[LossTerm]]:
    """Decorate a class of terms, so that an experiment can use it by name.

    Args:
        name: the key in ``extra_losses`` and the column with the sum of the terms; it must end in
            ``_loss``, by which plots recognise it.

    """
    if not name.endswith("_loss"):
        raise ValueError(f"{name}: the name of a kind of loss must end in _loss")

    def add(kind: type[LossTerm]) -> type[LossTerm]:
        KINDS[name] = kind
        return kind

    return add


def kinds() -> Mapping[str, type[LossTerm]]:
    """All kinds of terms by name; importing the modules of this package registers theirs."""
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        importlib.import_module(f"nstrep.losses.{module.name}")
    return KINDS


def total(x: mx.sym.Symbol) -> mx.sym.Symbol:
    """Sum over everything, shape (1,)."""
    flat = mx.sym.reshape(x, shape=(-1,))
    # As a product it takes a tenth of the time of MXNet's sum.
    return mx.sym.dot(flat, mx.sym.ones_like(flat))


def sum_of_squares(x: mx.sym.Symbol) -> mx.sym.Symbol:
    """Sum of x^2 over everything, shape (1,)."""
    flat = mx.sym.reshape(x, shape=(-1,))
    return mx.sym.dot(flat, flat)


def energy(target: np.ndarray) -> float:
    """Sum of the squares in float64; 1 for a target that is all zero, which scales nothing."""
    return float(np.sum(np.square(target, dtype=np.float64))) or 1.0


def form_factor(form: LossForm, channels: int, positions: int, image_positions: int) -> float:
    """The number factor / (N^channels_power M^positions_power) of a formula; see :class:`LossForm`.

    Args:
        form: the formula.
        channels: N of the layer.
        positions: M of the layer.
        image_positions: height x width of the image, used instead with ``image_size``.

    """
    n, m = (3, image_positions) if form.divide_by == "image_size" else (channels, positions)
    return form.factor / (n**form.channels_power * m**form.positions_power)
