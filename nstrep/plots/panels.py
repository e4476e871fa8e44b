"""Images side by side: a grid over two keys, all of a folder, one under several filters."""

from __future__ import annotations

import itertools
import logging
import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from nstrep.base.errors import InputError
from nstrep.images import io
from nstrep.images.filters import remove_noise
from nstrep.plots.labels import RunLike, axis, level, levels, short
from nstrep.plots.style import NothingToDraw, headline, new_figure, rendered, text

log = logging.getLogger(__name__)

STRENGTHS = {"tv": (0.02, 0.05, 0.1, 0.2), "gaussian": (0.5, 1.0, 2.0, 4.0)}
"""Filter strengths of the denoise strip: Chambolle's weight, the Gaussian's sigma in pixels."""

MOST = 100
"""Largest number of images in a figure."""

LARGEST = 30
"""Largest side of a figure in inches, of 120 pixels."""


def grid(runs: Sequence[RunLike], down: str, across: str, *, title: str = "") -> Figure:
    """Images over two keys, rows and columns labelled, as in Fig. 3 of Gatys et al. 2015.

    A cell without an image says why. Where several runs share a cell the first is shown.
    """
    rows, columns = (levels(run.value(key) for run in runs) for key in (down, across))
    cells: dict[tuple, list[RunLike]] = {}
    for run in runs:
        cells.setdefault((level(run, down), level(run, across)), []).append(run)
    panels, figure, aspect = _cells(runs, len(rows), len(columns), (0.9, 0.6), 0)
    for axes, cell in zip(panels.flat, itertools.product(rows, columns)):
        alike = cells.get(cell, [])
        _show(axes, alike[0] if alike else None, aspect)
        if len(alike) > 1:
            axes.set_xlabel(f"1 of {len(alike)} runs", fontsize="x-small")
    for axes, column in zip(panels[0], columns):
        axes.set_title(_lines(column), fontsize="medium")
    for axes, row in zip(panels[:, 0], rows):
        axes.set_ylabel(_lines(row), fontsize="medium")
    figure.supxlabel(text(f"{axis(across)} →"), fontsize="medium")
    figure.supylabel(text(f"← {axis(down)}"), fontsize="medium")
    headline(figure, title, runs)
    return figure


def contact_sheet(runs: Sequence[RunLike], keys: Sequence[str], *, title: str = "") -> Figure:
    """Every image with its settings under it, in the order of the runs."""
    columns = min(len(runs), max(3, round(len(runs) ** 0.5)))
    rows = -(-len(runs) // columns)
    captions = [_caption(run, keys) if len(runs) > 1 else "" for run in runs]
    caption = 0.05 + 0.16 * (1 + max(title.count("\n") for title in captions))
    panels, figure, aspect = _cells(runs, rows, columns, (0.2, 0.3), caption)
    for axes, run, below in zip(panels.flat, runs, captions):
        _show(axes, run, aspect)
        axes.set_title(below, fontsize="small")
    for axes in panels.flat[len(runs) :]:
        axes.set_visible(False)
    headline(figure, title or (axis(keys[0]) if len(keys) == 1 else ""), runs)
    return figure


def plate(
    cells: Sequence[Sequence[tuple[str, RunLike | None]]],
    sides: Sequence[str] = (),
    *,
    title: str = "",
) -> Figure:
    """Images in the arrangement of a paper's figure: rows of captions and runs.

    ``sides`` are labels of the rows. A cell without a run says so.
    """
    runs = [run for row in cells for _, run in row if run is not None]
    captions = [[_broken(name) for name, _ in row] for row in cells]
    heights = [0.17 * max(name.count("\n") + bool(name) for name in row) for row in captions]
    caption = max(heights[1:], default=0)
    margin = (0.6, 0.5 + heights[0] - caption)
    panels, figure, aspect = _cells(runs, len(cells), max(map(len, cells)), margin, caption)
    for line, row, names in zip(panels, cells, captions):
        for axes, (_, run), name in zip(line, row, names):
            _show(axes, run, aspect)
            axes.set_title(name, fontsize="medium")
        for axes in line[len(row) :]:
            axes.set_visible(False)
    for axes, side in zip(panels[:, 0], sides):
        axes.set_ylabel(text(side), fontsize="medium")
    headline(figure, title, runs)
    return figure


def _caption(run: RunLike, keys: Sequence[str]) -> str:
    lines = [_lines(run.value(key), 26) for key in keys]
    if len(keys) > 1:
        lines = [f"{text(key.split('.')[-1])}={line}" for key, line in zip(keys, lines)]
    return "\n".join(lines) or text(run.name)


def _cells(
    runs: Sequence[RunLike], rows: int, columns: int, margin: tuple[float, float], caption: float
) -> tuple[np.ndarray, Figure, float]:
    """Axes (rows, columns) of the shape of the first image, the figure, and its height / width."""
    if rows * columns > MOST:
        raise NothingToDraw(f"grid: {rows} x {columns} pictures are more than {MOST}")
    first = next((image for run in runs if (image := picture_of(run)) is not None), None)
    if first is None:
        damaged = " that can be read" if any(run.picture_path for run in runs) else ""
        raise NothingToDraw(f"grid: no run has a picture{damaged}")
    height, width = first.shape[:2]
    across = min(2.6, (LARGEST - margin[0]) / columns)
    down = across * height / width
    if rows * (down + caption) + margin[1] > LARGEST:
        down = (LARGEST - margin[1]) / rows - caption
        across = down * width / height
    whole_height = rows * (down + caption) + margin[1] + 0.35
    figure = new_figure(max(3.6, columns * across + margin[0]), whole_height)
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.01, hspace=0.01)
    return figure.subplots(rows, columns, squeeze=False), figure, height / width


def captioned(pictures: Mapping[str, np.ndarray]) -> np.ndarray:
    """Images (H, W, 3) of one size with their names over them, as one image, uint8."""
    columns = math.ceil(math.sqrt(len(pictures)))
    rows = -(-len(pictures) // columns)
    height, width = next(iter(pictures.values())).shape[:2]
    across = min(2.6, LARGEST / columns, LARGEST / rows * width / height)
    figure = new_figure(columns * across, rows * (across * height / width + 0.25))
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for axes, (name, picture) in zip(panels, pictures.items()):
        _bare(axes)
        _draw(axes, picture)
        axes.set_title(text(name), fontsize="medium")
    for axes in panels[len(pictures) :]:
        axes.set_visible(False)
    return rendered(figure)


def picture_of(run: RunLike) -> np.ndarray | None:
    """The result, ``rgb01``; None if there is none or it is damaged, which is logged."""
    try:
        return run.picture if run.picture_path else None
    except InputError as error:
        log.warning("%s", error)
        return None


def _show(axes: Axes, run: RunLike | None, aspect: float) -> None:
    _bare(axes)
    reason = "not run"
    if run is not None:
        picture = picture_of(run)
        if picture is not None:
            _draw(axes, picture)
            if run.status != "finished":
                axes.set_xlabel(run.status, fontsize="x-small")
            return
        lines = textwrap.wrap(run.reason, 26, max_lines=5, placeholder=" ...")
        reason = "\n".join([f"{run.status}:", *lines])
    axes.set_facecolor("#eeeeee")
    axes.set_box_aspect(aspect)
    axes.text(
        0.5, 0.5, text(reason), transform=axes.transAxes, ha="center", va="center",
        fontsize="x-small", color="#444444", clip_on=True,
    )  # fmt: skip


def _draw(axes: Axes, picture: np.ndarray) -> None:
    small = io.resize_long_edge(picture, 512, upscale=False)  # more pixels than a cell has
    axes.imshow(small, interpolation="antialiased")


def _lines(value: Any, length: int = 24) -> str:
    """A value as a cell's label; a stand-in has a second line."""
    return _broken(short(value, length))


def _broken(label: str) -> str:
    """A label whose stand-in has a line of its own."""
    return text(label).replace(" (stand-in", "\n(stand-in")


def _bare(axes: Axes) -> None:
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def denoise_strip(
    run: RunLike, strengths: dict[str, Sequence[float]] = STRENGTHS, *, side: int = 128
) -> Figure:
    """A part of a raw result, of some pixels a side, under several strengths of each filter."""
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
    for colour, lw in (("white", 2.5), ("black", 1)):
        axes.add_patch(Rectangle((left, top), side, side, fill=False, edgecolor=colour, lw=lw))
    axes.set_title("before the filter", fontsize="medium")
    axes.set_axis_off()
    panels = strip.subplots(len(strengths), columns, squeeze=False)
    units = {"tv": "weight", "gaussian": "sigma (pixels)"}
    for row, (name, values) in zip(panels, strengths.items()):
        for axes, strength in zip(row, (0.0, *values)):
            # The whole picture is filtered: at the edges of a part the filter would see less.
            axes.imshow(remove_noise(raw, strength, name)[part], interpolation="nearest")
            axes.set_title(f"{strength:g}" if strength else "none", fontsize="medium")
            _bare(axes)
        for axes in row[len(values) + 1 :]:
            axes.set_visible(False)
        row[0].set_ylabel(f"{name}, {units.get(name, 'strength')}", fontsize="medium")
    headline(figure, f"{side} x {side} pixels of the result", [run])
    return figure
