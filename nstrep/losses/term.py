"""The protocol for loss terms, and the registry of their kinds.

The graph computes *raw* sums over positions only: sum(F F^T) of features, sum((F - P)^2), sums over
differences of pixels. What distinguishes one paper's loss from another's (halves, quarters, powers
of the layer's size) is a float64 coefficient for each term, applied outside of the graph.
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
from omegaconf import OmegaConf

from nstrep.base.errors import InputError
from nstrep.config.checks import typed
from nstrep.config.fields import number, text
from nstrep.config.messages import did_you_mean
from nstrep.config.schema import LossForm
from nstrep.networks.vgg import Architecture

if TYPE_CHECKING:
    from nstrep.losses.tiling import Scene

Symbols = Mapping[str, mx.sym.Symbol]


class Edges(NamedTuple):
    """Which sides of the positions given to a term are borders of the image."""

    top: bool
    bottom: bool
    left: bool
    right: bool


@dataclass
class Settings:
    """What ``extra_losses`` sets for every kind of loss; a kind may add keys with defaults."""

    weight: float = number("multiplies the loss", at_least=0)
    layers: list[str] = text("layers whose features the loss compares, one term for each")


@dataclass(eq=False)
class LossTerm:
    """One named loss: ``coefficient`` times the ``value`` of the ``statistics`` of a layer.

    A subclass implements :meth:`create`, :meth:`statistics` and :meth:`value`; MXNet differentiates
    both. The statistics are sums over positions, so that an image can be computed in tiles.
    """

    name: str  # column of curve.csv: style_loss.relu3_1, with regions style_loss.relu3_1.region2
    layer: str | None  # whose features the statistics are computed from; None for the image itself
    coefficient: float | np.ndarray = 1.0  # for a value of several numbers, a factor for each
    # Arrays of any shape that the statistics and the value use, such as a target.
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    # Arrays that the statistics use, with values for each position: (1, C, H', W').
    maps: dict[str, np.ndarray] = field(default_factory=dict)

    sums_over_positions: ClassVar[bool] = True  # if the statistics are not, tiles are refused
    linear: ClassVar[bool] = False  # the value in the statistics: saves the first pass over tiles
    needs_target: ClassVar[bool] = False  # inputs["target"]: the content image's features
    overlap: ClassVar[int] = 0  # positions right of and below its own that a tile's statistics use
    # Keys of this kind in extra_losses, a dataclass; None if it has keys of its own elsewhere.
    Settings: ClassVar[type | None] = None

    @classmethod
    def create(cls, scene: Scene, settings: Any) -> Iterable[LossTerm]:
        """The terms of an experiment, ``KIND.LAYER`` for each layer of the :class:`Settings`."""
        raise NotImplementedError

    def statistics(self, features: mx.sym.Symbol, inputs: Symbols, edges: Edges) -> Symbols:
        """Sums over positions, by name.

        ``features`` are those of :attr:`layer`, (1, N, H', W'), over the whole image or a part of
        it; ``inputs`` the constants, the maps at these positions, and the target.
        """
        raise NotImplementedError

    def value(self, statistics: Symbols, inputs: Symbols) -> mx.sym.Symbol:
        """The loss, shape (1,), from the whole image's statistics and the constants.

        A value of several numbers, (k,), stands for their sum weighted by the coefficient.
        """
        raise NotImplementedError

    def set_target_energy(self, energy: float) -> None:
        """Adapt the coefficient to the sum of the squares of the target, which is never 0."""


KINDS: dict[str, type[LossTerm]] = {}


def register(name: str) -> Callable[[type[LossTerm]], type[LossTerm]]:
    """Decorate a class of terms, so that experiments can use it by name.

    The name is that of the column with the sum of the terms; plots recognise it by ``_loss``.
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


def extra_settings(
    given: Mapping[str, Any] | None, architecture: Architecture | None = None
) -> dict[str, Settings]:
    """The settings of each of the ``extra_losses`` by its kind, checked.

    Without ``architecture`` the names of layers are not. Raises InputError with the key.
    """
    known = {name: kind.Settings for name, kind in kinds().items() if kind.Settings is not None}
    checked = {}
    for name, values in (given or {}).items():
        key = f"extra_losses.{name}"
        if name not in known:
            hint = f"known: {', '.join(known) or 'none'}{did_you_mean(str(name), known)}"
            raise InputError(f"{key}: there is no such loss; {hint}")
        if not isinstance(values, Mapping):
            raise InputError(f"{key}={values}: must be settings, {{weight: 1, layers: [relu2_1]}}")
        try:
            settings = typed(OmegaConf.create(dict(values)), known[name])
        except InputError as error:
            raise InputError(f"{key}.{error}") from None
        layers = settings.layers
        if not layers or len(set(layers)) < len(layers):
            raise InputError(f"{key}.layers={layers}: must name one or more layers, each once")
        if architecture is not None:
            architecture.check_layers(layers, f"{key}.layers")
        checked[name] = settings
    return checked


def extra_layers(settings: Mapping[str, Settings]) -> list[str]:
    """The layers that the extra losses compare."""
    return [layer for each in settings.values() for layer in each.layers]


def sum_of_squares(x: mx.sym.Symbol) -> mx.sym.Symbol:
    """Sum of x^2 over everything, shape (1,)."""
    flat = mx.sym.reshape(x, shape=(-1,))
    return mx.sym.dot(flat, flat)


def total(x: mx.sym.Symbol) -> mx.sym.Symbol:
    """Sum over everything, shape (1,)."""
    flat = mx.sym.reshape(x, shape=(-1,))
    # As a product it takes a tenth of the time of MXNet's sum.
    return mx.sym.dot(flat, mx.sym.ones_like(flat))


def over_difference(squares: mx.sym.Symbol, absolute: mx.sym.Symbol) -> mx.sym.Symbol:
    """``divide_by=difference``: sum(d^2) / (sum(|d|) + 1e-8) of the two sums."""
    return mx.sym.broadcast_div(squares, absolute + 1e-8)


def energy(target: np.ndarray) -> float:
    """Sum of the squares in float64; 1 for a target that is all zero, which scales nothing."""
    return float(np.sum(np.square(target, dtype=np.float64))) or 1.0


def form_coefficient(
    form: LossForm, sizes: tuple[int, int, int], energy: float, units: float
) -> float:
    """What turns a sum of squared differences into a recipe's loss at weight 1.

    ``sizes`` holds N and M of the layer and the pixels of the image. ``divide_by=energy`` divides
    by the target's energy; the other formulas need the sum in the recipe's own units.
    """
    if form.divide_by == "difference":  # by the sum of absolute differences, in the graph
        return form.factor * units
    if form.divide_by == "energy":
        return form.factor / energy
    n, m = (3, sizes[2]) if form.divide_by == "image_size" else sizes[:2]
    return form.factor / (n**form.channels_power * m**form.positions_power) * units
