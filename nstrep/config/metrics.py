"""The numbers that a run measures: one entry each, from which all files and plots are derived.

The columns of curve.csv, the scalars of TensorBoard, the measured numbers of metrics.json, the
columns of summary.csv, the values of the key ``objective``, the table and the curves of the HTML
report, and the labels of plots and pages follow from :data:`METRICS`. One call of :func:`register`
adds a number to all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

BEFORE_LOSSES, AFTER_LOSSES = 1, 2  # where summary.csv has a number


@dataclass(frozen=True)
class Metric:
    """A number that a run measures."""

    name: str
    label: str  # with its unit, for the axis of a plot
    compute: Callable[[Any], float] | None = None  # from a Step; None if measured after the run
    short: str = ""  # for the head of a table; the label when empty
    column: bool = True  # whether curve.csv has a column of it; needs compute
    logged: bool = True  # whether TensorBoard shows it; needs column
    scaled: bool = False  # whether only runs over several scales have it
    # Where summary.csv has its last value, which metrics.json has too; None: nowhere.
    summary: int | None = AFTER_LOSSES
    report: bool = True  # whether the table of the HTML report has it; needs summary

    def at(self, step: Any) -> float:
        """The number at a step, as a number of Python's own."""
        value = self.compute(step)
        return value if isinstance(value, int) else float(value)


METRICS: dict[str, Metric] = {  # in the order of the columns
    metric.name: metric
    for metric in (
        Metric("epoch", "epoch", attrgetter("epoch"), logged=False, summary=None),
        Metric(
            "scale", "long side (pixels)", attrgetter("scale"), logged=False, summary=None,
            scaled=True,
        ),
        Metric("epochs", "epochs", attrgetter("epoch"), column=False, summary=BEFORE_LOSSES),
        Metric(
            "evaluations", "evaluations of the loss", attrgetter("evaluations"), logged=False,
            summary=BEFORE_LOSSES, report=False,
        ),
        Metric("ssim", "SSIM to the content image", short="SSIM"),
        Metric("psnr", "PSNR to the content image (dB)", short="PSNR (dB)", report=False),
        Metric("seconds", "time (s)", attrgetter("seconds"), logged=False),
        Metric(
            "seconds_per_epoch", "time per epoch (s)",
            lambda step: step.seconds / max(1, step.epoch), column=False, report=False,
        ),
        Metric("peak_memory_mb", "peak memory of the process (MiB)", report=False),
        Metric("lr", "learning rate", attrgetter("lr"), summary=None),
        Metric(
            "eps", "eps: ||x_t - x_(t-1)|| / ||x_t||", attrgetter("eps"), "eps",
            summary=BEFORE_LOSSES,
        ),
        Metric(
            "loss_change", "relative change of the loss", attrgetter("loss_change"),
            summary=BEFORE_LOSSES, report=False,
        ),
        Metric("gradient_norm", "norm of the gradient", attrgetter("gradient_norm"), summary=None),
    )
}  # fmt: skip


def register(metric: Metric) -> None:
    """Add a number to the files and plots of all runs from now on.

    Example:
        >>> register(Metric("mean", "mean of the image", lambda step: step.image.mean()))

    """
    METRICS[metric.name] = metric


def columns(scaled: bool = False) -> list[Metric]:
    """The numbers that are columns of curve.csv, of one scale or several; the losses follow."""
    every = (metric for metric in METRICS.values() if metric.compute and metric.column)
    return [metric for metric in every if scaled or not metric.scaled]


def final(step: Any) -> dict[str, float]:
    """The numbers of the last step that metrics.json holds."""
    return {name: each.at(step) for name, each in METRICS.items() if each.compute and each.summary}


def summarised(place: int | None = None) -> list[str]:
    """Names of the numbers of metrics.json and summary.csv: all, or those at one place."""
    return [
        name for name, each in METRICS.items() if each.summary and place in (None, each.summary)
    ]
