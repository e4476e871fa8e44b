"""``--help`` of the commands that Hydra composes, without loading Hydra."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from omegaconf import OmegaConf

from nstrep.base.command_line import synopsis
from nstrep.config.fields import declared
from nstrep.config.folder import config_folder, group_options

OPTIONS = """\
  --multirun, -m  a sweep: a run for each combination of the values in KEY=A,B
  --cfg job       print the configuration instead of running it
  --help, --version; and those of Hydra (--info, --config-dir, ...), which --hydra-help lists
"""


def page(about: str, examples: str, schema: type, files: Sequence[str], more: str) -> str:
    """Usage, examples, groups with their options, the common keys, and where the rest is.

    ``about`` is the docstring of the command. ``files`` of configs/ hold the defaults; the first
    one that has a key counts.
    """
    usage, text = synopsis(about)
    width = min(100, shutil.get_terminal_size().columns)
    groups = [_row(f"{name}=", ", ".join(group_options(name)), width) for name in schema.GROUPS]
    keys = [_row(name, about, width) for name, about in _common(schema, files)]
    parts = {
        "Examples": examples,
        "Groups, which set several keys at once (GROUP=OPTION)": "\n".join(groups),
        "Common keys, with their defaults (KEY=VALUE)": "\n".join(keys),
        "Options": OPTIONS,
    }
    sections = [f"{title}:\n{body.rstrip()}" for title, body in parts.items()]
    return "\n\n".join([f"usage: {usage}", text, *sections, more.strip()])


def _common(schema: type, files: Sequence[str]) -> Iterator[tuple[str, str]]:
    loaded = [OmegaConf.load(config_folder() / f"{file}.yaml") for file in files]
    sections = list(dict.fromkeys(key.section for key in declared(schema).values()))
    keys = [key for key in declared(schema).values() if key.common]
    for key in sorted(keys, key=lambda key: sections.index(key.section)):
        values = (OmegaConf.select(file, key.name, default=...) for file in loaded)
        yield f"{key.name}={_typed(next(v for v in values if v is not ...))}", key.about


def _typed(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def _row(name: str, text: str, width: int) -> str:
    lines = textwrap.wrap(text, max(30, width - 24))
    return textwrap.indent("\n".join(lines), " " * 24).replace(" " * 24, f"  {name:<22}", 1)
