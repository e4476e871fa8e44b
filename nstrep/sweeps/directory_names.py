"""Names of the folders of sweeps and runs, made from the command line.

The same command therefore finds its folders again.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from omegaconf import DictConfig, OmegaConf

from nstrep.config.fields import split_override

LONGEST = 100
"""Characters of a name; file systems allow 255 bytes."""


def folder_name(overrides: Iterable[str], otherwise: str) -> str:
    """A readable file name for overrides, the same every time.

    The folders of paths and characters that a shell or file system may not accept are dropped. If
    anything was dropped, or the name was cut, it ends with a hash, so that different overrides
    never share a name. Without overrides it is ``otherwise``.
    """
    whole = "+".join(overrides)
    name = re.sub(r"[^\s,=+'\"\[\]]*/+", "", whole)  # of a path, only the last part
    name = re.sub(r"[\[\](){}'\"]", "", name)
    name = re.sub(r"[^A-Za-z0-9_.,=+-]+", "-", name).strip("-.")
    if name == whole and len(name) <= LONGEST:
        return name or otherwise
    digest = hashlib.sha256(whole.encode("utf-8", "backslashreplace")).hexdigest()[:8]
    return f"{name[: LONGEST - 9].rstrip('-.')}-{digest}".lstrip("-")


def run_name(overrides: Sequence[str], constant: Sequence[str] = ()) -> str:
    """The name of a run in its sweep, without the keys that are constant if there are others."""
    varied = [item for item in overrides if split_override(item)[0] not in constant]
    return folder_name([",".join(varied or overrides)], "run")


def quoted(text: object) -> str:
    """A value of an override that Hydra reads as this text, whatever its characters."""
    return QuotedString(str(text), Quote.single).with_quotes()


def parsed(overrides: Iterable[str]) -> list[Override]:
    """Overrides as Hydra parses them; the last one of each key counts."""
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    return list({item.key_or_group: item for item in parser.parse_overrides(overrides)}.values())


def sweep_name(config: DictConfig) -> str:
    """The name of a sweep: its overrides, the swept keys first."""
    given, params = config.hydra.overrides, "hydra.sweeper.params."
    typed = [item.lstrip("+") for item in given.hydra]
    swept = [item.removeprefix(params) for item in typed if item.startswith(params)]
    items = parsed([*swept, *given.task])
    items.sort(key=lambda item: not item.is_sweep_override())
    return folder_name([item.input_line for item in items], "sweep")


def register_resolvers() -> None:
    """Register the OmegaConf resolvers that the files in configs/ use to name folders."""
    resolvers = {
        "typed_name": lambda *, _root_: folder_name(_root_.hydra.overrides.task, "default"),
        "sweep_name": lambda *, _root_: sweep_name(_root_),
        "run_name": lambda *, _root_: run_name(
            list(_root_.hydra.overrides.task), _root_.hydra.job.config.override_dirname.exclude_keys
        ),
    }
    for name, resolver in resolvers.items():
        OmegaConf.register_new_resolver(f"nstrep.{name}", resolver, replace=True)
