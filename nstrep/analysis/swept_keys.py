"""Which keys were swept: those in which runs differ, without what merely follows from a group.

``recipe=a,b`` changes fifty leaves of the configuration; what was swept is ``recipe``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nstrep.config.schema import GROUPS
from nstrep.plots.labels import plain

if TYPE_CHECKING:
    from nstrep.analysis.run_reader import Run

SETTING = ("recipe", "experiment", "optimizer")
"""Groups whose options set keys outside themselves."""

PICTURES = {"content_image": "content", "style_image": "style", "styles": "style"}
"""Keys that name a file, or several, in place of a group's choice."""


def swept_keys(runs: Iterable[Run]) -> list[str]:
    """The keys in which runs differ, in the order typed, then in the configuration's.

    A choice in a group is one key, the group's name. What was not typed and has one value for
    each choice in a group that can set it is left out: it follows from the choice. Runs without
    a configuration do not count.
    """
    runs = [run for run in runs if run.config]
    leaves = [dict(_leaves(run.config)) for run in runs]
    typed = _typed(runs)

    def differs(key: str) -> bool:
        return len(set(_column(key, runs, leaves))) > 1

    def follows(key: str, groups: Sequence[str]) -> bool:
        """Whether the groups' choices decide the key's value."""
        choices = zip(*(_column(group, runs, leaves) for group in groups))
        pairs = set(zip(choices, _column(key, runs, leaves)))
        return len(pairs) == len({choice for choice, _ in pairs})

    chosen: list[str] = []
    for group in (*SETTING, *GROUPS):
        if group in chosen or not differs(group):
            continue
        by = [other for other in chosen if other in SETTING]
        if group in typed or not (by and follows(group, by)):
            chosen.append(group)
    found = list(chosen)
    for key in dict.fromkeys(key for leaf in leaves for key in leaf):
        owner = PICTURES.get(key, key.partition(".")[0])
        if key in typed and key not in PICTURES and differs(key):
            found.append(key)
            continue
        by = [group for group in chosen if group in SETTING or group == owner]
        if differs(key) and not (by and follows(key, by)):
            found.append(key)
    order = {key: place for place, key in enumerate(typed)}
    return sorted(found, key=lambda key: order.get(key, len(order)))


def choice(run: Run, group: str) -> str | None:
    """What a run took from a group: the option typed, a file's name, or the option's name; several
    paintings as ``vangogh+lilies``.

    ``model=auto`` is the network that it came to, once the run knows it.
    """
    name = _choice(run, group)
    if group == "model" and name == "auto":
        used = run.metrics.get("model")
        return _name(used) or name
    return name


def _choice(run: Run, group: str) -> str | None:
    for key, owner in PICTURES.items():
        given = run.config.get(key)
        files = [file for file in ([given] if isinstance(given, str) else _list(given)) if file]
        if owner == group and files:
            return "+".join(Path(str(file)).stem for file in files)
    typed = [value for key, value in map(_split, run.overrides) if key == group]
    if typed and typed[-1] not in ("", "null"):
        return typed[-1]
    return _name(run.config.get(group))


def _list(value: Any) -> list:
    return value if isinstance(value, list) else []


def _name(node: Any) -> str | None:
    name = node.get("name") if isinstance(node, dict) else None
    return name if isinstance(name, str) else None


def _split(override: str) -> tuple[str, str]:
    """``+experiment=preview`` as its key and its value."""
    key, _, value = override.lstrip("+~").partition("=")
    return re.split("@", key)[0], value.strip("'\"")


def _typed(runs: Iterable[Run]) -> list[str]:
    keys = (_split(override)[0] for run in runs for override in run.overrides)
    return list(dict.fromkeys(PICTURES.get(key, key) for key in keys))


def _leaves(node: dict, prefix: str = "") -> Iterable[tuple[str, str]]:
    """Dotted keys and values as text, so that lists can be compared; 10 is the same as 10.0."""
    for key, value in node.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            value = plain(value)
            yield f"{prefix}{key}", repr(float(value) if type(value) is int else value)


def _column(key: str, runs: Sequence[Run], leaves: Sequence[dict[str, str]]) -> list[str | None]:
    if key in GROUPS:
        return [_choice(run, key) for run in runs]
    return [leaf.get(key) for leaf in leaves]
