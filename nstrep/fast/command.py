"""Command lines of KEY=VALUE arguments with the keys of a schema."""

from __future__ import annotations

import sys
from dataclasses import fields

from omegaconf import DictConfig, OmegaConf

from nstrep.base.errors import InputError
from nstrep.config.checks import Schema, typed
from nstrep.config.messages import unknown_key


def parse(
    arguments: list[str], schema: type[Schema], usage: str, defaults: DictConfig | None = None
) -> Schema:
    """Read KEY=VALUE arguments; on ``-h`` or without any, print the usage and exit.

    Raises InputError for an argument of another form, an unknown key or a value not allowed.
    """
    keys = {item.name: item.metadata["about"] for item in fields(schema)}
    if not arguments or {"-h", "--help"} & set(arguments):
        print(usage, *(f"  {key}: {about}" for key, about in keys.items()), sep="\n")
        sys.exit()
    values, names = OmegaConf.merge(defaults or {}), ", ".join(keys)
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals:
            raise InputError(f"{argument}: must be KEY=VALUE, with one of {names}")
        if key not in keys:
            raise InputError(f"{unknown_key(key, schema)} (one of {names})")
        if not value:
            raise InputError(f"{key}=: no value is given")
        values[key] = value
    return typed(values, schema)
