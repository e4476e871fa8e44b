"""Drawings of what runs measured: functions from runs to figures, and how these are saved."""

from nstrep.plots.curves import overlaid, single
from nstrep.plots.measures import against, cost, tradeoff
from nstrep.plots.panels import contact_sheet, denoise_strip, grid
from nstrep.plots.style import NothingToDraw, save

__all__ = [
    "NothingToDraw", "against", "contact_sheet", "cost", "denoise_strip", "grid", "overlaid",
    "save", "single", "tradeoff",
]  # fmt: skip
