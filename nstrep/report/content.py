"""What the page shows, as plain data: nothing here is HTML."""

from __future__ import annotations

import base64
import io
import logging
import math
import os
import shlex
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from PIL import Image

from nstrep.analysis.run_reader import Run, Sweep
from nstrep.base.errors import InputError
from nstrep.base.text import one_line
from nstrep.config.fields import flatten
from nstrep.config.schema import PictureConfig
from nstrep.experiment import image_inputs, run_directory
from nstrep.images import io as images
from nstrep.images.io import to_uint8
from nstrep.plots.curves import mixed
from nstrep.plots.labels import MEASURES, axis, levels, numeric, plain, short
from nstrep.plots.measures import measure

log = logging.getLogger(__name__)

COLUMNS = ("epochs", "total", "content_term", "style_term", "ssim", "eps", "seconds")
"""Numbers of the table, besides the swept keys; the others are in summary.csv."""

CURVES = ("total", "content_loss", "style_loss", "tv_loss", "eps", "loss_change", "gradient_norm")
"""Columns of curve.csv that the page can draw."""

LINKED = (
    run_directory.FINAL, run_directory.LAST_GOOD, run_directory.CURVE, run_directory.LOSS,
    run_directory.LOG,
)  # fmt: skip
"""Files of a run that the page links to."""

SIDES = ((24, 512), (80, 320), (math.inf, 224))
"""Up to how many runs pictures have which longer side, in pixels, so that the page stays light."""

POINTS = 12_000
"""Points of all curves together, for each column: 50 a curve of 200 runs, all of one run."""


def content(sweep: Sweep, folder: Path) -> dict[str, Any]:
    """Everything on the page, of which all but ``size`` is JSON.

    Args:
        sweep: the runs.
        folder: where the page will lie; links are relative to it.

    """
    side = next(side for most, side in SIDES if len(sweep.runs) <= most)
    common = next((flat(run.config) for run in sweep.runs if run.config), {})
    photos = Photos(side)
    runs = [
        {
            "name": one_line(run.name, 200),
            "status": run.status,
            "reason": run.reason,
            "keys": {key: plain(run.value(key)) for key in sweep.swept},
            "short": {key: short(run.value(key)) for key in sweep.swept},
            "numbers": {name: _finite(measure(run, name)) for name in COLUMNS},
            "picture": thumbnail(run, side),
            "photo": photos.of(run),
            "curve": curve(run, max(20, POINTS // len(sweep.runs))),
            "config": difference(flat(run.config), common),
            "metrics": measured(run),
            "typed": " ".join(shlex.quote(word) for word in run.overrides),
            "folder": link(run.path, folder),
            "files": {
                name: link(run.path / name, folder)
                for name in LINKED
                if os.path.isfile(run.path / name)
            },
        }
        for run in sweep.runs
    ]
    return {
        "summary": link(sweep.path / "summary.csv", folder),
        "title": one_line(sweep.path.absolute().name, 100),
        "runs": runs,
        "common": common,
        "swept": [
            {"key": key, "levels": [_level(level) for level in found], "numeric": numeric(found)}
            for key in sweep.swept
            for found in [levels(run.value(key) for run in sweep.runs)]
        ],
        "columns": [{"key": name, "label": LABELS[name], "title": axis(name)} for name in COLUMNS],
        "curves": {name: MEASURES[name] for name in CURVES},
        "photos": photos.found,
        "side": side,
        "mixed": mixed(sweep.swept),
    }


LABELS = {
    "epochs": "epochs",
    "total": "total loss",
    "content_term": "content / weight",
    "style_term": "style / weight",
    "ssim": "SSIM",
    "eps": "eps",
    "seconds": "time (s)",
}


def _level(value: Any) -> dict[str, Any]:
    return {"value": value, "label": short(value)}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def flat(node: Any) -> dict[str, str]:
    """A configuration as dotted keys and values as text, in its order."""
    leaves: dict[str, str] = {}
    for key, value in flatten(node):
        text = {None: "null", True: "true", False: "false"}.get(value) if _word(value) else None
        leaves[one_line(key, 100)] = text or one_line(plain(value), 2000)
    return leaves


def _word(value: Any) -> bool:
    return value is None or isinstance(value, bool)


def difference(leaves: dict[str, str], common: dict[str, str]) -> dict[str, str | None]:
    """What a configuration has otherwise than the common one; None where it lacks a key."""
    changed: dict[str, str | None] = {
        key: value for key, value in leaves.items() if common.get(key) != value
    }
    return changed | {key: None for key in common if key not in leaves}


def measured(run: Run) -> dict[str, str]:
    """metrics.json as dotted keys and short values."""
    leaves = flat(run.metrics)
    return {key: _rounded(value) for key, value in leaves.items() if not key.startswith("versions")}


def _rounded(value: str) -> str:
    try:
        number = float(value)
    except ValueError:
        return value
    return f"{number:.6g}" if "." in value and math.isfinite(number) else value


def link(path: Path, folder: Path) -> str:
    """A relative address that no name can turn into one of another scheme."""
    return "./" + quote(os.path.relpath(path.absolute(), folder.absolute()))


def curve(run: Run, points: int) -> dict[str, list[float | None]]:
    """The columns of a curve, thinned to a number of rows, with four digits."""
    rows = run.curve
    if len(rows) < 2:
        return {}
    kept = np.unique(np.linspace(0, len(rows) - 1, min(points, len(rows))).round().astype(int))
    rows = rows.iloc[kept]
    names = [name for name in ("epoch", *CURVES) if name in rows]
    return {name: [_digits(value) for value in rows[name]] for name in names}


def _digits(value: float) -> float | None:
    return float(f"{value:.4g}") if math.isfinite(value) else None


def thumbnail(run: Run, side: int) -> str | None:
    """The result as a data address; None without one. A damaged picture is a line in the log."""
    if run.picture_path is None:
        return None
    try:
        return data_address(run.picture, side)
    except InputError as error:
        log.warning("%s", error)
        return None


def data_address(rgb01: np.ndarray, side: int) -> str:
    """A picture as an address that holds its bytes, its longer side at most ``side`` pixels."""
    small = images.resize_long_edge(rgb01, side, upscale=False)
    stream = io.BytesIO()
    Image.fromarray(to_uint8(small)).save(stream, format="WEBP", quality=82, method=4)
    return "data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode()


class Photos:
    """The content pictures of the runs, each once, as they were given to the network.

    A run does not keep its photo. It is read again from where the configuration says, and shown
    only if it still has the hash in metrics.json, so that a page never shows another picture, nor
    one that the run did not read.
    """

    def __init__(self, side: int) -> None:
        self.found: dict[str, str] = {}
        self._side = side
        self._read: dict[str, images.Picture | None] = {}

    def of(self, run: Run) -> str | None:
        """The key in ``found`` of a run's photo; None if it cannot be had."""
        digest = run.value("content.sha256")
        size = [run.metrics.get(name) for name in ("height", "width")]
        if not isinstance(digest, str) or not all(type(n) is int and 0 < n <= 20000 for n in size):
            return None
        key = one_line(f"{digest} {size[1]} x {size[0]}", 200)
        if key not in self.found:
            photo = self._photo(run, digest)
            if photo is None:
                return None
            scale = min(1, self._side / max(size))
            height, width = (max(1, round(n * scale)) for n in size)
            self.found[key] = data_address(images.resize_to(photo.rgb, height, width), self._side)
        return key

    def _photo(self, run: Run, digest: str) -> images.Picture | None:
        if digest not in self._read:
            photo = _content(run.config)
            self._read[digest] = photo if photo and photo.sha256 == digest else None
        return self._read[digest]


def _content(config: dict[str, Any]) -> images.Picture | None:
    """The photo that a configuration names, if it is on this disk; nothing is fetched."""
    quiet = logging.getLogger(image_inputs.__name__)
    before, quiet.disabled = quiet.disabled, True  # what stands in for what was said by the run
    try:
        file, named = config.get("content_image"), config.get("content")
        if isinstance(file, str):
            return images.load_picture(file)
        names = [item.name for item in fields(PictureConfig)]
        if not isinstance(named, dict) or not isinstance(named.get("name"), str):
            return None
        values = {name: named.get(name) for name in names}
        if not all(value is None or isinstance(value, str) for value in values.values()):
            return None
        return image_inputs.load_named(PictureConfig(**values), key="content")
    except InputError as error:
        log.info("%s", error)
        return None
    finally:
        quiet.disabled = before


def statuses(runs: Sequence[Run]) -> dict[str, int]:
    """How many runs ended how."""
    counts: dict[str, int] = {}
    for run in runs:
        counts[run.status] = counts.get(run.status, 0) + 1
    return counts
