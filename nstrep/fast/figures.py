"""What a training looks like: its losses on training and held-out pictures."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from nstrep.plots import style

SHOWN = ("total", "content_loss", "style_loss")
SMOOTHED = 25
"""Steps that the line of the training's losses is a running mean of: every batch is another."""


def read_curve(path: Path) -> pd.DataFrame:
    """curve.csv of a training."""
    return pd.read_csv(path)


def curves(path: Path, target: Path, title: str) -> None:
    """Draw the losses of a curve.csv as a PNG."""
    curve = read_curve(path)
    figure = style.new_figure(9, 3.2)
    for axes, name in zip(figure.subplots(1, len(SHOWN)), SHOWN):
        line = curve[name].rolling(SMOOTHED, min_periods=1).mean()
        held = curve[["epoch", f"validation.{name}"]].dropna()
        axes.plot(curve["epoch"], line, color=style.COLOURS[6], label="training")
        axes.plot(*held.to_numpy().T, color=style.COLOURS[2], marker="o", ms=3, label="held out")
        style.scaled(axes, "y", [*line, *held[f"validation.{name}"]])
        axes.set_xlabel("step")
        axes.set_title(name.replace("_", " "), fontsize="medium")
        style.tidy(axes)
    figure.axes[0].legend(frameon=False)
    figure.suptitle(style.text(title))
    style.save(figure, target.with_suffix(""), kinds=("png",))
