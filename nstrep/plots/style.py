"""What all figures share: colours, text that is safe to draw, and saving."""

from __future__ import annotations

import itertools
import textwrap
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import (  # fmt: skip
    FuncFormatter,
    LogFormatter,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    NullLocator,
)

from nstrep.base.errors import InputError
from nstrep.base.files import atomic_write
from nstrep.plots.labels import RunLike, about, axis, levels, numeric, short

# Okabe and Ito's colours, told apart by colour-blind readers too; their yellow is too pale for
# lines on white.
COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES = ("-", "--", ":", "-.")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

LEGEND = len(COLOURS) * len(DASHES)
"""Largest number of entries in a legend."""


class NothingToDraw(InputError):
    """The runs do not hold what a kind of plot shows."""


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, sizes in inches, drawn without pyplot's global state."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.08)
    FigureCanvasAgg(figure)
    return figure


def subplots(columns: int, width: float, height: float, **options: Any) -> tuple[Figure, Any]:
    """A new figure, and its axes in one row."""
    figure = new_figure(width, height)
    return figure, figure.subplots(1, columns, squeeze=False, **options)[0]


def fixed_subplots(columns: int, width: float, height: float) -> tuple[Figure, Any]:
    """Like :func:`subplots` for axes without labels at their left: margins are set, not computed.

    Computing them takes longer than drawing, and every run draws its losses. A title of one or two
    lines and numbers such as 1.5e+06 fit.
    """
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    left, right, bottom, top, between = 0.75, 0.15, 0.55, 0.68, 0.8  # inches
    panel = (width - left - right - between * (columns - 1)) / columns
    figure.subplots_adjust(
        left=left / width, right=1 - right / width, bottom=bottom / height, top=1 - top / height,
        wspace=between / panel,
    )  # fmt: skip
    return figure, figure.subplots(1, columns, squeeze=False)[0]


def text(value: Any) -> str:
    """Text that matplotlib draws as it is: no mathematics, and never hidden from a legend."""
    # Names of files need not be text: what is not is shown as \udcXX.
    known = str(value).encode("utf-8", "backslashreplace").decode()
    safe = known.replace("$", r"\$")
    return f" {safe}" if safe.startswith("_") else safe


def looks(levels: Sequence[Any], ordered: bool = False) -> dict[Any, dict[str, Any]]:
    """How to draw each level: numbers from dark to light, words by colour, marker and dash.

    ``ordered`` words are drawn like numbers.
    """
    if ordered or numeric(levels):
        colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.85, max(2, len(levels))))
        return {
            level: {"color": colour, "linestyle": "-", "marker": marker}
            for level, colour, marker in zip(levels, colours, itertools.cycle(MARKERS))
        }
    pairs = itertools.cycle(itertools.product(DASHES, enumerate(COLOURS)))
    return {
        level: {"color": colour, "linestyle": dash, "marker": MARKERS[place]}
        for level, (dash, (place, colour)) in zip(levels, pairs)
    }


def looks_by(runs: Sequence[RunLike], key: str | None) -> dict[Any, dict[str, Any]]:
    """How to draw the runs of each :func:`level` of a key; one look for all without a key."""
    return looks(levels(run.value(key) for run in runs)) if key else {None: looks([0])[0]}


def finish(
    figure: Figure,
    key: str | None,
    looks: dict[Any, Any],
    *,
    lines: bool,
    title: str,
    runs: Sequence[RunLike],
    second: tuple[str | None, dict[Any, Any]] = (None, {}),
) -> None:
    """Add the legend of a key's values beside the axes, if there is a key, and the title.

    ``second`` is another key with the looks of its values, which follow those of the first.
    """
    if key is not None:
        shown = list(looks)[:: -(-len(looks) // LEGEND)]  # every few of them, if there are many
        hidden = {"marker": "none"} if lines else {"linestyle": "none"}
        handles = [Line2D([], [], label=text(short(one)), **looks[one] | hidden) for one in shown]
        if second[0]:
            handles.append(Line2D([], [], linestyle="none", label=text(axis(second[0]))))
            handles += [
                Line2D([], [], color="grey", label=text(short(one)), **look)
                for one, look in second[1].items()
            ]
        figure.legend(
            handles=handles, title=text(axis(key)), loc="outside right upper", frameon=False,
            fontsize="small", ncols=1 + (len(handles) > 14), alignment="left",
        )  # fmt: skip
    headline(figure, title, runs)


def headline(figure: Figure, title: str, runs: Sequence[RunLike]) -> None:
    """A title over the axes, and below it what the runs have in common.

    It is wrapped so that it keeps off the legend beside the axes.
    """
    width = figure.get_figwidth()
    free = width - (1.5 if figure.legends else 0.2)  # inches; about 12 letters fit in one
    letters = max(16, int(12 * free))
    lines = [textwrap.fill(line, letters, break_on_hyphens=False) for line in (title, about(runs))]
    if any(lines):
        whole = text("\n".join(filter(None, lines)))
        figure.suptitle(whole, x=free / width / 2, fontsize="medium")


def tidy(axes: Axes) -> None:
    """No box, and a faint grid to read values by."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)


def over_epochs(axes: Axes) -> None:
    """The horizontal axis of a curve: whole epochs only."""
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))
    first, last = axes.dataLim.intervalx
    if first == last:
        axes.set_xlim(first - 1, last + 1)


def logarithmic(axes: Axes, which: str) -> None:
    """A logarithmic axis, with numbers at 1, 2 and 5 where that is not too many."""
    axis = getattr(axes, f"{which}axis")
    getattr(axes, f"set_{which}scale")("log")
    low, high = axis.get_view_interval()
    if high / low < 2e3:
        subs = (1, 2, 5) if high / low > 8 else (1, 1.5, 2, 3, 5, 7)
        axis.set_major_locator(LogLocator(subs=subs))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())


def fewer_ticks(axis: Axis) -> None:
    """On a logarithmic axis, ticks between the numbers at 2 and 5 alone: each takes a millisecond.

    The axis has none where these are numbers already.
    """
    if isinstance(axis.get_minor_locator(), LogLocator):
        decades = isinstance(axis.get_major_formatter(), LogFormatter)
        axis.set_minor_locator(LogLocator(subs=(2, 5)) if decades else NullLocator())


def scaled(axes: Axes, which: str, values: Iterable[float]) -> None:
    """A logarithmic axis where positive values span more than a factor of 8, else few ticks."""
    known = [value for value in values if np.isfinite(value)]
    if known and min(known) > 0 and max(known) / min(known) > 8:
        logarithmic(axes, which)
    else:
        one = getattr(axes, f"{which}axis")
        largest = max(map(abs, known), default=0)
        one.set_major_locator(MaxNLocator(5 if largest < 1e5 else 3))  # long labels need room
        one.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


# How each kind of file is written: without what would differ from one day to the next.
FORMATS: dict[str, dict[str, Any]] = {
    "png": {"metadata": {"Software": None}},
    "svg": {"metadata": {"Date": None}},
    "jpg": {"pil_kwargs": {"quality": 85}},
}


def rendered(figure: Figure) -> np.ndarray:
    """A figure as an image (H, W, 3), uint8."""
    figure.set_dpi(120)
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3]


def _lay_out(figure: Figure, dpi: int) -> None:
    """Fix the layout, so that saving draws once; with an engine it first draws without output."""
    if (engine := figure.get_layout_engine()) is not None:
        figure.set_dpi(dpi)
        engine.execute(figure)
        figure.set_layout_engine(None)


def save(
    figure: Figure, path: Path, kinds: Sequence[str] = ("png", "svg"), dpi: int = 120
) -> list[Path]:
    """Write a figure as ``path`` with each suffix, the same bytes for the same figure."""
    written = [path.with_name(f"{path.name}.{kind}") for kind in kinds]
    for kind, file in zip(kinds, written):
        with (
            warnings.catch_warnings(),
            matplotlib.rc_context({"svg.hashsalt": "nstrep"}),
            atomic_write(file) as temporary,
        ):
            # A name may be in a script that the font does not have: boxes are drawn.
            warnings.filterwarnings("ignore", message="Glyph .* missing from")
            if [*kinds] == ["png"]:  # the layout of an SVG differs by fractions of a pixel
                _lay_out(figure, dpi)
            figure.savefig(temporary, format=kind, dpi=dpi, **FORMATS[kind])
    return written
