"""Which keys were swept: those in which runs differ, without those that follow from a group.

``recipe=a,b`` changes fifty keys of the configuration; the key that was swept is ``recipe``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nstrep.config.fields import declared, flatten, split_override
from nstrep.config.schema import GROUPS, PRESETS, ExperimentConfig
from nstrep.images.picture import drawn
from nstrep.plots.labels import plain

if TYPE_CHECKING:
    from nstrep.analysis.run_reader import Run

KEYS = declared(ExperimentConfig)

PICTURES = {
    name: group.name
    for group in KEYS.values()
    for name in group.replaces
    if group.is_group and KEYS[name].file
}
"""Keys that name files instead of an option of a group, and the group."""


def swept_keys(runs: Iterable[Run]) -> list[str]:
    """The keys in which runs differ, in the order typed, then in the configuration's.

    A choice in a group is one key, the group's name. What was not typed and has one value for
    each choice in a group that can set it is left out: it follows from the choice. Runs without
    a configuration do not count.
    """
    runs = [run for run in runs if run.config]
    leaves = [{key: _comparable(v) for key, v in flatten(run.config)} for run in runs]
    keys = (split_override(override)[0] for run in runs for override in run.overrides)
    typed = list(dict.fromkeys(PICTURES.get(key, key) for key in keys))

    @cache
    def column(key: str) -> tuple[str | None, ...]:
        if key in GROUPS:
            return tuple(_setting(run, key) for run in runs)
        return tuple(leaf.get(key) for leaf in leaves)

    def differs(key: str) -> bool:
        return len(set(column(key))) > 1

    def follows(key: str, groups: Sequence[str]) -> bool:
        """Whether the choices in the groups decide the key's value."""
        choices = list(zip(*map(column, groups)))
        return bool(groups) and len(set(zip(choices, column(key)))) == len(set(choices))

    swept: list[str] = []
    for group in dict.fromkeys((*PRESETS, *GROUPS)):
        presets = [other for other in swept if other in PRESETS]
        if differs(group) and (group in typed or not follows(group, presets)):
            swept.append(group)
    chosen = list(swept)
    for key in dict.fromkeys(key for leaf in leaves for key in leaf):
        owner = PICTURES.get(key, key.partition(".")[0])
        by = [group for group in chosen if group in PRESETS or group == owner]
        is_typed = key in typed and key not in PICTURES
        if differs(key) and (is_typed or not follows(key, by)):
            swept.append(key)
    return sorted(swept, key=lambda key: typed.index(key) if key in typed else len(typed))


def label(run: Run, group: str) -> str | None:
    """The :func:`choice` as figures and tables show it: vangogh (stand-in: starry_swirls)."""
    name, stand_ins = choice(run, group), stood_in(run, group)
    return f"{name} (stand-in: {stand_ins})" if stand_ins else name


def stood_in(run: Run, role: str) -> str | None:
    """The drawings that replaced images of a role, content or style; None if all were there."""
    images = (run.metrics[key] for key in run.metrics if key.rstrip("0123456789") == role)
    replaced = (each for each in images if isinstance(each, dict) and each.get("stand_in_for"))
    sources = [each.get("source") for each in replaced]
    return "+".join(dict.fromkeys(drawn(str(source)) for source in sources)) or None


def choice(run: Run, group: str) -> str | None:
    """The option of a group that a run used: as typed, or the names of its files or of the option.

    Several style images become ``vangogh+lilies``; ``model=auto`` becomes the network used.
    """
    name = _setting(run, group)
    if group == "model" and name == "auto":
        return _name(run.metrics.get("model")) or name
    return name


def _setting(run: Run, group: str) -> str | None:
    for key, owner in PICTURES.items():
        given = run.config.get(key)
        files = [given] if isinstance(given, str) else given if isinstance(given, list) else []
        if owner == group and any(files):
            return "+".join(Path(str(file)).stem for file in files if file)
    typed = [value for key, value in map(split_override, run.overrides) if key == group]
    if typed and typed[-1] not in ("", "null"):
        return typed[-1]
    return _name(run.config.get(group))


def _name(node: Any) -> str | None:
    name = node.get("name") if isinstance(node, dict) else None
    return name if isinstance(name, str) else None


def _comparable(value: Any) -> str:
    """A value as text, so that lists can be compared; 10 is equal to 10.0."""
    value = plain(value)
    return repr(float(value) if type(value) is int else value)
