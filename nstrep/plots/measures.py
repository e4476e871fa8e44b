"""Final numbers of runs: against a key, content against style loss, cost against size."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from nstrep.config.fields import changes_losses
from nstrep.config.schema import ExperimentConfig
from nstrep.plots import style
from nstrep.plots.labels import RunLike, axis, level, levels, numeric, settings, short
from nstrep.plots.style import NothingToDraw

TERMS = ("content_term", "style_term")
FINAL = ("total", *TERMS)
"""What is drawn against a key by default."""

FINAL_MIXED = ("total_share", "ssim", "seconds")
"""The same for runs whose losses are not one formula."""

NO_LINE = {"linestyle": "none"}

DERIVED = ("total_share", "megapixels")
"""Numbers that are computed from those of metrics.json, besides the terms."""


def final_number(run: RunLike, name: str) -> float:
    """The final value of a number of a run; NaN if it has none.

    ``name`` is a key of metrics.json, a loss, ``X_term`` (X_loss divided by X_weight, by which runs
    with different weights compare), or one of :data:`DERIVED`.
    """
    if name == "total_share":
        return _ratio(final_number(run, "total"), run.value("losses_at_start.total"))
    if name == "megapixels":
        return final_number(run, "width") * final_number(run, "height") / 1e6
    if name.endswith("_term"):
        branch = name.removesuffix("_term")
        return _ratio(final_number(run, f"{branch}_loss"), run.config.get(f"{branch}_weight"))
    losses = run.metrics.get("losses")
    loss = losses.get(name) if isinstance(losses, dict) else None
    return _number(run.value(name) if loss is None else loss)


def _number(value: Any) -> float:
    usable = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if usable and abs(value) < 1e300 else math.nan


def _ratio(number: float, divisor: Any) -> float:
    divisor = _number(divisor)
    return number / divisor if divisor > 0 else math.nan


def against(
    runs: Sequence[RunLike],
    key: str,
    names: Sequence[str] = FINAL,
    *,
    colour: str | None = None,
    alike: Sequence[str] = (),
    title: str = "",
) -> Figure:
    """Final numbers of runs (see :func:`final_number`) against one key, a panel each.

    The key is along the horizontal axis if its values are numbers, along the vertical one if they
    are words. ``colour`` is another key; lines join runs that agree in it and in ``alike``.
    """
    runs = [run for run in runs if any(math.isfinite(final_number(run, name)) for name in names)]
    names = [name for name in names if any(math.isfinite(final_number(run, name)) for run in runs)]
    if not runs:
        raise NothingToDraw(f"final against {key}: no run has the numbers")
    places = levels(run.value(key) for run in runs)
    across = numeric(places) and None not in places
    looks = style.looks_by(runs, colour)
    groups = [level(run, colour) for run in runs]
    height = 3.9 if across else max(3.2, 1.2 + 0.28 * len(places))
    width = 3.7 * len(names) + (1.6 if colour else 0.4)
    figure, panels = style.subplots(len(names), width, height, sharey=not across)
    for axes, name in zip(panels, names):
        values = [final_number(run, name) for run in runs]
        if across:
            spots = [float(run.value(key)) for run in runs]
            lines: dict[Any, list[tuple[float, float]]] = {}
            for run, group, point in zip(runs, groups, zip(spots, values)):
                lines.setdefault((group, settings(run, alike)), []).append(point)
            for (group, _), points in lines.items():
                _line(axes, points, looks[group])
            axes.set(xlabel=style.text(axis(key)), ylabel=style.text(axis(name)))
            style.scaled(axes, "x", spots)
            style.scaled(axes, "y", values)
            _tick_the_values(axes, sorted(set(spots)))
        else:
            rows = [places.index(level(run, key)) for run in runs]
            _rows(axes, list(zip(values, rows, groups)), looks)
            axes.set_yticks(range(len(places)), [style.text(short(place)) for place in places])
            axes.set(ylim=(len(places) - 0.5, -0.5), xlabel=style.text(axis(name)))
            style.scaled(axes, "x", values)
        style.tidy(axes)
    style.finish(figure, colour, looks, lines=False, title=title, runs=runs)
    return figure


def _rows(axes: Axes, points: Sequence[tuple[float, int, Any]], looks: dict[Any, Any]) -> None:
    """Points with a value, a row and a group; groups that share a row stand beside each other."""
    shared = len({point[1:] for point in points}) > len({row for _, row, _ in points})
    offsets = np.linspace(-0.25, 0.25, len(looks)) if shared else [0.0] * len(looks)
    for (group, look), offset in zip(looks.items(), offsets):
        mine = [(value, row + offset) for value, row, other in points if other == group]
        axes.plot(*zip(*mine), ms=5, alpha=0.85, **look | NO_LINE)


def _line(axes: Axes, points: Sequence[tuple[float, float]], look: dict[str, Any]) -> None:
    """Points joined from left to right, unless several stand over one place."""
    if len({x for x, _ in points}) < len(points):
        look = look | NO_LINE
    axes.plot(*zip(*sorted(points)), ms=5, lw=1.2, alpha=0.85, **look)


def _tick_the_values(axes: Axes, spots: Sequence[float]) -> None:
    """Ticks at the values that were run, where they are few enough to be read."""
    scale = np.log if axes.get_xscale() == "log" else np.asarray
    placed = scale(np.array(spots, dtype=float))
    span = placed[-1] - placed[0]
    if len(spots) > 8 or (span > 0 and np.diff(placed).min() / span < 0.09):
        return
    axes.set_xticks(spots, [short(spot) for spot in spots])
    axes.xaxis.set_minor_locator(NullLocator())


def most_telling(runs: Sequence[RunLike], keys: Sequence[str]) -> str | None:
    """The key of at most 12 values that separates the final losses the most; None without a key.

    Between its values lies the largest share of the variance of the total loss's logarithm.
    """
    totals = [(run, total) for run in runs if (total := final_number(run, "total")) > 0]
    shares = {}
    for key in keys:
        groups: dict[Any, list[float]] = {}
        for run, total in totals:
            groups.setdefault(level(run, key), []).append(math.log(total))
        if len(levels(run.value(key) for run in runs)) <= 12 and groups:
            centre = np.mean(np.concatenate(list(groups.values())))
            shares[key] = sum(len(g) * (np.mean(g) - centre) ** 2 for g in groups.values())
    return max(shares, key=shares.get, default=None)


def tradeoff(
    runs: Sequence[RunLike], swept: Sequence[str], *, colour: str | None = None, title: str = ""
) -> Figure:
    """Content against style loss of finished runs, each over its weight, with the Pareto front.

    Runs whose losses measure different things (other images, layers, formulas, sizes) share no
    front: each such group is a panel. By default the colour is the first of the ``swept`` keys that
    does not separate the panels.
    """
    runs = [run for run in runs if run.status == "finished"]
    runs = [run for run in runs if all(final_number(run, name) > 0 for name in TERMS)]
    apart = [key for key in swept if changes_losses(ExperimentConfig, key)]
    groups: dict[str, list[RunLike]] = {}
    for run in runs:
        groups.setdefault(settings(run, apart), []).append(run)
    groups = {name: alike for name, alike in groups.items() if len(alike) > 1}
    if not groups:
        raise NothingToDraw(
            "tradeoff: no two finished runs have losses that measure the same"
            + (f"; they differ in {', '.join(apart)}" if apart else "")
        )
    if len(groups) > 12:
        raise NothingToDraw(f"tradeoff: {len(groups)} groups of runs are more than 12 panels")
    colour = colour or next((key for key in swept if key not in apart), None)
    looks = style.looks_by(runs, colour)
    columns = min(4, len(groups))
    rows = -(-len(groups) // columns)
    figure = style.new_figure(3.6 * columns + 1.8, 3.5 * rows + 0.3)
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for (name, alike), axes in zip(groups.items(), panels):
        _front(axes, alike, [looks[level(run, colour)] for run in alike])
        name = style.text(textwrap.fill(name, 36, break_on_hyphens=False))
        axes.set_title(name, fontsize="medium")
    for axes in panels[len(groups) :]:
        axes.set_visible(False)
    style.finish(figure, colour, looks, lines=False, title=title, runs=runs)
    return figure


def _front(axes: Axes, runs: Sequence[RunLike], looks: Sequence[dict[str, Any]]) -> None:
    points = [tuple(final_number(run, name) for name in TERMS) for run in runs]
    front = pareto(points)
    axes.plot(
        *zip(*front), color="#888888", lw=1.2, drawstyle="steps-post", zorder=1,
        label="Pareto front",
    )  # fmt: skip
    for point, look in zip(points, looks):
        on_front = point in front
        axes.plot(
            *point, ms=8 if on_front else 5, alpha=0.9, zorder=2,
            markeredgecolor="black" if on_front else "none", markeredgewidth=1.3,
            **look | NO_LINE,
        )  # fmt: skip
    for which, name, values in zip("xy", TERMS, zip(*points)):
        style.scaled(axes, which, values)
        axes.set(**{f"{which}label": axis(name)})
    axes.legend(frameon=False, fontsize="small")
    style.tidy(axes)


def pareto(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points that no other is at least as low as in both coordinates and lower in one."""
    front: list[tuple[float, float]] = []
    for point in sorted(set(points)):
        if not front or point[1] < front[-1][1]:
            front.append(point)
    return front


def cost(runs: Sequence[RunLike], *, colour: str | None = None, title: str = "") -> Figure:
    """Time per epoch and peak memory against the size of the image."""
    runs = [run for run in runs if math.isfinite(final_number(run, "megapixels"))]
    if len({final_number(run, "megapixels") for run in runs}) < 2:
        raise NothingToDraw("cost: the runs have one size; sweep max_long_edge")
    looks = style.looks_by(runs, colour)
    figure, panels = style.subplots(2, 9 + (1.4 if colour else 0), 3.9)
    for axes, name in zip(panels, ("seconds_per_epoch", "peak_memory_mb")):
        for group, look in looks.items():
            group_runs = [run for run in runs if level(run, colour) == group]
            points = [[final_number(run, n) for n in ("megapixels", name)] for run in group_runs]
            _line(axes, points, look)
        style.logarithmic(axes, "x")
        style.logarithmic(axes, "y")
        axes.set(xlabel=axis("megapixels"), ylabel=axis(name))
        style.tidy(axes)
    style.finish(figure, colour, looks, lines=False, title=title, runs=runs)
    return figure
