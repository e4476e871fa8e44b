"""How results show themselves in a notebook: small pictures, and a table of a sweep.

The functions serve the ``_repr_*_`` methods that Jupyter calls.
"""

from __future__ import annotations

import base64
import io
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from PIL import Image

from nstrep.base.text import counted, one_line
from nstrep.images.io import encode_png, resize_long_edge, to_uint8
from nstrep.plots.labels import heading, short
from nstrep.plots.panels import picture_of

if TYPE_CHECKING:
    from nstrep.analysis.run_reader import Run, Sweep

SIDE, THUMBNAIL = 512, 128
"""Longest side in pixels of a picture, and of one in a table."""

ROWS = 50
"""Largest number of rows of a table."""

NUMBERS = ("epochs", "total", "ssim", "seconds")
"""Columns of a table besides the swept keys; ``Sweep.summary`` has all."""


def png(rgb01: np.ndarray) -> bytes:
    """A picture (H, W, 3) as PNG, at most ``SIDE`` pixels wide and high."""
    return encode_png(resize_long_edge(rgb01, SIDE, upscale=False))


def data_address(rgb01: np.ndarray | None, side: int) -> str | None:
    """An image as a data URL, its longer side at most ``side`` pixels; None without an image."""
    if rgb01 is None:
        return None
    small = resize_long_edge(rgb01, side, upscale=False)
    stream = io.BytesIO()
    Image.fromarray(to_uint8(small)).save(stream, format="WEBP", quality=82, method=4)
    return "data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode()


def outcome(status: str, metrics: dict[str, Any], curve: pd.DataFrame) -> str:
    """How a run ended: ``finished (stop_eps), 64 x 43 pixels, 10 epochs, total loss 0.28``."""
    why = metrics.get("stop_reason")
    parts = [f"{status} ({one_line(why, 100)})" if why else status]
    if {"width", "height"} <= metrics.keys():
        parts.append(f"{metrics['width']} x {metrics['height']} pixels")
    if len(curve):
        parts += [counted(len(curve) - 1, "epoch"), f"total loss {curve['total'].iloc[-1]:.4g}"]
    return one_line(", ".join(parts))


def table(sweep: Sweep) -> str:
    """A sweep as an HTML table: a picture, the swept keys and the main numbers of each run."""
    numbers = [name for name in NUMBERS if name in sweep.summary]
    rows = [["picture", *(sweep.swept or ["run"]), "status", *map(heading, numbers)]]
    for run, numbers_of_run in zip(sweep.runs[:ROWS], sweep.summary[numbers].itertuples(False)):
        cells = [f"{value:.4g}" if pd.notna(value) else "" for value in numbers_of_run]
        settings = [short(run.value(key)) for key in sweep.swept] or [run.name]
        rows.append([*settings, run.status, *cells])
    head, *body = [[escape(one_line(cell, 100)) for cell in row] for row in rows]
    images = [_image(run) for run in sweep.runs]
    lines = [f"<tr><th>{'</th><th>'.join(head)}</th></tr>"]
    lines += [f"<tr><td>{'</td><td>'.join([i, *row])}</td></tr>" for i, row in zip(images, body)]
    rest = len(sweep.runs) - len(body)
    more = f"<p>{counted(rest, 'more run')}: see .summary</p>" if rest > 0 else ""
    return (
        f"<p>{escape(repr(sweep))}</p>\n<table class='dataframe'>\n"
        + "\n".join(lines)
        + f"\n</table>{more}"
    )


def _image(run: Run) -> str:
    address = data_address(picture_of(run), THUMBNAIL)
    return f'<img src="{address}" alt="{escape(one_line(run.name, 100))}">' if address else ""
