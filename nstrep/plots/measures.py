"""What runs came to: final losses against a key, content against style, cost against size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

from nstrep.config.fields import changes_losses
from nstrep.config.schema import ExperimentConfig
from nstrep.plots.labels import axis, levels, numeric, plain, settings, short
from nstrep.plots.style import (  # fmt: skip
    NothingToDraw,
    headline,
    legend,
    logarithmic,
    looks,
    new_figure,
    scaled,
    text,
    tidy,
)

if TYPE_CHECKING:
    from nstrep.analysis.run_reader import Run

FINAL = ("total", "content_term", "style_term")
"""What is drawn against a key unless others are asked for."""

FINAL_MIXED = ("total_share", "ssim", "seconds")
"""The same for runs whose losses are not one formula."""


def measure(run: Run, name: str) -> float:
    """A number that a run came to; NaN if it has none.

    Besides the keys of metrics.json and the losses by their names in curve.csv: ``content_term``
    and ``style_term``, the losses divided by their weights, which runs with other weights can be
    compared by; ``total_share``, the total loss as a share of what it was at the start; and
    ``megapixels``.
    """
    if name == "total_share":
        start = _number(run.value("losses_at_start.total"))
        return measure(run, "total") / start if start > 0 else math.nan
    if name == "megapixels":
        return measure(run, "width") * measure(run, "height") / 1e6
    if name in ("content_term", "style_term"):
        branch = name.partition("_")[0]
        weight = _number(run.config.get(f"{branch}_weight"))
        return measure(run, f"{branch}_loss") / weight if weight > 0 else math.nan
    losses = run.metrics.get("losses")
    found = losses.get(name) if isinstance(losses, dict) else None
    return _number(run.value(name) if found is None else found)


def _number(value: Any) -> float:
    whole = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if whole and abs(value) < 1e300 else math.nan


def against(
    runs: Sequence[Run],
    key: str,
    measures: Sequence[str] = FINAL,
    *,
    colour: str | None = None,
    alike: Sequence[str] = (),
    title: str = "",
) -> Figure:
    """What runs came to against one key, a panel each measure.

    Args:
        runs: those without a number are left out.
        key: along the axis: across for numbers, down for words.
        measures: see :func:`measure`.
        colour: another key, told by colour.
        alike: further keys; lines join runs that agree in them and in ``colour``.
        title: head of the figure.

    Raises:
        NothingToDraw: no run has any of the numbers.

    """
    runs = [run for run in runs if any(math.isfinite(measure(run, name)) for name in measures)]
    measures = [n for n in measures if any(math.isfinite(measure(run, n)) for run in runs)]
    if not runs:
        raise NothingToDraw(f"final against {key}: no run has the numbers")
    places = levels(run.value(key) for run in runs)
    named = looks(levels(run.value(colour) for run in runs)) if colour else {None: looks([0])[0]}
    across = numeric(places) and None not in places
    tall = 3.9 if across else max(3.2, 1.2 + 0.28 * len(places))
    figure = new_figure(3.7 * len(measures) + (1.6 if colour else 0.4), tall)
    panels = np.atleast_1d(figure.subplots(1, len(measures), sharey=not across))
    for axes, name in zip(panels, measures):
        _panel(axes, runs, key, name, colour, named, alike, places if not across else None)
    if colour:
        legend(figure, axis(colour), named, lines=False)
    headline(figure, title)
    return figure


def telling(runs: Sequence[Run], keys: Sequence[str], name: str = "total") -> str | None:
    """The key whose values part the runs' results the most, for colour; None without a key.

    Of the variance of the measure's logarithm, the share that lies between the key's values;
    keys with more than 12 values do not count.
    """
    shares = {}
    for key in keys:
        groups: dict[Any, list[float]] = {}
        for run in runs:
            if measure(run, name) > 0:
                groups.setdefault(plain(run.value(key)), []).append(math.log(measure(run, name)))
        if len(levels(run.value(key) for run in runs)) <= 12 and groups:
            centre = np.mean(np.concatenate(list(groups.values())))
            shares[key] = sum(len(g) * (np.mean(g) - centre) ** 2 for g in groups.values())
    return max(shares, key=shares.get, default=None)


def _panel(
    axes: Axes,
    runs: Sequence[Run],
    key: str,
    name: str,
    colour: str | None,
    named: dict[Any, dict[str, Any]],
    alike: Sequence[str],
    words: list[Any] | None,
) -> None:
    values = [measure(run, name) for run in runs]
    groups = [plain(run.value(colour)) if colour else None for run in runs]
    if words is None:
        spots = [float(run.value(key)) for run in runs]
        lines: dict[tuple[Any, str], list[tuple[float, float]]] = {}
        for run, x, y, group in zip(runs, spots, values, groups):
            lines.setdefault((group, settings(run, alike)), []).append((x, y))
        for (group, _), mine in lines.items():
            _line(axes, mine, named[group])
        axes.set_xlabel(text(axis(key)))
        axes.set_ylabel(text(axis(name)))
        scaled(axes, "x", spots)
        scaled(axes, "y", values)
        _tick_the_values(axes, sorted(set(spots)))
    else:
        pairs = {(plain(run.value(key)), group) for run, group in zip(runs, groups)}
        shared = len(pairs) > len(words)
        offsets = np.linspace(-0.25, 0.25, len(named)) if shared else [0.0] * len(named)
        for (group, look), offset in zip(named.items(), offsets):
            mine = [
                (y, words.index(plain(run.value(key))) + offset)
                for run, y, g in zip(runs, values, groups)
                if g == group
            ]
            look = {**look, "linestyle": "none"}
            axes.plot(*zip(*mine), ms=5, alpha=0.85, **look)
        axes.set_yticks(range(len(words)), [text(short(word)) for word in words])
        axes.set_ylim(len(words) - 0.5, -0.5)
        axes.set_xlabel(text(axis(name)))
        scaled(axes, "x", values)
    tidy(axes)


def _line(axes: Axes, points: Sequence[tuple[float, float]], look: dict[str, Any]) -> None:
    """Points joined from left to right, unless several stand over one place."""
    if len({x for x, _ in points}) < len(points):
        look = {**look, "linestyle": "none"}
    axes.plot(*zip(*sorted(points)), ms=5, lw=1.2, alpha=0.85, **look)


def _tick_the_values(axes: Axes, spots: Sequence[float]) -> None:
    """Ticks at the values that were run, where they are few enough to be read."""
    scale = np.log if axes.get_xscale() == "log" else np.asarray
    placed = scale(np.array(spots, dtype=float))
    span = placed[-1] - placed[0]
    if len(spots) > 8 or (span > 0 and np.diff(placed).min() / span < 0.09):
        return
    axes.xaxis.set_major_locator(FixedLocator(spots))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xticks(spots, [short(spot) for spot in spots])


def tradeoff(
    runs: Sequence[Run], swept: Sequence[str], *, colour: str | None = None, title: str = ""
) -> Figure:
    """Content against style loss, each divided by its weight, with the Pareto front.

    Runs whose losses measure different things (other pictures, layers, formulas, sizes) share no
    front: each such group is a panel.

    Args:
        runs: those that did not finish are left out.
        swept: keys in which the runs differ.
        colour: key told by colour; by default the first that does not part the panels.
        title: head of the figure.

    Raises:
        NothingToDraw: fewer than two comparable runs, or more than 12 groups.

    """
    runs = [run for run in runs if run.status == "finished"]
    runs = [run for run in runs if min(_terms(run)) > 0]
    apart = [key for key in swept if changes_losses(ExperimentConfig, key)]
    groups: dict[str, list[Run]] = {}
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
    together = [key for key in swept if key not in apart]
    colour = colour or next(iter(together), None)
    named = looks(levels(run.value(colour) for run in runs)) if colour else {None: looks([0])[0]}
    columns = min(4, len(groups))
    rows = -(-len(groups) // columns)
    figure = new_figure(3.6 * columns + 1.8, 3.5 * rows + 0.3)
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for (name, alike), axes in zip(groups.items(), panels):
        _front(axes, alike, colour, named)
        axes.set_title(text(name), fontsize="medium")
    for axes in list(panels):
        axes.set_visible(False)
    if colour:
        legend(figure, axis(colour), named, lines=False)
    headline(figure, title)
    return figure


def _terms(run: Run) -> tuple[float, float]:
    terms = measure(run, "content_term"), measure(run, "style_term")
    return tuple(-1.0 if math.isnan(term) else term for term in terms)


def _front(
    axes: Axes, runs: Sequence[Run], colour: str | None, named: dict[Any, dict[str, Any]]
) -> None:
    front = pareto([_terms(run) for run in runs])
    xs, ys = zip(*front)
    axes.plot(
        xs, ys, color="#888888", lw=1.2, drawstyle="steps-post", zorder=1, label="Pareto front"
    )
    for run in runs:
        look = {**named[plain(run.value(colour)) if colour else None], "linestyle": "none"}
        on_front = _terms(run) in front
        axes.plot(
            *_terms(run), ms=8 if on_front else 5, alpha=0.9, zorder=2,
            markeredgecolor="black" if on_front else "none", markeredgewidth=1.3, **look,
        )  # fmt: skip
    for which, values in zip("xy", zip(*(_terms(run) for run in runs))):
        scaled(axes, which, values)
    axes.set_xlabel(axis("content_term"))
    axes.set_ylabel(axis("style_term"))
    axes.legend(frameon=False, fontsize="small")
    tidy(axes)


def pareto(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points that no other is at least as low as in both coordinates and lower in one."""
    front: list[tuple[float, float]] = []
    for point in sorted(set(points)):
        if not front or point[1] < front[-1][1]:
            front.append(point)
    return front


def cost(runs: Sequence[Run], *, colour: str | None = None, title: str = "") -> Figure:
    """Time per epoch and peak memory against the size of the picture.

    Raises:
        NothingToDraw: the runs have one size.

    """
    sizes = {measure(run, "megapixels") for run in runs}
    if len([size for size in sizes if math.isfinite(size)]) < 2:
        raise NothingToDraw("cost: the runs have one size; sweep max_long_edge")
    runs = [run for run in runs if math.isfinite(measure(run, "megapixels"))]
    names = ("seconds_per_epoch", "peak_memory_mb")
    named = looks(levels(run.value(colour) for run in runs)) if colour else {None: looks([0])[0]}
    figure = new_figure(9 + (1.4 if colour else 0), 3.9)
    for axes, name in zip(figure.subplots(1, 2), names):
        for level, look in named.items():
            mine = [run for run in runs if colour is None or plain(run.value(colour)) == level]
            _line(axes, [(measure(run, "megapixels"), measure(run, name)) for run in mine], look)
        logarithmic(axes, "x")
        logarithmic(axes, "y")
        axes.set_xlabel(axis("megapixels"))
        axes.set_ylabel(axis(name))
        tidy(axes)
    if colour:
        legend(figure, axis(colour), named, lines=False)
    headline(figure, title)
    return figure
