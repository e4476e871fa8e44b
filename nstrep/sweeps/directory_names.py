"""Folders of sweeps and their runs, named by what was typed: the same command finds them again."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from nstrep.config.fields import split_override

LONGEST = 100
"""Characters of a name; a file system takes 255 bytes."""

PATH = re.compile(r"[^\s,=+'\"\[\]]*/+")
"""The folders of a path inside an override: its last part says enough."""

BRACKETS = re.compile(r"[\[\](){}'\"]")
LOST = re.compile(r"[^A-Za-z0-9_.,=+-]+")


def folder_name(overrides: Iterable[str], otherwise: str) -> str:
    """A file name for overrides, readable in a list and the same every time.

    Folders of paths and characters that a shell or file system may not like are dropped. If
    anything was, or the name was cut, a hash of the whole ends it, so that different overrides
    never share a name.

    Args:
        overrides: as typed, ``key=value``.
        otherwise: the name if there are none.

    """
    whole = "+".join(overrides)
    name = LOST.sub("-", BRACKETS.sub("", PATH.sub("", whole))).strip("-.")
    if name == whole and len(name) <= LONGEST:
        return name or otherwise
    digest = hashlib.sha256(whole.encode("utf-8", "backslashreplace")).hexdigest()[:8]
    return f"{name[: LONGEST - 9].rstrip('-.')}-{digest}".lstrip("-")


def run_name(overrides: Sequence[str], constant: Sequence[str] = ()) -> str:
    """The name of a run inside its sweep: what sets it apart from the others.

    Args:
        overrides: of this run alone.
        constant: keys that are the same in the whole sweep; left out unless nothing else is left.

    """
    varied = [item for item in overrides if split_override(item)[0] not in constant]
    return folder_name([",".join(varied or overrides)], "run")


def parsed(overrides: Iterable[str]) -> list[Override]:
    """Overrides as Hydra understands them; the last of each key counts."""
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    return list({item.key_or_group: item for item in parser.parse_overrides(overrides)}.values())


def sweep_name(config: DictConfig) -> str:
    """The name of a sweep: what was typed, first what varies."""
    given = config.hydra.overrides
    params = "hydra.sweeper.params."
    typed = [item for item in given.hydra if item.lstrip("+").startswith(params)]
    items = parsed([item.lstrip("+").removeprefix(params) for item in typed] + list(given.task))
    items.sort(key=lambda item: not item.is_sweep_override())
    return folder_name([item.input_line for item in items], "sweep")


def register() -> None:
    """Teach OmegaConf the names that the configurations use for folders."""
    OmegaConf.register_new_resolver(
        "nstrep.typed_name",
        lambda *, _root_: folder_name(list(_root_.hydra.overrides.task), "default"),
        replace=True,
    )
    OmegaConf.register_new_resolver(
        "nstrep.sweep_name", lambda *, _root_: sweep_name(_root_), replace=True
    )
    OmegaConf.register_new_resolver(
        "nstrep.run_name",
        lambda *, _root_: run_name(
            list(_root_.hydra.overrides.task),
            list(_root_.hydra.job.config.override_dirname.exclude_keys),
        ),
        replace=True,
    )
