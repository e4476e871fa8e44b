"""The numbers that a run measures: one entry each, from which all files and plots are derived.

The columns of curve.csv, the scalars of TensorBoard, the measured numbers of metrics.json, the
columns of summary.csv, the values of the key ``objective`` and the labels of plots and pages follow
from :data:`METRICS`. One call of :func:`register` adds a number to all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

BEFORE_LOSSES, AFTER_LOSSES = 1, 2
"""Where summary.csv has a number: before or after the losses."""


@dataclass(frozen=True)
class Metric:
    """A number that a run measures."""

    name: str
    label: str
    """With its unit, for the axis of a plot."""
    short: str = ""
    """For the head of a table; the label when empty."""
    compute: Callable[[Any], float] | None = None
    """From a :class:`nstrep.optim.minimize.Step`; None for what is measured once after the run."""
    column: bool = True
    """Whether curve.csv has a column of it; needs ``compute``."""
    logged: bool = True
    """Whether TensorBoard shows it; needs ``column``."""
    summary: int | None = AFTER_LOSSES
    """Whether metrics.json has its last value, and where summary.csv has it; None: nowhere."""

    def at(self, step: Any) -> float:
        """The number at a step, as a number of Python's own."""
        value = self.compute(step)
        return value if isinstance(value, int) else float(value)


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("epoch", "epoch", compute=attrgetter("epoch"), logged=False, summary=None),
        Metric(
            "epochs", "epochs", compute=attrgetter("epoch"), column=False, summary=BEFORE_LOSSES
        ),
        Metric(
            "evaluations",
            "evaluations of the loss",
            compute=attrgetter("evaluations"),
            logged=False,
            summary=BEFORE_LOSSES,
        ),
        Metric("ssim", "SSIM to the content image", "SSIM"),
        Metric("psnr", "PSNR to the content image (dB)", "PSNR (dB)"),
        Metric("seconds", "time (s)", compute=attrgetter("seconds"), logged=False),
        Metric(
            "seconds_per_epoch",
            "time per epoch (s)",
            compute=lambda step: step.seconds / max(1, step.epoch),
            column=False,
        ),
        Metric("peak_memory_mb", "peak memory of the process (MiB)"),
        Metric("lr", "learning rate", compute=attrgetter("lr"), summary=None),
        Metric(
            "eps",
            "eps: ||x_t - x_(t-1)|| / ||x_t||",
            "eps",
            compute=attrgetter("eps"),
            summary=BEFORE_LOSSES,
        ),
        Metric(
            "loss_change",
            "relative change of the loss",
            compute=attrgetter("loss_change"),
            summary=BEFORE_LOSSES,
        ),
        Metric(
            "gradient_norm",
            "norm of the gradient",
            compute=attrgetter("gradient_norm"),
            summary=None,
        ),
    )
}
"""By name, in the order of the columns."""


def register(metric: Metric) -> None:
    """Add a number to the files and plots of all runs from now on.

    Example:
        >>> register(Metric("mean", "mean of the image", compute=lambda step: step.image.mean()))

    """
    METRICS[metric.name] = metric


def columns() -> list[Metric]:
    """The numbers that are columns of curve.csv; the losses follow them."""
    return [metric for metric in METRICS.values() if metric.compute and metric.column]


def final(step: Any) -> dict[str, float]:
    """The numbers of the last step that metrics.json holds."""
    return {
        metric.name: metric.at(step)
        for metric in METRICS.values()
        if metric.compute and metric.summary
    }


def summarised(place: int | None = None) -> list[str]:
    """Names of the numbers of metrics.json and summary.csv: all, or those at one place."""
    return [
        metric.name
        for metric in METRICS.values()
        if metric.summary and place in (None, metric.summary)
    ]
