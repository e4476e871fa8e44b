"""Losses and convergence over the epochs, of one run and of many overlaid."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nstrep.config.fields import changes_losses
from nstrep.config.metrics import METRICS
from nstrep.config.schema import ExperimentConfig
from nstrep.plots import style
from nstrep.plots.labels import RunLike, axis, heading, level, levels, short


def single(curve: pd.DataFrame, *, title: str, stop_eps: float) -> Figure:
    """The losses and the convergence of one run; ``stop_eps`` is a line unless 0."""
    figure, (left, right) = style.subplots(2, 9, 3.6)
    figure.suptitle(style.text(title))
    losses = [name for name in curve if name not in METRICS and "." not in name]
    for name, colour in zip(losses, itertools.cycle(style.COLOURS)):
        # Starting from the content image, the content loss begins at rounding error: that is not
        # worth ten decades of the axis.
        _line(left, curve, name, heading(name), colour, above=1e-6 * curve["total"].max())
    left.set_title("weighted losses")
    for name, colour in zip(("eps", "loss_change"), style.COLOURS[1:]):
        _line(right, curve, name, axis(name), colour, above=0)
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


def _line(
    axes: Axes, curve: pd.DataFrame, name: str, label: str, colour: str, above: float
) -> None:
    values = _column(curve, name)
    values = values.where(values > above)
    if values.notna().any():
        axes.plot(curve["epoch"], values, color=colour, label=style.text(label))


def overlaid(
    runs: Sequence[RunLike],
    key: str,
    columns: Sequence[str] = ("total", "eps"),
    *,
    relative: bool = False,
    title: str = "",
) -> Figure:
    """Curves of all runs that have some, coloured by one key, a panel for each column.

    ``relative`` draws losses as a share of their start, for runs whose losses are not the same
    formula.
    """
    runs = [run for run in runs if len(run.curve) > 1]
    if not runs:
        raise style.NothingToDraw("curves: no run has one with two epochs")
    looks = style.looks_by(runs, key)
    figure, panels = style.subplots(len(columns), 4.6 * len(columns) + 1.8, 3.9)
    faint = 1.0 if len(runs) <= 2 * len(looks) else 0.65
    for axes, name in zip(panels, columns):
        share = relative and name not in METRICS and "loss" in axis(name)
        for run in runs:
            values = _column(run.curve, name)
            if share:
                values = values / values.iloc[0] if values.iloc[0] > 0 else values * np.nan
            look = looks[level(run, key)] | {"marker": "none"}
            axes.plot(run.curve["epoch"], values.where(values > 0), alpha=faint, lw=1.4, **look)
        if any(np.isfinite(line.get_ydata()).any() for line in axes.lines):
            style.logarithmic(axes, "y")
        label = axis(name) + (", as a share of its start" if share else "")
        axes.set(xlabel="epoch", ylabel=style.text(label))
        style.tidy(axes)
    thresholds = levels(run.value("stop_eps") for run in runs if run.value("stop_eps"))
    if "eps" in columns and len(thresholds) == 1 and isinstance(thresholds[0], (int, float)):
        axes = panels[list(columns).index("eps")]
        axes.axhline(thresholds[0], color="grey", linestyle="--", linewidth=1)
        axes.annotate(
            f"stop_eps = {short(thresholds[0])}", (0, thresholds[0]), (4, 3), color="#555555",
            xycoords=("axes fraction", "data"), textcoords="offset points", fontsize="small",
        )  # fmt: skip
    style.finish(figure, key, looks, lines=True, title=title)
    return figure


def mixed(keys: Sequence[str]) -> bool:
    """Whether runs that differ in these keys have losses that are not the same formula."""
    return any(changes_losses(ExperimentConfig, key) == "formula" for key in keys)


def _column(curve: pd.DataFrame, name: str) -> pd.Series:
    return curve.get(name, pd.Series(np.nan, index=curve.index))
