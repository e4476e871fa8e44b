"""The figures of the claims: which of nstrep's plots, over which runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nstrep import plots
from nstrep.claims import schema
from nstrep.claims.plan import ClaimRun
from nstrep.claims.quantities import quantity
from nstrep.claims.statistics import Runs, select
from nstrep.plots import style
from nstrep.plots.labels import short


def draw(figure: schema.Figure, runs: Runs, path: Path) -> Path:
    """Draw a figure over the runs of its set, and return its file: ``path`` with a suffix."""
    given = dict(figure.given)
    chosen = select(runs, given.pop("where", None))
    drawn = KINDS[figure.kind]([_as_typed(run) for run in chosen], title=figure.title, **given)
    suffix = "jpg" if figure.kind in ("plate", "sheet") else "png"
    (file,) = plots.save(drawn, path, [suffix], dpi=100)
    return file


def _as_typed(run: ClaimRun) -> ClaimRun:
    """The run as if its settings had been typed, with the swept keys of a training."""
    others = {key: value for key, value in run.swept.items() if run.value(key) is None}
    return replace(run, overrides=run.planned.overrides, config={**others, **run.config})


def sheet(runs: Runs, *, title: str, keys: list[str]) -> Figure:
    """Images over swept keys: the last one across, the others together down."""
    *down, across = keys
    if not down:
        return plots.contact_sheet(runs, keys, title=title)
    name = ", ".join(down)
    joined = [
        replace(run, config={**run.config, name: ", ".join(run.swept[key] for key in down)})
        for run in runs
    ]
    return plots.grid(joined, name, across, title=title)


class Photo(ClaimRun):
    """A run that is shown as its content image."""

    picture = property(lambda self: self.content_image)


def plate(runs: Runs, *, title: str, rows: Any, columns: Any = None) -> Figure:
    """Images in the arrangement of a paper's figure.

    ``rows`` has a mapping for each row, from the caption of each image to its swept values. With
    ``columns`` both are mappings from a label to swept values; ``columns`` may be swept keys
    instead, each combination of whose values is one. ``photo`` among the values is the photo.
    """
    if columns is None:
        sides, cells = [], [list(row.items()) for row in rows]
    else:
        if isinstance(columns, list):
            named = (({key: run.swept[key] for key in columns}, run) for run in runs)
            columns = {"\n".join(short(run.value(key)) for key in of): of for of, run in named}
        sides = list(rows)
        cells = [
            [("" if place else name, {**down, **across}) for name, across in columns.items()]
            for place, down in enumerate(rows.values())
        ]
    shown = [[(name, _one(runs, where)) for name, where in row] for row in cells]
    return plots.plate(shown, sides, title=title)


def _one(runs: Runs, where: Mapping[str, Any]) -> ClaimRun | None:
    """The run with some swept values; None if there is none."""
    values = {key: value for key, value in where.items() if key != "photo"}
    run = next(iter(select(runs, values)), None)
    if run is None or "photo" not in where:
        return run
    return Photo(**{each.name: getattr(run, each.name) for each in fields(run)})


def curves(runs: Runs, *, title: str, columns: list[str], along: str) -> Figure:
    """Columns of the curves over the epochs, coloured by a swept key; short ones on top."""
    longest_first = sorted(runs, key=lambda run: -len(run.curve))
    return plots.overlaid(longest_first, along, columns, title=title)


def against(runs: Runs, *, title: str, of: Any, label: str, along: str, lines: str) -> Figure:
    """A quantity against a swept key, with one line for each value of another."""
    measured = [replace(run, metrics={**run.metrics, label: quantity(run, of)}) for run in runs]
    return plots.against(measured, along, [label], colour=lines, title=title)


def costs(
    runs: Runs, *, title: str, epochs: list[int], published: dict[str, list[float]]
) -> Figure:
    """Published losses beside the run's, each over its value at the start."""
    curve = runs[0].curve
    if "epoch" not in curve:
        raise style.NothingToDraw("costs: the run has no curve")
    figure, panels = style.subplots(len(published), 4.2 * len(published), 3.6)
    for axes, (column, values) in zip(panels, published.items()):
        theirs = np.array(values) / values[0]
        ours = curve[column] / curve[column].iloc[0]
        axes.plot(curve["epoch"], ours, color=style.COLOURS[1], label="here")
        axes.plot(epochs, theirs, "s", color=style.COLOURS[2], label="published")
        style.scaled(axes, "y", [*theirs, *ours])
        _label(axes, "epoch", f"{column.replace('_', ' ')} over its start")
        style.over_epochs(axes)
    style.headline(figure, title, runs)
    return figure


def reached(
    runs: Runs, *, title: str, of: Mapping[str, Any], against: Mapping[str, Any], along: str
) -> Figure:
    """Where optimisations reach the loss of other runs; one panel per value of a swept key."""
    values = list(dict.fromkeys(run.swept[along] for run in runs))
    figure, panels = style.subplots(len(values), 4.2 * len(values), 3.6)
    for axes, name in zip(panels, values):
        (ours,), (theirs,) = (select(runs, {**which, along: name}) for which in (of, against))
        curve = ours.curve
        if len(curve) < 2 or theirs.curve.empty:
            raise style.NothingToDraw("reached: a run has no curve")
        loss, took = (quantity(theirs, spec) for spec in ("lowest", "milliseconds"))
        axes.plot(curve["epoch"], curve["total"], color=style.COLOURS[1], label="L-BFGS")
        axes.axhline(loss, color=style.COLOURS[2], label=f"one pass, {took:.0f} ms")
        step, seconds = (
            quantity(ours, {"name": f"{count}_to", "loss": loss}) for count in ("epochs", "seconds")
        )
        if not math.isnan(step):
            label = f"step {step:.0f}, {seconds:.2g} s"
            axes.plot(step, loss, "o", color=style.COLOURS[2], label=label)
        style.scaled(axes, "y", [loss, *curve["total"]])
        axes.set_title(style.text(name), fontsize="medium")
        _label(axes, "step", "total loss")
    style.headline(figure, title, runs)
    return figure


def _label(axes: Axes, x: str, y: str) -> None:
    axes.set(xlabel=x, ylabel=y)
    axes.legend(frameon=False)
    style.tidy(axes)


def costs_table(runs: Runs, epochs: list[int], published: dict[str, list[float]]) -> pd.DataFrame:
    """The numbers of :func:`costs`: one row per epoch, published and here."""
    rows = pd.DataFrame({"epoch": epochs})
    for column, values in published.items():
        weight = runs[0].value(column.replace("_loss", "_weight")) or 1.0
        losses = runs[0].curve.set_index("epoch")[column].reindex(epochs)
        branch = column.split("_")[0]
        rows[f"{branch}, published"] = values
        rows[f"{branch}, here"] = losses.to_numpy() / weight
    return rows


KINDS: dict[str, Callable[..., Figure]] = {
    "plate": plate,
    "sheet": sheet,
    "curves": curves,
    "against": against,
    "cost": plots.cost,
    "costs": costs,
    "reached": reached,
}
