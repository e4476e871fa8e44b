"""Declarations of configuration keys, and queries about them.

A field of a schema carries everything that is special about its key: help text, allowed values and
the properties of :class:`Key`. Other modules ask for these; none has a list of keys of its own.
"""

from __future__ import annotations

import math
import os
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

from nstrep.config.folder import group_options


class Limits(NamedTuple):
    """The range of a number."""

    above: float
    at_least: float
    at_most: float
    below: float


@dataclass(frozen=True)
class Condition:
    """A condition on another key: it has, or (``unless``) has not, one of these values."""

    key: str  # dotted; with a leading dot, in the same group
    values: tuple[Any, ...]
    unless: bool = False

    def holds(self, config: Any) -> bool:
        """Whether it is met in a typed configuration."""
        return (attrgetter(self.key)(config) in self.values) != self.unless


def only(key: str, *values: Any) -> tuple[Condition, ...]:
    """The ``effect`` of a key that changes nothing unless another has one of these values."""
    return (Condition(key, values),)


def unless(key: str, *values: Any) -> tuple[Condition, ...]:
    """The ``effect`` of a key that changes nothing if another has one of these values."""
    return (Condition(key, values, unless=True),)


@dataclass(frozen=True)
class Key:
    """A key of a schema, or a group of keys, with its properties.

    ``changes`` is ``formula`` or ``inputs`` if the value changes what the losses measure: losses of
    different formulas are only compared to their own start, those of different inputs not to each
    other. A ``section`` of docs/keys.md goes on until a later field of the schema begins another.
    """

    name: str  # dotted, such as losses.style.factor
    kind: Any  # type of the value; a dataclass for a group
    about: str = ""  # help text
    limits: Limits | None = None
    options: tuple[str, ...] = ()  # allowed words
    file: bool = False  # whether the value is a path, or a list of paths
    words: tuple[str, ...] = ()  # values of a file key that are not paths
    names_of: str = ""  # group of configs/ whose options are not paths either
    identity: bool = True  # is part of a run's identity; of a file, its hash is in any case
    absent: Any = ...  # left out of the identity at this value: older runs do not have the key
    later: str = ""  # larger or smaller: what ends a run later, and decides nothing else
    stored: bool = True  # whether the picture of a run stores the value
    changes: str = ""
    replaces: tuple[str, ...] = ()  # keys of a stored configuration that this one overrides
    effect: tuple[Condition, ...] = ()  # changes nothing unless one of these holds
    section: str = ""
    listed: bool = True  # in docs/keys.md; false for what only the options of a group set
    common: bool = False  # in --help

    @property
    def is_group(self) -> bool:
        """Whether this is a group of keys."""
        return is_dataclass(self.kind)

    @property
    def is_list(self) -> bool:
        """Whether the value is a list."""
        return typing.get_origin(self.kind) is list

    def is_path(self, value: Any) -> bool:
        """Whether a value, or an item of a list, is a path."""
        words = (*self.words, *(group_options(self.names_of) if self.names_of else ()))
        return self.file and isinstance(value, str) and value not in words


def number(
    about: str,
    *,
    above: float = -math.inf,
    at_least: float = -math.inf,
    at_most: float = math.inf,
    below: float = math.inf,
    **properties: Any,
) -> Any:
    """Declare a numeric key with its range."""
    return text(about, limits=Limits(above, at_least, at_most, below), **properties)


def choice(about: str, options: tuple[str, ...], **properties: Any) -> Any:
    """Declare a key that takes one of a few words."""
    return text(about, options=options, **properties)


def text(about: str, **properties: Any) -> Any:
    """Declare a key without a range."""
    return field(metadata={"about": about, **properties})


def input_file(about: str, **properties: Any) -> Any:
    """Declare a key that names one or several files, whose hashes are part of a run's identity."""
    return text(about, file=True, identity=False, changes="inputs", **properties)


def group(**properties: Any) -> Any:
    """Declare a group of keys, which are the fields of another dataclass."""
    return field(metadata=properties)


@cache
def declared(schema: type) -> Mapping[str, Key]:
    """The keys of a schema and its groups by dotted name, in the order of its fields."""
    return {key.name: key for key in _declared(schema, "", {})}


def _declared(schema: type, prefix: str, inherited: Mapping[str, Any]) -> Iterator[Key]:
    hints = typing.get_type_hints(schema)
    for item in fields(schema):
        key = Key(prefix + item.name, hints[item.name], **{**inherited, **item.metadata})
        conditions = (
            replace(each, key=prefix + each.key[1:]) if each.key.startswith(".") else each
            for each in key.effect
        )
        key = replace(key, effect=tuple(conditions))
        inherited = {**inherited, "section": key.section}
        yield key
        if key.is_group:
            names = ("identity", "stored", "changes", "section", "listed", "effect")
            passed_on = {name: getattr(key, name) for name in names}
            yield from _declared(key.kind, f"{key.name}.", passed_on)


def changes_losses(schema: type, name: str) -> str:
    """``changes`` of a key; ``inputs`` for other names, such as the group ``experiment``."""
    key = declared(schema).get(name)
    return "inputs" if key is None else key.changes


def known_keys(schema: type) -> list[str]:
    """Every dotted key that a user can set."""
    return [name for name, key in declared(schema).items() if not key.is_group]


def walk(config: Any) -> Iterator[tuple[Key, Any]]:
    """Every key of a typed configuration with its value."""
    for key in declared(type(config)).values():
        if not key.is_group:
            yield key, attrgetter(key.name)(config)


def absolute_paths(config: Any) -> None:
    """Make the paths that a result stores absolute, so that they are valid in any folder."""
    for key, value in walk(config):
        if key.file and key.stored and value is not None:
            values = [
                str(Path(os.path.expanduser(item)).absolute()) if key.is_path(item) else item
                for item in (value if key.is_list else [value])
            ]
            owner, _, name = key.name.rpartition(".")
            node = attrgetter(owner)(config) if owner else config
            setattr(node, name, values if key.is_list else values[0])


def split_override(override: str) -> tuple[str, str]:
    """Key and value of an override such as ``+experiment=preview``, without a package or quotes."""
    key, _, value = override.lstrip("+~").partition("=")
    return key.partition("@")[0], value.strip("'\"")


def flatten(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values of nested dicts; a list or an empty dict is a value."""
    for key, value in node.items():
        if isinstance(value, dict) and value:
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
