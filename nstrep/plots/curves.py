"""Losses and convergence over the epochs, of one run and of many overlaid."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nstrep.config.fields import changes_losses
from nstrep.config.metrics import METRICS
from nstrep.config.schema import ExperimentConfig
from nstrep.plots.labels import RunLike, axis, heading, level, levels, short
from nstrep.plots.style import (  # fmt: skip
    COLOURS,
    NothingToDraw,
    finish,
    logarithmic,
    looks_by,
    new_figure,
    save,
    text,
    tidy,
)


def plot_curve(curve: pd.DataFrame, path: Path, *, title: str, stop_eps: float) -> None:
    """Draw the losses and the convergence of one run as a PNG; see :func:`single`."""
    save(single(curve, title=title, stop_eps=stop_eps), path.with_suffix(""), ["png"])


def single(curve: pd.DataFrame, *, title: str, stop_eps: float) -> Figure:
    """The losses and the convergence of one run; ``stop_eps`` is a line unless 0."""
    figure = new_figure(9, 3.6)
    left, right = figure.subplots(1, 2)
    figure.suptitle(text(title))
    losses = [name for name in curve if name not in METRICS and "." not in name]
    for name, colour in zip(losses, itertools.cycle(COLOURS)):
        # Starting from the content image, the content loss begins at rounding error: that is not
        # worth ten decades of the axis.
        shown = curve[name].where(curve[name] > 1e-6 * curve["total"].max())
        if shown.notna().any():
            left.plot(curve["epoch"], shown, color=colour, label=text(heading(name)))
    left.set_title("weighted losses")
    for name, colour in zip(("eps", "loss_change"), COLOURS[1:]):
        shown = _column(curve, name)
        shown = shown.where(shown > 0)
        if shown.notna().any():
            right.plot(curve["epoch"], shown, color=colour, label=axis(name))
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
    runs: Sequence[RunLike],
    key: str,
    columns: Sequence[str] = ("total", "eps"),
    *,
    relative: bool = False,
    title: str = "",
) -> Figure:
    """Curves of all runs, coloured by one key.

    Args:
        runs: those without a curve are left out.
        key: dotted key of the configuration, or a group.
        columns: of curve.csv, a panel each.
        relative: draw losses as a share of their start, for runs whose losses are not the same
            formula.
        title: of the figure.

    """
    runs = [run for run in runs if len(run.curve) > 1]
    if not runs:
        raise NothingToDraw("curves: no run has one with two epochs")
    looks = looks_by(runs, key)
    figure = new_figure(4.6 * len(columns) + 1.8, 3.9)
    panels = np.atleast_1d(figure.subplots(1, len(columns)))
    faint = 1.0 if len(runs) <= 2 * len(looks) else 0.65
    for axes, name in zip(panels, columns):
        share = relative and name not in METRICS and "loss" in axis(name)
        for run in runs:
            values = _column(run.curve, name)
            if share:
                values = values / values.iloc[0] if values.iloc[0] > 0 else values * np.nan
            look = {k: v for k, v in looks[level(run, key)].items() if k != "marker"}
            axes.plot(run.curve["epoch"], values.where(values > 0), alpha=faint, lw=1.4, **look)
        if any(np.isfinite(line.get_ydata()).any() for line in axes.lines):
            logarithmic(axes, "y")
        axes.set_xlabel("epoch")
        axes.set_ylabel(text(axis(name) + (", as a share of its start" if share else "")))
        tidy(axes)
    thresholds = levels(run.value("stop_eps") for run in runs if run.value("stop_eps"))
    if "eps" in columns and len(thresholds) == 1 and isinstance(thresholds[0], (int, float)):
        axes = panels[list(columns).index("eps")]
        axes.axhline(thresholds[0], color="grey", linestyle="--", linewidth=1)
        axes.annotate(
            f"stop_eps = {short(thresholds[0])}", (0, thresholds[0]), (4, 3), color="#555555",
            xycoords=("axes fraction", "data"), textcoords="offset points", fontsize="small",
        )  # fmt: skip
    finish(figure, key, looks, lines=True, title=title)
    return figure


def mixed(keys: Sequence[str]) -> bool:
    """Whether runs that differ in these keys have losses that are not the same formula."""
    return any(changes_losses(ExperimentConfig, key) == "formula" for key in keys)


def _column(curve: pd.DataFrame, name: str) -> pd.Series:
    return curve[name] if name in curve else pd.Series(np.nan, index=curve.index)
