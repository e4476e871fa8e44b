"""``KEY=VALUE`` arguments of the commands that do not compose a configuration.

They are read without OmegaConf and Hydra, which take longer to import than a fast network needs.
"""

from __future__ import annotations

import math
import operator
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from nstrep.base.command_line import answer, synopsis
from nstrep.base.errors import InputError
from nstrep.config.fields import Key, declared
from nstrep.config.messages import KINDS, as_typed, one_of, unknown_key

Schema = TypeVar("Schema")

WORDS = {"true": True, "false": False}


def parse(
    arguments: Sequence[str], schema: type[Schema], usage: str, defaults: Mapping[str, Any]
) -> Schema:
    """Read KEY=VALUE arguments for a schema without groups; ``null`` stands for no value.

    On ``--help`` or ``--version``, prints that and exits; without any argument, prints the usage
    and exits with the code of a bad input. Raises InputError for an argument of another form, an
    unknown key or a value not allowed.
    """
    keys = declared(schema)
    about = "\n".join(f"  {name}: {key.about}" for name, key in keys.items())
    form, description = synopsis(usage)
    page = f"usage: {form}\n\n{description}\n\nKeys (KEY=VALUE):\n{about}"
    answer(arguments, page)
    if not arguments:
        print(page, file=sys.stderr)
        sys.exit(InputError.exit_code)
    values, names = dict(defaults), ", ".join(keys)
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not equals:
            raise InputError(f"{argument}: must be KEY=VALUE, with one of {names}")
        if name not in keys:
            raise InputError(f"{unknown_key(name, schema)} (one of {names})")
        if not value:
            raise InputError(f"{name}=: no value is given")
        values[name] = converted(keys[name], value)
    for name in keys:
        if values.get(name, "???") == "???":
            raise InputError(f"{name}: no value is given")
    for name, value in values.items():
        if value is not None:
            check_value(keys[name], value)
    return schema(**values)


def converted(key: Key, value: str) -> Any:
    """A value as the type of its key, which may be optional."""
    kinds = getattr(key.kind, "__args__", (key.kind,))
    if value == "null" and type(None) in kinds:
        return None
    kind = kinds[0]
    if kind is Any:
        return value
    try:
        return WORDS[value.lower()] if kind is bool else kind(value)
    except (KeyError, ValueError):
        name = {"int": "integer"}.get(kind.__name__, kind.__name__)
        raise InputError(f"{key.name}={value}: must be {KINDS[name]}") from None


def check_value(key: Key, value: Any) -> None:
    """Raise InputError for a value outside of the range or the options of its key."""
    if isinstance(value, list) and any(isinstance(item, (list, dict)) for item in value):
        raise InputError(f"{key.name}={as_typed(value)}: must be a list without others inside it")
    for path in value if key.is_list else [value]:
        if key.is_path(path):
            _check_path(key.name, path)
    if key.options and value not in key.options:
        raise InputError(f"{key.name}={value}: must be {one_of(value, key.options)}")
    if key.limits is None:
        return
    if not math.isfinite(value):
        raise InputError(f"{key.name}={value}: must be a finite number")
    tests = zip(
        key.limits._fields, key.limits, (operator.gt, operator.ge, operator.le, operator.lt)
    )
    for words, limit, holds in tests:
        if not holds(value, limit):
            must = f"{words.replace('_', ' ')} {limit:.15g}"
            raise InputError(f"{key.name}={value:.15g}: must be {must}")


def _check_path(name: str, path: str) -> None:
    if not path:
        raise InputError(f"{name}=: no value is given")
    if re.match("[A-Za-z]+://", path):
        raise InputError(f"{name}={path}: must be a file on this machine; download it first")
