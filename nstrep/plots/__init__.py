"""Drawings of what runs measured: functions from runs to figures, and how these are saved."""

from nstrep.plots.curves import by_layer, overlaid, single
from nstrep.plots.labels import described
from nstrep.plots.measures import against, cost, tradeoff
from nstrep.plots.panels import contact_sheet, denoise_strip, grid, plate
from nstrep.plots.style import NothingToDraw, save

__all__ = [
    "NothingToDraw", "against", "by_layer", "contact_sheet", "cost", "denoise_strip", "described",
    "grid", "overlaid", "plate", "save", "single", "tradeoff",
]  # fmt: skip
