"""How keys and values are written where people read them: plots and reports."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from nstrep.base.text import one_line

if TYPE_CHECKING:
    from nstrep.analysis.run_reader import Run

MEASURES = {
    "epoch": "epoch",
    "evaluations": "evaluations of the loss",
    "total": "total loss (weighted)",
    "content_loss": "content loss (weighted)",
    "style_loss": "style loss (weighted)",
    "tv_loss": "total variation (weighted)",
    "content_term": "content loss / content_weight",
    "style_term": "style loss / style_weight",
    "total_share": "total loss as a share of its start",
    "eps": "eps: ||x_t - x_(t-1)|| / ||x_t||",
    "loss_change": "relative change of the loss",
    "gradient_norm": "norm of the gradient",
    "lr": "learning rate",
    "seconds": "time (s)",
    "seconds_per_epoch": "time per epoch (s)",
    "peak_memory_mb": "peak memory of the process (MiB)",
    "megapixels": "size of the picture (megapixels)",
    "ssim": "SSIM to the photo",
    "psnr": "PSNR to the photo (dB)",
    "epochs": "epochs",
    "max_long_edge": "max_long_edge (pixels)",
}
"""What is measured, with its unit; a key of the configuration is its own label."""


def axis(key: str) -> str:
    """The label of an axis, with its unit."""
    return MEASURES.get(key, one_line(key, 60))


def short(value: Any, length: int = 28) -> str:
    """A value in few letters: numbers without trailing zeros, the ends of a list, a file's name."""
    if not isinstance(value, list):
        value = plain(value)
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"{value:g}"
    if isinstance(value, str) and value.startswith("[") and value.endswith("]"):
        value = value[1:-1].split(",")
    if isinstance(value, list) and len(value) > 2:
        value = f"{plain(value[0])} ... {plain(value[-1])} ({len(value)})"
    text = one_line(plain(value), 1000)
    if text.startswith("/"):
        text = PurePath(text).name
    return text if len(text) <= length else text[: length - 1] + "…"


def settings(run: Run, keys: Iterable[str]) -> str:
    """Some of a run's settings on one line, such as ``content_weight=10, style=lilies``."""
    return ", ".join(f"{one_line(key, 60)}={short(run.value(key))}" for key in keys)


def levels(values: Iterable[Any]) -> list[Any]:
    """The different values: numbers in their order, others as they come; None last."""
    values = [plain(value) for value in values]
    found = list(dict.fromkeys(value for value in values if value is not None))
    if found and numeric(found):
        found.sort()
    return found + ([None] if None in values else [])


def numeric(values: Sequence[Any]) -> bool:
    """Whether all values, None aside, are numbers, and there is one."""
    known = [value for value in values if value is not None]
    return bool(known) and all(
        isinstance(value, (int, float)) and not isinstance(value, bool) for value in known
    )


def plain(value: Any) -> Any:
    """A configuration's value for a cell: truth values, text, and numbers that a column can hold
    as they are; lists as typed on the command line, such as ``[relu1_1,relu2_1]``; the rest as
    text.
    """
    if isinstance(value, list):
        return "[" + ",".join(str(plain(item)) for item in value) + "]"
    if value is None or isinstance(value, (bool, str)):
        return value
    return value if isinstance(value, (int, float)) and fits(value) else one_line(value, 2000)


def fits(value: float) -> bool:
    """Whether a column of a table can hold the number."""
    return math.isfinite(value) if isinstance(value, float) else abs(value) < 2**63
