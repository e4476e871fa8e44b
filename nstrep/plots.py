"""Drawings of what a run measured."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from nstrep.files import atomic_write

# Okabe and Ito's colours, told apart by colour-blind readers too.
COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")

LABELS = {
    "total": "total",
    "content_loss": "content",
    "style_loss": "style",
    "tv_loss": "total variation",
    "eps": "eps: relative change of the image",
    "loss_change": "relative change of the loss",
}


def plot_curve(curve: pd.DataFrame, path: Path, *, title: str, stop_eps: float) -> None:
    """Draw the losses and the convergence of one run, over its epochs.

    Args:
        curve: the rows of curve.csv.
        path: the PNG to write.
        title: what the run is, for the head of the figure.
        stop_eps: drawn as a line, unless 0.

    """
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    figure.suptitle(title)
    for name, colour in zip(("total", "content_loss", "style_loss", "tv_loss"), COLOURS):
        # From the photo, the content loss starts at rounding error: not worth ten decades of axis.
        values = curve[name].where(curve[name] > 1e-6 * curve["total"].max())
        if values.notna().any():
            left.plot(curve["epoch"], values, color=colour, label=LABELS[name])
    left.set_title("weighted losses")
    for name, colour in zip(("eps", "loss_change"), COLOURS[1:]):
        values = curve[name].where(curve[name] > 0)
        if values.notna().any():
            right.plot(curve["epoch"], values, color=colour, label=LABELS[name])
    if stop_eps:
        right.axhline(stop_eps, color="grey", linestyle="--", label=f"stop_eps = {stop_eps:g}")
    right.set_title("convergence")
    for axes in (left, right):
        axes.set_xlabel("epoch")
        if axes.lines:
            axes.set_yscale("log")
            axes.legend(frameon=False, fontsize="small")
        axes.spines[["top", "right"]].set_visible(False)
    # Drawn in memory first: a figure is never half on disk.
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=120, metadata={"Software": None})
    with atomic_write(path) as temporary:
        temporary.write_bytes(drawn.getvalue())
