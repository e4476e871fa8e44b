"""The figures of the claims: which of nstrep's plots, over which runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nstrep import plots
from nstrep.analysis.run_reader import Run
from nstrep.claims import schema
from nstrep.claims.plan import Made
from nstrep.claims.quantities import quantity
from nstrep.claims.statistics import pick
from nstrep.plots import style

PHOTOGRAPHIC = ("grid", "sheet")
"""Kinds made of pictures, saved as JPEG."""


def draw(figure: schema.Figure, made: Sequence[Made], path: Path) -> Path:
    """Draw a figure of a claim.

    Args:
        figure: what to draw.
        made: the runs of its set.
        path: of the file, without its suffix.

    Returns:
        The file.

    Raises:
        NothingToDraw: the runs do not hold what it shows.

    """
    given = dict(figure.given)
    chosen = pick(made, given.pop("where", None))
    drawn = KINDS[figure.kind](chosen, title=figure.title, **given)
    kind = "jpg" if figure.kind in PHOTOGRAPHIC else "png"
    (file,) = plots.save(drawn, path, [kind], dpi=100)
    return file


def tabulate(figure: schema.Figure, made: Sequence[Made]) -> pd.DataFrame | None:
    """The numbers of a figure, for those kinds that are read as a table too."""
    kind = TABLES.get(figure.kind)
    return kind(made, **figure.given) if kind and made else None


def runs(made: Sequence[Made]) -> list[Run]:
    """The runs, as if their settings had been typed one by one.

    What was swept and is no key of an experiment, of a training for instance, is added to its
    configuration.
    """
    return [
        replace(
            one.run,
            overrides=one.planned.overrides,
            config={
                **{key: value for key, value in one.swept.items() if one.run.value(key) is None},
                **one.run.config,
            },
        )
        for one in made
    ]


def grid(made: Sequence[Made], *, title: str, rows: str, columns: str) -> Figure:
    """Pictures over two swept keys."""
    return plots.grid(runs(made), rows, columns, title=title)


def sheet(made: Sequence[Made], *, title: str, keys: list[str]) -> Figure:
    """Pictures over swept keys: the last across, the others together down."""
    *down, across = keys
    if not down:
        return plots.contact_sheet(runs(made), keys, title=title)
    name = ", ".join(down)
    joined = [
        replace(run, config={**run.config, name: ", ".join(one.swept[key] for key in down)})
        for one, run in zip(made, runs(made))
    ]
    return plots.grid(joined, name, across, title=title)


def curves(made: Sequence[Made], *, title: str, columns: list[str], along: str) -> Figure:
    """Columns of the curves over the epochs, coloured by a swept key; short ones on top."""
    longest_first = sorted(runs(made), key=lambda run: -len(run.curve))
    return plots.overlaid(longest_first, along, columns, title=title)


def against(
    made: Sequence[Made], *, title: str, of: Any, label: str, along: str, lines: str
) -> Figure:
    """A quantity against a swept key, a line for each value of another."""
    measured = [
        replace(run, metrics={**run.metrics, label: quantity(one, of)})
        for one, run in zip(made, runs(made))
    ]
    return plots.against(measured, along, [label], colour=lines, title=title)


def cost(made: Sequence[Made], *, title: str) -> Figure:
    """Time and memory against the picture's size."""
    return plots.cost(runs(made), title=title)


def costs(
    made: Sequence[Made], *, title: str, epochs: list[int], published: dict[str, list[float]]
) -> Figure:
    """Published losses beside the run's, each as a share of its start."""
    curve = made[0].run.curve
    if "epoch" not in curve:
        raise style.NothingToDraw("costs: the run has no curve")
    figure = style.new_figure(4.2 * len(published), 3.6)
    for axes, (column, values) in zip(
        np.atleast_1d(figure.subplots(1, len(published))), published.items()
    ):
        theirs = np.array(values) / values[0]
        ours = curve[column] / curve[column].iloc[0]
        axes.plot(curve["epoch"], ours, color=style.COLOURS[1], label="here")
        axes.plot(epochs, theirs, "s", color=style.COLOURS[2], label="published")
        style.scaled(axes, "y", [*theirs, *ours])
        axes.set_xlabel("epoch")
        axes.set_ylabel(f"{column.replace('_', ' ')} over its start")
        axes.legend(frameon=False)
        style.tidy(axes)
    style.headline(figure, title)
    return figure


def reached(
    made: Sequence[Made], *, title: str, of: Mapping[str, Any], against: Mapping[str, Any],
    along: str,
) -> Figure:  # fmt: skip
    """Where optimisations reach the loss of other runs: a panel for each value of a swept key."""
    values = list(dict.fromkeys(one.swept[along] for one in made))
    figure = style.new_figure(4.2 * len(values), 3.6)
    for axes, name in zip(np.atleast_1d(figure.subplots(1, len(values))), values):
        (ours,), (theirs,) = (pick(made, {**which, along: name}) for which in (of, against))
        curve = ours.run.curve
        if len(curve) < 2 or theirs.run.curve.empty:
            raise style.NothingToDraw("reached: a run has no curve")
        loss, took = (quantity(theirs, spec) for spec in ("lowest", "milliseconds"))
        axes.plot(curve["epoch"], curve["total"], color=style.COLOURS[1], label="L-BFGS")
        axes.axhline(loss, color=style.COLOURS[2], label=f"one pass, {took:.0f} ms")
        step, seconds = (
            quantity(ours, {"name": f"{count}_to", "loss": loss}) for count in ("epochs", "seconds")
        )
        if not math.isnan(step):
            axes.plot(
                step, loss, "o", color=style.COLOURS[2], label=f"step {step:.0f}, {seconds:.2g} s"
            )
        style.scaled(axes, "y", [loss, *curve["total"]])
        axes.set_xlabel("step")
        axes.set_ylabel("total loss")
        axes.set_title(style.text(name), fontsize="medium")
        axes.legend(frameon=False)
        style.tidy(axes)
    style.headline(figure, title)
    return figure


def costs_table(
    made: Sequence[Made], *, epochs: list[int], published: dict[str, list[float]]
) -> pd.DataFrame:
    """The numbers behind :func:`costs`: a row an epoch, published and here."""
    curve = made[0].run.curve
    rows = pd.DataFrame({"epoch": epochs})
    for column, values in published.items():
        weight = made[0].run.value(column.replace("_loss", "_weight")) or 1.0
        found = curve.set_index("epoch")[column].reindex(epochs) if "epoch" in curve else math.nan
        rows[f"{column.split('_')[0]}, published"] = values
        rows[f"{column.split('_')[0]}, here"] = np.asarray(found / weight)
    return rows


TABLES: dict[str, Callable[..., pd.DataFrame]] = {"costs": costs_table}
"""Kinds whose numbers the report shows too."""

KINDS: dict[str, Callable[..., Figure]] = {
    function.__name__: function for function in (grid, sheet, curves, against, cost, costs, reached)
}
