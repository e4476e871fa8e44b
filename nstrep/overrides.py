"""Arguments as they are typed, made ready for Hydra: options before overrides, and paths quoted."""

from __future__ import annotations

import os
import re
from typing import Any, NoReturn

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from nstrep.base.errors import InputError
from nstrep.base.text import printable, shown
from nstrep.config.fields import declared
from nstrep.config.schema import ExperimentConfig
from nstrep.sweeps.directory_names import quoted

FOLDERS = ("hydra.run.dir", "hydra.sweep.dir")
"""Keys of Hydra that take a folder, which need not exist."""

UNREADABLE = object()


def arranged(arguments: list[str], schema: type = ExperimentConfig) -> list[str]:
    """Arguments as Hydra takes them: options before overrides, in which paths are quoted.

    Raises InputError for options that do not exist or do not go together.
    """
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise InputError(
                f"{printable(argument)}: must be UTF-8; rename the file, or set LANG=C.UTF-8"
            ) from None
    parser = get_args_parser()
    parser.error = _refuse_option
    options, rest = parser.parse_known_args(arguments)
    for unknown in (word for word in rest if word.startswith("-")):
        raise InputError(f"{unknown}: there is no such option; --help lists those there are")
    modes = [f"--{name}" for name in ("run", "multirun", "cfg", "info") if getattr(options, name)]
    if len(modes) > 1:
        raise InputError(
            f"{' '.join(modes)}: only one can be given; --cfg and --info are about a single run,"
            " with one value for each key"
        )
    if options.resolve and not options.cfg:
        raise InputError("--resolve: needs --cfg")
    overrides = [*options.overrides, *rest]
    others = list(arguments)
    for override in overrides:
        others.remove(override)
    return [*others, *(quoted_paths(override, schema) for override in overrides)]


def _refuse_option(message: str) -> NoReturn:
    raise InputError(message)


def quoted_paths(override: str, schema: type = ExperimentConfig) -> str:
    """Quote the paths in ``KEY=VALUE`` that Hydra would not take as the shell hands them over.

    After a key of a path, these are files and folders that exist, alone or as items of a list or
    sweep; and otherwise what Hydra cannot read. A folder of results is never a sweep.
    """
    name, _, value = override.partition("=")
    key, is_folder = declared(schema).get(name.lstrip("+")), name.lstrip("+") in FOLDERS
    is_list = key is not None and key.is_list
    if not value or not (is_folder or (key is not None and key.file)):
        return override

    def item(path: str) -> str:
        path = path if os.path.exists(path) else os.path.expanduser(path)
        if not os.path.exists(path):
            return path
        if "${" in path and not is_folder:
            raise InputError(f"{name}={shown(path)}: must be a path without ${{; rename the file")
        return path if path in ("null", _read(f"{name}={path}")) else quoted(path)

    whole = item(value)
    if is_list or not os.path.exists(os.path.expanduser(value)):
        whole = re.sub(r"[^\[\],\s][^\[\],]*", lambda part: item(part[0]), whole)
    read = None if is_list else _read(f"{name}={whole}")
    if read is UNREADABLE or (is_folder and not isinstance(read, str | None)):
        whole = quoted(whole)
    return f"{name}={whole}"


def _read(override: str) -> Any:
    """The value that Hydra reads, [] for a sweep, or UNREADABLE."""
    try:
        parsed = OverridesParser.create().parse_override(override)
    except HydraException:
        return UNREADABLE
    return [] if parsed.is_sweep_override() else parsed.value()
