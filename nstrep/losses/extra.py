"""The key ``extra_losses``: kinds of loss terms beyond content, style and total variation."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from omegaconf import OmegaConf

from nstrep.base.errors import InputError
from nstrep.config.checks import typed
from nstrep.losses.term import Settings, kinds
from nstrep.networks.vgg import Architecture


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
            near = difflib.get_close_matches(str(name), known, 1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known) or 'none'}"
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
