"""The styles in this package, or those of a trained network, over images."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from nstrep.base.errors import InputError
from nstrep.base.text import shown
from nstrep.base.untrusted import read_json
from nstrep.config.messages import did_you_mean
from nstrep.fast import graph, layouts, native
from nstrep.fast.settings import COLORS

SHIPPED = Path(__file__).with_name("styles.npz")
"""The network of many styles in this package; its card is the .json beside it."""


class Stylizer:
    """A network of one or many styles."""

    def __init__(self, model: str | os.PathLike[str] | None = None) -> None:
        """Read a run directory or a file of parameters; without any, the styles of this package.

        Raises InputError if it cannot be used.
        """
        self.source = "this package" if model is None else shown(model)
        self.net, self.parameters = layouts.load(SHIPPED if model is None else os.fspath(model))
        self.styles = self.net.styles
        self.card = _card(SHIPPED) if model is None else {}
        self._network = native.Network(self.net, self.parameters)

    def __call__(
        self, rgb01: np.ndarray, weights: Mapping[str, float] | None, *,
        strength: float = 1.0, color: str = "style", tile: int = 0,
        progress: Callable[[float], None] = lambda share: None,
    ) -> np.ndarray:  # fmt: skip
        """Stylise ``rgb01`` (H, W, 3); the result is in [0, 1]. Raises InputError if it is NaN.

        ``weights`` are those of :meth:`weights`. ``color=luminance`` gives the result the
        chrominance (I and Q of YIQ) of the image. ``strength`` s then mixes the two pixel by pixel
        in the encoded values: s result + (1 - s) image. ``tile`` is the side of tiles, 0 for none.
        """
        if tile:
            from nstrep.fast import tiles
            from nstrep.fast.network import Transformer

            transformer = Transformer(self.net, self.parameters)
            result = tiles.stylize(transformer, rgb01, tile, progress, weights)
        else:
            result = self._network(rgb01, weights)
        result = result.clip(0, 1)
        if np.isnan(result).any():
            raise InputError(f"model: the network of {self.source} gives NaN instead of colours")
        if color == "luminance":
            from nstrep.images.color import with_chrominance

            result = with_chrominance(result, rgb01).clip(0, 1)
        return result if strength == 1 else rgb01 + np.float32(strength) * (result - rgb01)

    def weights(self, style: str | Mapping[str, float] | None) -> dict[str, float] | None:
        """The weights of the styles that are named, 1 in all; None for a network of one style.

        ``style`` is a name, a blend such as ``swirls:0.5,surf:0.5``, or a mapping. Weights count in
        proportion to each other; a name without any has 1. Raises InputError for what is not known.
        """
        if not self.styles:
            if style is not None:
                raise InputError(f"style={style}: {self.source} has one style, leave style out")
            return None
        allowed = f"one or more of {', '.join(self.styles)}"
        if style is None:
            raise InputError(f"style: no value is given; must be {allowed}")
        if not isinstance(style, (str, Mapping)):
            raise InputError(f"style={style}: must be {allowed}, or a mapping from them to weights")
        pairs = _pairs(style) if isinstance(style, str) else list(style.items())
        given = style if isinstance(style, str) else ",".join(f"{n}:{w}" for n, w in pairs)
        for name, weight in pairs:
            if name not in self.styles:
                hint = did_you_mean(str(name), self.styles)
                raise InputError(f"style={given}: {name!r} must be {allowed}{hint}")
            if not (isinstance(weight, (int, float, np.number)) and 0 <= weight < math.inf):
                raise InputError(f"style={given}: the weight of {name} must be at least 0")
        total = sum(weight for _, weight in pairs)
        if len(dict(pairs)) < len(pairs) or not 0 < total < math.inf:
            raise InputError(f"style={given}: must name each style once, and not all with 0")
        return {name: float(weight / total) for name, weight in pairs}

    def titles(self) -> dict[str, str]:
        """Each style's title and origin, as the card has them; empty where there is no card."""
        known = self.card.get("styles", {})
        facts = {name: known.get(name, {}) for name in self.styles}
        return {
            name: ", ".join(str(fact[key]) for key in ("title", "painter") if fact.get(key))
            for name, fact in facts.items()
        }

    def check_size(self, rgb01: np.ndarray, name: str) -> None:
        """Raise InputError, naming ``name``, for an image that is too small."""
        graph.check_size(self.net, *rgb01.shape[:2], name)


def _pairs(style: str) -> list[tuple[str, float]]:
    pairs = []
    for part in style.split(","):
        name, colon, weight = (piece.strip() for piece in part.partition(":"))
        try:
            pairs.append((name, float(weight) if colon else 1.0))
        except ValueError:
            raise InputError(f"style={style}: the weight {weight!r} must be a number") from None
    return pairs


def _card(network: Path) -> dict:
    file = network.with_suffix(".json")
    return read_json(file.read_text(encoding="utf-8")) if file.is_file() else {}


def check_options(strength: float, color: str) -> None:
    """Raise InputError for a strength outside [0, 1] or another word for the colours."""
    if not (isinstance(strength, (int, float, np.number)) and 0 <= strength <= 1):
        raise InputError(f"strength={strength}: must be a number from 0 to 1")
    if color not in COLORS:
        raise InputError(f"color={color}: must be one of {', '.join(COLORS)}")
