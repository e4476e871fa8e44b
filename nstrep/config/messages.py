"""One-line explanations of errors in a configuration."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from nstrep.config.fields import declared, known_keys

if TYPE_CHECKING:
    from omegaconf.errors import OmegaConfBaseException

KINDS = {"float": "a number", "integer": "a whole number", "bool": "true or false"}


def as_typed(value: Any) -> str:
    """A value as it is typed on the command line."""
    return "[" + ",".join(map(str, value)) + "]" if isinstance(value, list) else str(value)


def did_you_mean(word: str, options: Iterable[str]) -> str:
    """The end of a message that suggests the most similar option; empty if none is similar."""
    near = difflib.get_close_matches(word, list(options), 1)
    return f" (did you mean {near[0]}?)" if near else ""


def one_of(word: object, options: Iterable[str]) -> str:
    """``one of a, b``: the options that are allowed, and whether the word is similar to one."""
    return f"one of {', '.join(options)}{did_you_mean(str(word), options)}"


def unknown_key(key: str, schema: type) -> str:
    """Say that a key does not exist, and suggest a similar key or group of a schema."""
    groups = getattr(schema, "GROUPS", ())
    near = [group for group in groups if group.endswith(f"/{key}")]  # net=small for fast/net=small
    near += difflib.get_close_matches(key, [*groups, *known_keys(schema)], 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"{key}: there is no such key{hint}"


def explain(error: OmegaConfBaseException, schema: type) -> str:
    """One plain line for an error of OmegaConf, which has several; ``schema`` has the keys."""
    key, message = str(error.full_key or error.key), str(error.msg or error)
    if "is not Optional" in message:
        return f"{key}=null: must have a value"
    if "raised while resolving interpolation" in message:
        return f"{key}: a ${{...}} in its value cannot be resolved"
    option = any(group.endswith(f"/{key}") for group in getattr(schema, "GROUPS", ()))
    if key in (known := declared(schema)) and known[key].is_group and not option:
        inside = next(
            name for name in known if name.startswith(f"{key}.") and not known[name].is_group
        )
        return f"{key}: is a group of keys, such as {inside}"
    first = message.strip().splitlines()[0].replace("'", "")
    wrong = re.match(
        r"Value (.*?) (?:of type \w+ )?(?:could not be converted to|is not a valid) (\w+)", first
    )
    if wrong and (kind := wrong[2].lower()) in KINDS:
        return f"{key}={wrong[1]}: must be {KINDS[kind]}"
    if key.endswith("]"):
        return f"{key}: is no value for an entry of this list"
    if ("not in" in first or "is not a subclass of" in first) and key:
        return unknown_key(key, schema)
    if "is not a ListConfig" in first:
        example = "[relu1_1,relu2_1]" if key.endswith("layers") else "[a,b]"
        return f"{key}: must be a list, such as {example}"
    return f"{key}: {first[0].lower()}{first[1:]}"
