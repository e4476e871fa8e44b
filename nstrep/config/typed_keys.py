"""What the user typed: keys that are not set by hand, and keys without an effect."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from operator import attrgetter
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from nstrep.base.errors import InputError
from nstrep.config.fields import Key, declared, split_override
from nstrep.config.folder import group_options

log = logging.getLogger(__name__)

REPLACED = {"content": ("content_image",), "style": ("style_image", "styles")}
"""Groups, and the keys for files that are used instead of a group's option."""


def typed_overrides() -> dict[str, str]:
    """What the user typed after the running command, by key, with ``${...}`` as it is."""
    typed = OmegaConf.to_container(HydraConfig.get().overrides.task, resolve=False)
    return dict(map(split_override, typed))


def check_typed(config: Any, typed: Mapping[str, Any]) -> None:
    """Refuse what cannot be meant, and warn of keys that change nothing.

    ``config`` is checked already; ``typed`` has the keys that the user set, with their values.
    InputError for a key that only the options of a group set, and for a picture given twice.
    """
    keys = declared(type(config))
    for key, value in typed.items():
        group, dot, _ = key.partition(".")
        if dot and group in keys and not keys[group].listed:
            _refuse_field(key, value, type(config).GROUPS)
        files = [file for file in REPLACED.get(key, ()) if file in typed and getattr(config, file)]
        if files:
            raise InputError(f"{key}={value}, {files[0]}: only one can be given")
    idle = [_idle(config, keys[name], value) for name, value in typed.items() if name in keys]
    if any(idle):
        log.warning("no effect: %s", "; ".join(filter(None, idle)))


def _idle(config: Any, key: Key, value: Any) -> str:
    """``key=value with other=value`` if the key has no effect because of the other; else empty."""
    if key.is_group or not key.effect or attrgetter(key.name)(config) is None:
        return ""
    if any(condition.holds(config) for condition in key.effect):
        return ""
    others = ((each.key, attrgetter(each.key)(config)) for each in key.effect)
    causes = (f"{name}={'null' if now is None else now}" for name, now in others)
    return f"{key.name}={value} with {' and '.join(causes)}"


def _refuse_field(name: str, value: Any, groups: Collection[str]) -> None:
    """Say how to choose the option that sets a field of a group; the groups are those of Hydra."""
    role = name.partition(".")[0]
    group = next((each for each in groups if each.rpartition("/")[2] == role), role)
    option = value if value in group_options(group) else "NAME"
    file = f" or {role}_image=FILE" if role in REPLACED else ""
    raise InputError(f"{name}={value}: only {group} sets it; type {group}={option}{file}")


def check_no_sweep(params: Mapping[str, Any] | None, typed: Mapping[str, Any], way: str) -> None:
    """Refuse an experiment that is a sweep where one run is made; InputError with the other way.

    ``params`` are its swept keys. Those that are typed have one value.
    """
    swept = [key for key in params or {} if key not in typed]
    if swept and "experiment" in typed:
        name = f"experiment={typed['experiment']}"
        raise InputError(f"{name}: is a sweep over {', '.join(swept)}, {way}")
