"""Losses and convergence over the epochs, of one run and of many overlaid."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nstrep.config.fields import changes_losses
from nstrep.config.metrics import METRICS
from nstrep.config.schema import ExperimentConfig
from nstrep.plots import style
from nstrep.plots.labels import RunLike, axis, heading, level, levels, short

if TYPE_CHECKING:  # a run draws its losses without pandas, whose import is slow
    import pandas as pd

    Curve = Mapping[str, np.ndarray] | pd.DataFrame  # columns of curve.csv

ROWS = 6
"""Largest number of rows of panels, one for each value of a key."""


def single(curve: Curve, *, title: str, stop_eps: float) -> Figure:
    """The losses and the convergence of one run; ``stop_eps`` is a line unless 0."""
    figure, (left, right) = style.fixed_subplots(2, 9, 3.6)
    style.headline(figure, title, [])
    for name, colour in zip(losses(curve), itertools.cycle(style.COLOURS)):
        _line(left, curve, name, heading(name), color=colour)
    # A title with a place of its own: finding one measures the axes before they are drawn.
    left.set_title("weighted losses", fontsize="medium", y=1)
    for name, colour in zip(("eps", "loss_change"), style.COLOURS[1:]):
        _line(right, curve, name, axis(name), color=colour)
    right.set_title("convergence", fontsize="medium", y=1)
    for axes in (left, right):
        _finish(axes)
        style.fewer_ticks(axes.yaxis)
        axes.legend(*axes.get_legend_handles_labels(), frameon=False, fontsize="small")
        mark_scales(axes, [curve])
    if stop_eps:
        _threshold(right, stop_eps)
    return figure


def mark_scales(axes: Axes, curves: Sequence[Curve]) -> None:
    """Dotted lines between the scales of curves that change theirs at the same epochs."""
    scales = (np.diff(_column(curve, "scale"), prepend=np.nan) > 0 for curve in curves)
    changes = {tuple(_column(curve, "epoch")[change]) for curve, change in zip(curves, scales)}
    for epoch in changes.pop() if len(changes) == 1 else ():
        axes.axvline(epoch - 0.5, color="grey", linestyle=":", linewidth=1)


def overlaid(
    runs: Sequence[RunLike],
    key: str,
    columns: Sequence[str] = ("total", "eps"),
    *,
    others: Sequence[str] = (),
    relative: bool = False,
    title: str = "",
) -> Figure:
    """Curves of all runs that have some, coloured by one key, a panel for each column.

    The line style shows the first of the ``others`` that has few values, and a row of panels each
    value of the next; the title names the keys that are not shown. ``relative`` draws losses as a
    share of their start, for runs whose losses are not the same formula.
    """
    runs = [run for run in runs if len(run.curve) > 1]
    if not runs:
        raise style.NothingToDraw("curves: no run has one with two epochs")
    looks = style.looks_by(runs, key)
    dashable = len({look["linestyle"] for look in looks.values()}) == 1
    dashed, down = _told(runs, others, dashable)
    patterns = zip(levels(run.value(dashed) for run in runs) if dashed else [None], style.DASHES)
    dashes = {value: {"linestyle": dash} if dashed else {} for value, dash in patterns}
    hidden = [other for other in others if other not in (dashed, down)]
    rows = levels(run.value(down) for run in runs) if down else [None]
    figure = style.new_figure(4.6 * len(columns) + 1.8, 3.6 * len(rows) + 0.3)
    panels = figure.subplots(len(rows), len(columns), squeeze=False)
    faint = 1.0 if len(runs) <= 2 * len(looks) * len(dashes) else 0.65
    for line, value in zip(panels, rows):
        shown = [run for run in runs if level(run, down) == value]
        for axes, name in zip(line, columns):
            share = relative and name not in METRICS and "loss" in axis(name)
            for run in shown:
                look = looks[level(run, key)] | dashes[level(run, dashed)] | {"marker": "none"}
                _line(axes, run.curve, name, "", share=share, alpha=faint, lw=1.4, **look)
            label = axis(name) + (", as a share of its start" if share else "")
            axes.set_ylabel(style.text(label))
            _finish(axes)
            mark_scales(axes, [run.curve for run in shown])
            if down:
                axes.set_title(style.text(f"{down}={short(value)}"), fontsize="medium")
            if name == "eps" and len(bound := levels(run.value("stop_eps") for run in shown)) == 1:
                _threshold(axes, bound[0])
    title = _untold(title, hidden)
    second = (dashed, dashes)
    style.finish(figure, key, looks, lines=True, title=title, runs=runs, second=second)
    return figure


def by_layer(
    runs: Sequence[RunLike], key: str | None, *, others: Sequence[str] = (), title: str = ""
) -> Figure:
    """Losses by layer: of one run over the epochs, of several at the end, coloured by a key.

    The title says which ``others`` are not told apart.
    """
    runs = [run for run in runs if len(run.curve)]
    names = [name for name in (runs[0].curve if runs else ()) if "_loss." in name]
    branches = list(dict.fromkeys(name.partition(".")[0] for name in names))
    if not branches:
        raise style.NothingToDraw("layers: no run has losses by layer")
    if len(runs) == 1:
        key = None
    looks = style.looks_by(runs, key)
    figure, panels = style.subplots(len(branches), 4.6 * len(branches) + 1.4, 3.9)
    for axes, branch in zip(panels, branches):
        layers = [name for name in names if name.startswith(f"{branch}.")]
        if len(runs) == 1:
            for name, look in style.looks(layers, ordered=True).items():
                label = name.partition(".")[2]
                _line(axes, runs[0].curve, name, label, **look | {"marker": "none"})
            _finish(axes)
            axes.legend(frameon=False, fontsize="small")
        else:
            for run in runs:
                values = [_column(run.curve, name)[-1] for name in layers]
                axes.plot(range(len(layers)), values, alpha=0.8, ms=5, **looks[level(run, key)])
            ticks = [style.text(name.partition(".")[2]) for name in layers]
            axes.set_xticks(range(len(layers)), ticks)
            style.tidy(axes)
            axes.set_yscale("log")
        axes.set_ylabel(style.text(axis(branch)))
    title = _untold(title, others)
    style.finish(figure, key, looks, lines=False, title=title, runs=runs)
    return figure


def losses(curve: Curve) -> list[str]:
    """The columns of a curve that are losses: the total and its terms, not those of layers."""
    return [
        name for name in curve if name == "total" or (name.endswith("_loss") and "." not in name)
    ]


def mixed(keys: Sequence[str]) -> bool:
    """Whether runs that differ in these keys have losses that are not the same formula."""
    return any(changes_losses(ExperimentConfig, key) == "formula" for key in keys)


def _untold(title: str, keys: Sequence[str]) -> str:
    """A title with the keys that nothing in the figure tells apart."""
    return "; ".join(filter(None, (title, keys and f"not told apart: {', '.join(keys)}")))


def _told(
    runs: Sequence[RunLike], others: Sequence[str], dashable: bool
) -> tuple[str | None, str | None]:
    """The keys shown by the line style and by rows of panels: the first with few enough values."""
    told: list[str | None] = []
    count = {other: len(levels(run.value(other) for run in runs)) for other in others}
    for most in (len(style.DASHES) if dashable else 0, ROWS):
        fitting = (other for other in others if other not in told and 1 < count[other] <= most)
        told.append(next(fitting, None))
    return told[0], told[1]


def _line(
    axes: Axes, curve: Curve, name: str, label: str, share: bool = False, **look: Any
) -> None:
    """One column of a curve, without what a logarithmic axis cannot show."""
    values = _column(curve, name)
    if share:
        values = values / values[0] if values[0] > 0 else values * np.nan
    # Starting from the content image, the content loss begins at rounding error, not at 0: that is
    # not worth ten decades of the axis.
    values = np.where(values > 0, values, np.nan)
    if (known := values > 0).any():
        if values[0] < 1e-6 * values[known].max():
            values[0], known[0] = np.nan, False
        point = {"marker": "o"} if known.sum() == 1 else {}
        axes.plot(curve["epoch"], values, label=style.text(label), **look | point)


def _finish(axes: Axes) -> None:
    """The axes of curves: whole epochs, and a logarithmic scale if there is anything to show."""
    if axes.lines:
        style.logarithmic(axes, "y")
    else:
        axes.set_yticks([])
        axes.text(0.5, 0.5, "no values yet", transform=axes.transAxes, ha="center")
    style.over_epochs(axes)
    style.tidy(axes)


def _threshold(axes: Axes, stop_eps: Any) -> None:
    """A line at stop_eps, labelled where it is."""
    if not isinstance(stop_eps, (int, float)) or stop_eps <= 0:
        return
    axes.axhline(stop_eps, color="grey", linestyle="--", linewidth=1)
    axes.annotate(
        f"stop_eps = {short(stop_eps)}", (0, stop_eps), (4, 3), color="#555555",
        xycoords=("axes fraction", "data"), textcoords="offset points", fontsize="small",
    )  # fmt: skip


def _column(curve: Curve, name: str) -> np.ndarray:
    values = curve[name] if name in curve else np.full(len(curve["epoch"]), np.nan)
    return np.asarray(values, float)
