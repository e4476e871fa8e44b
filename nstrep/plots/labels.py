"""How names and values are written where people read them: plots and pages."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from nstrep.base.text import one_line
from nstrep.config.metrics import METRICS

if TYPE_CHECKING:  # a run draws its losses without pandas, whose import is slow
    import pandas as pd


class RunLike(Protocol):
    """What plots read of a run; :class:`nstrep.analysis.run_reader.Run` describes each of them."""

    name: str
    status: str
    reason: str
    config: dict[str, Any]
    metrics: dict[str, Any]
    curve: pd.DataFrame
    picture_path: Path | None
    picture: np.ndarray
    raw: np.ndarray

    def value(self, key: str) -> Any:
        """What metrics.json or config.yaml hold under a dotted key; None if neither does."""


LABELS = {
    "total": ("total loss (weighted)", "total loss"),
    "tv_loss": ("total variation (weighted)", "total variation"),
    "total_share": ("total loss as a share of its start", "share of the start"),
    "megapixels": ("size of the image (megapixels)", "megapixels"),
    "max_long_edge": ("max_long_edge (pixels)", "max_long_edge"),
}
"""Labels and short labels of numbers that METRICS does not have."""


def axis(key: str) -> str:
    """The label of an axis: of a metric, a loss, a derived number or a key, with its unit."""
    return _labels(key)[0]


def heading(key: str) -> str:
    """The label of a column or a line, shorter than that of an axis."""
    return _labels(key)[1]


def _labels(key: str) -> tuple[str, str]:
    if key in METRICS:
        return METRICS[key].label, METRICS[key].short or METRICS[key].label
    if key in LABELS:
        return LABELS[key]
    branch, _, kind = key.rpartition("_")
    loss = f"{branch.replace('_', ' ')} loss"
    if kind == "loss" and branch:
        return f"{loss} (weighted)", loss
    if kind == "term" and branch:
        return f"{loss} / {branch}_weight", f"{branch} / weight"
    return one_line(key, 60), one_line(key, 60)


def short(value: Any, length: int = 28) -> str:
    """A value in few letters: numbers without trailing zeros, the ends of a list, a file's name."""
    if not isinstance(value, list):
        value = plain(value)
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return f"{value:g}"
    if isinstance(value, str) and value.startswith("[") and value.endswith("]"):
        value = value[1:-1].split(",")
    if isinstance(value, list) and len(value) > 2:
        value = f"{plain(value[0])} ... {plain(value[-1])} ({len(value)})"
    text = one_line(plain(value), 1000)
    if text.startswith("/"):
        text = PurePath(text).name
    name, mark, stand_in = text.partition(" (stand-in: ")  # which is never cut off
    name = name if len(name) <= length else name[: length - 1] + "…"
    return name + mark + stand_in


def settings(run: RunLike, keys: Iterable[str]) -> str:
    """Some of a run's settings on one line, such as ``content_weight=10, style=lilies``."""
    return ", ".join(f"{one_line(key, 60)}={short(run.value(key))}" for key in keys)


def about(runs: Sequence[RunLike]) -> str:
    """What runs have in common of photo, painting, recipe and size, see :func:`described`."""
    ended = [run for run in runs if run.metrics] or runs  # the others know no stand-ins and sizes
    common = {
        key: levels(run.value(key) for run in ended)
        for key in ("content", "style", "recipe", "width", "height")
    }
    return described(**{key: each[0] for key, each in common.items() if len(each) == 1})


def described(
    content: Any = None,
    style: Any = None,
    recipe: Any = None,
    width: Any = None,
    height: Any = None,
) -> str:
    """Photo, painting, recipe and size in pixels on one line, without those that are None."""
    named = {"content": content, "style": style, "recipe": recipe}
    parts = [f"{key}: {short(value)}" for key, value in named.items() if value is not None]
    if width is not None and height is not None:
        parts.append(f"{short(width)} x {short(height)} pixels")
    return ", ".join(parts)


def level(run: RunLike, key: str | None) -> Any:
    """The value of a key as a :func:`levels` entry; None without a key."""
    return plain(run.value(key)) if key else None


def levels(values: Iterable[Any]) -> list[Any]:
    """The different values: numbers in their order, others as they come; None last."""
    values = [plain(value) for value in values]
    different = list(dict.fromkeys(value for value in values if value is not None))
    if numeric(different):
        different.sort()
    return different + ([None] if None in values else [])


def numeric(values: Sequence[Any]) -> bool:
    """Whether all values but None are numbers, and there is one."""
    known = [value for value in values if value is not None]
    return bool(known) and all(
        isinstance(value, (int, float)) and not isinstance(value, bool) for value in known
    )


def plain(value: Any) -> Any:
    """A configuration's value for a cell: a word or a number that a column can hold, else text.

    Lists become text as typed on the command line, such as ``[relu1_1,relu2_1]``.
    """
    if isinstance(value, list):
        return "[" + ",".join(str(plain(item)) for item in value) + "]"
    if value is None or isinstance(value, (bool, str)):
        return value
    return value if isinstance(value, (int, float)) and fits(value) else one_line(value, 2000)


def fits(value: float) -> bool:
    """Whether a column of a table can hold the number."""
    return math.isfinite(value) if isinstance(value, float) else abs(value) < 2**63
