"""Pictures side by side: a grid over two keys, all of a folder, one under several filters."""

from __future__ import annotations

import logging
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from nstrep.base.errors import InputError
from nstrep.images import io
from nstrep.images.filters import remove_noise
from nstrep.plots.labels import axis, levels, plain, settings, short
from nstrep.plots.style import NothingToDraw, headline, new_figure, text

if TYPE_CHECKING:
    from nstrep.analysis.run_reader import Run

log = logging.getLogger(__name__)

STRENGTHS = {"tv": (0.02, 0.05, 0.1, 0.2), "gaussian": (0.5, 1.0, 2.0, 4.0)}
"""What the denoise strip shows: Chambolle's weight, the Gaussian's sigma in pixels."""

MOST = 100
"""Pictures of a figure at most."""

_PIXELS = 3600
"""Sides of a figure at most, at 120 to the inch."""


def grid(runs: Sequence[Run], down: str, across: str, *, title: str = "") -> Figure:
    """Pictures over two keys, rows and columns labelled, as in Fig. 3 of Gatys et al. 2015.

    A cell without a picture says why. Where several runs share a cell the first is shown, and
    their number beside it.

    Raises:
        NothingToDraw: no run has a picture, or the cells are more than :data:`MOST`.

    """
    rows, columns = (levels(run.value(key) for run in runs) for key in (down, across))
    if not any(run.picture_path for run in runs):
        raise NothingToDraw("grid: no run has a picture")
    if len(rows) * len(columns) > MOST:
        raise NothingToDraw(f"grid: {len(rows)} x {len(columns)} pictures are more than {MOST}")
    cells: dict[tuple, list[Run]] = {}
    for run in runs:
        cells.setdefault((plain(run.value(down)), plain(run.value(across))), []).append(run)
    panels, figure, aspect = _cells(runs, len(rows), len(columns), margin=(0.9, 0.6))
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            alike = cells.get((row, column), [])
            _show(panels[i, j], alike[0] if alike else None, aspect)
            if len(alike) > 1:
                panels[i, j].set_xlabel(f"1 of {len(alike)} runs", fontsize="x-small")
    for axes, column in zip(panels[0], columns):
        axes.set_title(text(short(column, 24)), fontsize="medium")
    for axes, row in zip(panels[:, 0], rows):
        axes.set_ylabel(text(short(row, 24)), fontsize="medium")
    figure.supxlabel(text(f"{axis(across)} →"), fontsize="medium")
    figure.supylabel(text(f"← {axis(down)}"), fontsize="medium")
    headline(figure, title)
    return figure


def contact_sheet(runs: Sequence[Run], keys: Sequence[str], *, title: str = "") -> Figure:
    """Every picture with its settings under it, in the order of the runs.

    Raises:
        NothingToDraw: no run has a picture, or there are more than :data:`MOST` runs.

    """
    if not any(run.picture_path for run in runs):
        raise NothingToDraw("grid: no run has a picture")
    if len(runs) > MOST:
        raise NothingToDraw(f"grid: {len(runs)} pictures are more than {MOST}")
    columns = min(len(runs), max(3, round(len(runs) ** 0.5)))
    rows = -(-len(runs) // columns)
    panels, figure, aspect = _cells(
        runs, rows, columns, margin=(0.2, 0.3), caption=0.05 + 0.16 * max(1, len(keys))
    )
    for axes, run in zip(panels.flat, runs):
        _show(axes, run, aspect)
        lines = [text(short(run.value(key), 26)) for key in keys]
        if len(keys) > 1:
            lines = [f"{text(key.split('.')[-1])}={line}" for key, line in zip(keys, lines)]
        axes.set_title("\n".join(lines) or text(run.name), fontsize="small")
    for axes in list(panels.flat)[len(runs) :]:
        axes.set_visible(False)
    if len(keys) == 1 or title:
        figure.suptitle(text(title or axis(keys[0])))
    return figure


def _cells(
    runs: Sequence[Run],
    rows: int,
    columns: int,
    *,
    margin: tuple[float, float],
    caption: float = 0.0,
) -> tuple[np.ndarray, Figure, float]:
    """Axes of the shape of the first picture, in a figure that is not larger than it need be.

    Returns:
        The axes (rows, columns), the figure, and height / width of the picture.

    """
    pictures = (_picture(run) for run in runs)
    first = next((picture for picture in pictures if picture is not None), None)
    if first is None:
        raise NothingToDraw("grid: no run has a picture that can be read")
    height, width = first.shape[:2]
    across = min(2.6, (_PIXELS / 120 - margin[0]) / columns)
    down = across * height / width
    if rows * (down + caption) + margin[1] > _PIXELS / 120:
        down = (_PIXELS / 120 - margin[1]) / rows - caption
        across = down * width / height
    figure = new_figure(
        max(3.6, columns * across + margin[0]), rows * (down + caption) + margin[1] + 0.35
    )
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.01, hspace=0.01)
    return figure.subplots(rows, columns, squeeze=False), figure, height / width


def _picture(run: Run) -> np.ndarray | None:
    try:
        return run.picture if run.picture_path else None
    except InputError as error:
        log.warning("%s", error)
        return None


def _show(axes: Axes, run: Run | None, aspect: float) -> None:
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    picture = None if run is None else _picture(run)
    if run is not None and picture is not None:
        height, width = picture.shape[:2]
        if max(height, width) > 512:  # more than its cell has
            picture = io.resize_long_edge(picture, 512)
        axes.imshow(picture, interpolation="antialiased")
        if run.status != "finished":
            axes.set_xlabel(run.status, fontsize="x-small")
        return
    axes.set_facecolor("#eeeeee")
    axes.set_box_aspect(aspect)
    said = "not run" if run is None else f"{run.status}:\n{_wrapped(run.reason)}"
    axes.text(
        0.5, 0.5, text(said), transform=axes.transAxes, ha="center", va="center",
        fontsize="x-small", color="#444444", clip_on=True,
    )  # fmt: skip


def _wrapped(words: str) -> str:
    return "\n".join(textwrap.wrap(words, 26, max_lines=5, placeholder=" ..."))


def denoise_strip(
    run: Run, strengths: dict[str, Sequence[float]] = STRENGTHS, *, side: int = 128
) -> Figure:
    """A part of a result under filters of several strengths, from raw.npz: no second run.

    Args:
        run: has a raw.npz.
        strengths: of each filter of :mod:`nstrep.images.filters`, a row each.
        side: of the part that is shown, in pixels of the result.

    Raises:
        NothingToDraw: there is no raw.npz, or it is damaged.

    """
    try:
        raw = run.raw
    except InputError as error:
        raise NothingToDraw(f"denoise: {error}") from None
    height, width = raw.shape[:2]
    side = min(side, height, width)
    top, left = (height - side) // 2, (width - side) // 2
    part = np.s_[top : top + side, left : left + side]
    columns = 1 + max(len(values) for values in strengths.values())
    figure = new_figure(2.0 * columns + 3.2, 2.25 * len(strengths) + 0.5)
    whole, strip = figure.subfigures(1, 2, width_ratios=[3.0, 2.0 * columns])
    axes = whole.subplots()
    axes.imshow(np.clip(raw, 0, 1))
    axes.add_patch(Rectangle((left, top), side, side, fill=False, edgecolor="white", lw=2.5))
    axes.add_patch(Rectangle((left, top), side, side, fill=False, edgecolor="black", lw=1))
    axes.set_title("before the filter", fontsize="medium")
    axes.set_axis_off()
    panels = strip.subplots(len(strengths), columns, squeeze=False)
    units = {"tv": "weight", "gaussian": "sigma (pixels)"}
    for row, (name, values) in zip(panels, strengths.items()):
        for axes, strength in zip(row, (0.0, *values)):
            # The whole picture is filtered: at the edges of a part the filter would see less.
            axes.imshow(remove_noise(raw, strength, name)[part], interpolation="nearest")
            axes.set_title(f"{strength:g}" if strength else "none", fontsize="medium")
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        for axes in row[len(values) + 1 :]:
            axes.set_visible(False)
        row[0].set_ylabel(f"{name}, {units.get(name, 'strength')}", fontsize="medium")
    figure.suptitle(text(settings(run, ("content", "style")) + f": {side} x {side} pixels of it"))
    return figure
