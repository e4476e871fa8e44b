"""YAML and JSON that others wrote, read as plain data within limits.

Run directories and pictures are passed between people. Their texts become dicts, lists, numbers
and strings, or are refused: no object is built, and a short text cannot expand to gigabytes.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import yaml

from nstrep.base.text import reason

MOST_YAML = 2**18  # characters: a configuration has 2,000, and PyYAML takes a second for this many
MOST_JSON = 2**24  # bytes
MAX_DEPTH = 20  # of nested dicts and lists


def read_text(path: str | os.PathLike[str], most: int) -> str:
    """The text of a regular file in UTF-8.

    Raises ValueError for a pipe, a device or a folder, for more than ``most`` bytes, and for text
    that is not UTF-8; OSError if the file cannot be read.
    """
    size = os.stat(path).st_size
    if not os.path.isfile(path):  # opening a pipe would block
        raise ValueError("not a file")
    if size > most:
        raise ValueError(f"larger than {most >> 20} MiB" if most >> 20 else f"over {most} bytes")
    return Path(path).read_text(encoding="utf-8")


def read_yaml(text: str) -> Any:
    """Parse YAML; aliases are refused, because they can expand without limit.

    Raises ValueError for text that is damaged, too long (MOST_YAML) or nested too deeply.
    """
    if len(text) > MOST_YAML:
        raise ValueError(f"larger than {MOST_YAML >> 10} KiB")
    try:
        return _checked_depth(yaml.load(text, Loader=_Loader))
    except Exception as error:  # PyYAML raises almost anything for an odd value
        raise ValueError(reason(error)) from None


def read_json(text: str) -> Any:
    """Parse JSON; ValueError for text that is damaged or nested too deeply."""
    try:
        return _checked_depth(json.loads(text))
    except RecursionError:
        raise ValueError("nested too deeply") from None


class _Loader(yaml.SafeLoader):
    """Not the faster loader of libyaml: it crashes the process on deeply nested text."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not allowed")
        return super().compose_node(parent, index)


def _checked_depth(node: Any, levels: int = MAX_DEPTH) -> Any:
    if levels == 0:
        raise ValueError("nested too deeply")
    if isinstance(node, (dict, list)):
        for item in node.values() if isinstance(node, dict) else node:
            _checked_depth(item, levels - 1)
    return node
