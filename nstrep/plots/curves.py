"""Losses and convergence over the epochs: of one run, and of many overlaid."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nstrep.base.files import atomic_write
from nstrep.config.fields import changes_losses
from nstrep.config.schema import ExperimentConfig
from nstrep.plots.labels import axis, levels, plain, short
from nstrep.plots.style import (  # fmt: skip
    COLOURS,
    NothingToDraw,
    drawn,
    headline,
    legend,
    logarithmic,
    looks,
    new_figure,
    text,
    tidy,
)

if TYPE_CHECKING:
    from nstrep.analysis.run_reader import Run

LABELS = {
    "total": "total",
    "content_loss": "content",
    "style_loss": "style",
    "tv_loss": "total variation",
    "eps": "eps: relative change of the image",
    "loss_change": "relative change of the loss",
}


def plot_curve(curve: pd.DataFrame, path: Path, *, title: str, stop_eps: float) -> None:
    """Draw the losses and the convergence of one run as a PNG; see :func:`single`."""
    figure = single(curve, title=title, stop_eps=stop_eps)
    with atomic_write(path) as temporary:
        temporary.write_bytes(drawn(figure, "png"))


def single(curve: pd.DataFrame, *, title: str, stop_eps: float) -> Figure:
    """The losses and the convergence of one run, over its epochs.

    Args:
        curve: the rows of curve.csv.
        title: what the run is, for the head of the figure.
        stop_eps: drawn as a line, unless 0.

    """
    figure = new_figure(9, 3.6)
    left, right = figure.subplots(1, 2)
    figure.suptitle(text(title))
    for name, colour in zip(("total", "content_loss", "style_loss", "tv_loss"), COLOURS):
        # From the photo, the content loss starts at rounding error: not worth ten decades of axis.
        values = _column(curve, name)
        values = values.where(values > 1e-6 * curve["total"].max())
        if values.notna().any():
            left.plot(curve["epoch"], values, color=colour, label=LABELS[name])
    left.set_title("weighted losses")
    for name, colour in zip(("eps", "loss_change"), COLOURS[1:]):
        values = _column(curve, name)
        values = values.where(values > 0)
        if values.notna().any():
            right.plot(curve["epoch"], values, color=colour, label=LABELS[name])
    if stop_eps:
        right.axhline(stop_eps, color="grey", linestyle="--", label=f"stop_eps = {stop_eps:g}")
    right.set_title("convergence")
    for axes in (left, right):
        axes.set_xlabel("epoch")
        if axes.lines:
            axes.set_yscale("log")
            axes.legend(frameon=False, fontsize="small")
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def overlaid(
    runs: Sequence[Run],
    key: str,
    measures: Sequence[str] = ("total", "eps"),
    *,
    relative: bool = False,
    title: str = "",
) -> Figure:
    """Curves of all runs, coloured by one key.

    Args:
        runs: those without a curve are left out.
        key: dotted key of the configuration, or a group.
        measures: columns of curve.csv, a panel each.
        relative: losses as a share of what they are at the start, for runs whose losses are not
            the same formula.
        title: head of the figure.

    Raises:
        NothingToDraw: no run has a curve.

    """
    runs = [run for run in runs if len(run.curve) > 1]
    if not runs:
        raise NothingToDraw("curves: no run has one with two epochs")
    named = looks(levels(run.value(key) for run in runs))
    figure = new_figure(4.6 * len(measures) + 1.8, 3.9)
    panels = np.atleast_1d(figure.subplots(1, len(measures)))
    faint = 1.0 if len(runs) <= 2 * len(named) else 0.65
    for axes, measure in zip(panels, measures):
        for run in runs:
            values = _column(run.curve, measure)
            share = relative and "loss" in axis(measure) and measure != "loss_change"
            if share:
                values = values / values.iloc[0] if values.iloc[0] > 0 else values * np.nan
            look = {k: v for k, v in named[plain(run.value(key))].items() if k != "marker"}
            axes.plot(run.curve["epoch"], values.where(values > 0), alpha=faint, lw=1.4, **look)
        if any(np.isfinite(line.get_ydata()).any() for line in axes.lines):
            logarithmic(axes, "y")
        axes.set_xlabel("epoch")
        start = ", as a share of its start" if relative and "loss" in axis(measure) else ""
        axes.set_ylabel(text(axis(measure) + start))
        tidy(axes)
    thresholds = levels(run.value("stop_eps") for run in runs if run.value("stop_eps"))
    if "eps" in measures and len(thresholds) == 1 and isinstance(thresholds[0], (int, float)):
        axes = panels[list(measures).index("eps")]
        axes.axhline(thresholds[0], color="grey", linestyle="--", linewidth=1)
        axes.annotate(
            f"stop_eps = {short(thresholds[0])}", (0, thresholds[0]), (4, 3), color="#555555",
            xycoords=("axes fraction", "data"), textcoords="offset points", fontsize="small",
        )  # fmt: skip
    legend(figure, axis(key), named, lines=True)
    headline(figure, title)
    return figure


def mixed(keys: Sequence[str]) -> bool:
    """Whether runs that differ in these keys have losses that are not the same formula."""
    return any(changes_losses(ExperimentConfig, key) == "formula" for key in keys)


def _column(curve: pd.DataFrame, name: str) -> pd.Series:
    return curve[name] if name in curve else pd.Series(np.nan, index=curve.index)
