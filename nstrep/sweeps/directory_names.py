"""Names of the folders of sweeps and runs, made from the command line.

The same command therefore finds its folders again.
"""

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
"""Characters of a name; file systems allow 255 bytes."""

FOLDERS = re.compile(r"[^\s,=+'\"\[\]]*/+")
"""The folders of a path in an override; only its last part goes into the name."""

BRACKETS = re.compile(r"[\[\](){}'\"]")
UNSAFE = re.compile(r"[^A-Za-z0-9_.,=+-]+")


def folder_name(overrides: Iterable[str], otherwise: str) -> str:
    """A readable file name for overrides, the same every time.

    The folders of paths and characters that a shell or file system may not accept are dropped. If
    anything was dropped, or the name was cut, it ends with a hash, so that different overrides
    never share a name.

    Args:
        overrides: as typed, ``key=value``.
        otherwise: the name if there are no overrides.

    """
    whole = "+".join(overrides)
    name = UNSAFE.sub("-", BRACKETS.sub("", FOLDERS.sub("", whole))).strip("-.")
    if name == whole and len(name) <= LONGEST:
        return name or otherwise
    digest = hashlib.sha256(whole.encode("utf-8", "backslashreplace")).hexdigest()[:8]
    return f"{name[: LONGEST - 9].rstrip('-.')}-{digest}".lstrip("-")


def run_name(overrides: Sequence[str], constant: Sequence[str] = ()) -> str:
    """The name of a run in its sweep.

    Args:
        overrides: those of this run.
        constant: keys that do not vary in the sweep; left out unless there are no others.

    """
    varied = [item for item in overrides if split_override(item)[0] not in constant]
    return folder_name([",".join(varied or overrides)], "run")


def parsed(overrides: Iterable[str]) -> list[Override]:
    """Overrides as Hydra parses them; the last one of each key counts."""
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    return list({item.key_or_group: item for item in parser.parse_overrides(overrides)}.values())


def sweep_name(config: DictConfig) -> str:
    """The name of a sweep: its overrides, the swept keys first."""
    given = config.hydra.overrides
    params = "hydra.sweeper.params."
    typed = [item for item in given.hydra if item.lstrip("+").startswith(params)]
    items = parsed([item.lstrip("+").removeprefix(params) for item in typed] + list(given.task))
    items.sort(key=lambda item: not item.is_sweep_override())
    return folder_name([item.input_line for item in items], "sweep")


def register() -> None:
    """Register the OmegaConf resolvers that the files in configs/ use to name folders."""
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
