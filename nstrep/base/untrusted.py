"""Texts that others wrote, read as plain data: no tag, name or reference in them does anything.

Run directories and pictures are passed around. Their YAML and JSON become dicts, lists, numbers and
texts, or are refused; nothing is built, called or looked up, and a few lines cannot unfold to
gigabytes.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from nstrep.base.files import reason

MOST_YAML = 2**18
"""Characters: a configuration has 2,000, and the reader below takes a second for so many."""

LEVELS = 20
"""Of dicts and lists inside each other."""

MOST_JSON = 2**24
"""Bytes."""


def read_text(path: str | os.PathLike[str], most: int) -> str:
    """The text of a regular file, UTF-8.

    Raises:
        ValueError: it is a pipe, a device or a folder, has more than ``most`` bytes, or is no text.
        OSError: it is missing or cannot be read.

    """
    # Looked at before it is opened: a pipe would keep the reader waiting.
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("not a file")
    if found.st_size > most:
        raise ValueError(f"larger than {most >> 20} MiB" if most >> 20 else f"over {most} bytes")
    return Path(path).read_text(encoding="utf-8")


def read_yaml(text: str) -> Any:
    """YAML without tags, anchors and aliases, which no run writes.

    Raises:
        ValueError: it is damaged, larger than :data:`MOST_YAML` or nested too deeply.

    """
    if len(text) > MOST_YAML:
        raise ValueError(f"larger than {MOST_YAML >> 10} KiB")
    try:
        return _shallow(yaml.load(text, Loader=_Loader))
    except Exception as error:  # its constructors raise almost anything for an odd value
        raise ValueError(reason(error)) from None


def read_json(text: str) -> Any:
    """JSON.

    Raises:
        ValueError: it is damaged or nested too deeply.

    """
    try:
        return _shallow(json.loads(text))
    except RecursionError:
        raise ValueError("nested too deeply") from None


class _Loader(yaml.SafeLoader):
    """Not the faster loader of libyaml: it crashes the process on deeply nested text."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not allowed")
        if getattr(event, "tag", None) is not None:
            raise yaml.YAMLError(f"tags such as {event.tag} are not allowed")
        return super().compose_node(parent, index)


def _shallow(value: Any) -> Any:
    """The value itself, unless it is nested too deeply."""
    level = [value]
    for _ in range(LEVELS):
        level = [item for node in level for item in _items(node)]
    if level:
        raise ValueError("nested too deeply")
    return value


def _items(node: Any) -> Iterator[Any]:
    return iter(node.values() if isinstance(node, dict) else node if isinstance(node, list) else ())


def leaves(node: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Everything in dicts and lists that is neither, with its dotted key."""
    if isinstance(node, dict):
        for name, item in node.items():
            yield from leaves(item, f"{key}.{name}" if key else str(name))
    elif isinstance(node, list):
        for item in node:
            yield from leaves(item, key)
    else:
        yield key, node
