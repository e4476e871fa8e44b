"""The content of the page as plain data; nothing here is HTML."""

from __future__ import annotations

import json
import logging
import math
import os
import shlex
from dataclasses import fields
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from nstrep.analysis.notebook import data_address
from nstrep.analysis.run_reader import Run, Sweep
from nstrep.analysis.swept_keys import label, stood_in
from nstrep.base.errors import InputError
from nstrep.base.text import one_line
from nstrep.config.fields import flatten
from nstrep.config.schema import PictureConfig
from nstrep.experiment import image_inputs, run_directory
from nstrep.images import io as images
from nstrep.plots.curves import mixed
from nstrep.plots.labels import axis, heading, levels, numeric, plain, short
from nstrep.plots.measures import final_number
from nstrep.plots.panels import picture_of

log = logging.getLogger(__name__)

COLUMNS = ("epochs", "total", "content_term", "style_term", "ssim", "eps", "seconds")
"""Numbers of the table, beside the swept keys; summary.csv has all."""

CURVES = ("total", "content_loss", "style_loss", "tv_loss", "eps", "loss_change", "gradient_norm")
"""Columns of curve.csv that the page can draw."""

LINKED = (
    run_directory.FINAL, run_directory.LAST_GOOD, run_directory.CURVE, run_directory.LOSS,
    run_directory.LOG,
)  # fmt: skip

SIDES = ((24, 512), (80, 320), (math.inf, 224))
"""Number of runs up to which the images have a certain longer side in pixels."""

POINTS = 12_000
"""Points of all curves together, per column: 60 per curve of 200 runs, all of a single run."""


def content(sweep: Sweep, folder: Path) -> dict[str, Any]:
    """The content of a page in ``folder``, to which its links are relative; it is JSON."""
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
            "numbers": {name: _finite(final_number(run, name)) for name in COLUMNS},
            "picture": data_address(picture_of(run), side),
            "photo": photos.of(run),
            "curve": curve(run, max(20, POINTS // len(sweep.runs))),
            "config": difference(flat(run.config), common),
            "metrics": {
                key: rounded(value)
                for key, value in flat(run.metrics).items()
                if not key.startswith("versions")
            },
            "typed": shlex.join(run.overrides),
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
            {
                "key": key,
                "levels": [{"value": one, "label": short(one)} for one in values],
                "numeric": numeric(values),
            }
            for key in sweep.swept
            for values in [levels(run.value(key) for run in sweep.runs)]
        ],
        "columns": [{"key": name, "label": heading(name), "title": axis(name)} for name in COLUMNS],
        "curves": {name: axis(name) for name in CURVES},
        "photos": photos.addresses,
        "side": side,
        "mixed": mixed(sweep.swept),
        "stand_ins": sorted(
            {
                f"{role}={label(run, role)}"
                for run in sweep.runs
                for role in ("content", "style")
                if stood_in(run, role)
            }
        ),
    }


def flat(node: Any) -> dict[str, str]:
    """A configuration as dotted keys and values as text, in its order."""

    def text(value: Any) -> str:
        is_word = value is None or isinstance(value, bool)
        return json.dumps(value) if is_word else one_line(plain(value), 2000)

    return {one_line(key, 100): text(value) for key, value in flatten(node)}


def difference(leaves: dict[str, str], common: dict[str, str]) -> dict[str, str | None]:
    """The entries of a configuration that differ from the common one; None for a missing key."""
    keys = dict.fromkeys([*leaves, *common])
    return {key: leaves.get(key) for key in keys if leaves.get(key) != common.get(key)}


def rounded(value: str) -> str:
    """A number with a decimal point with six digits; other text as it is."""
    try:
        number = float(value)
    except ValueError:
        return value
    return f"{number:.6g}" if "." in value and math.isfinite(number) else value


def link(path: Path, folder: Path) -> str:
    """A relative address; the leading ./ keeps a name from being read as a scheme."""
    return "./" + quote(os.path.relpath(path.absolute(), folder.absolute()))


def curve(run: Run, points: int) -> dict[str, list[float | None]]:
    """The columns of a curve, thinned to a number of rows, with four digits."""
    rows = run.curve
    if len(rows) < 2:
        return {}
    places = np.unique(np.linspace(0, len(rows) - 1, min(points, len(rows))).round().astype(int))
    rows = rows.iloc[places]
    return {
        name: [_finite(float(f"{value:.4g}")) for value in rows[name]]
        for name in ("epoch", *CURVES)
        if name in rows
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


class Photos:
    """The content images of the runs, each once, at the size of the results up to ``side`` pixels.

    A run does not store its content image. It is read again from where the configuration says, and
    shown only if it still has the hash in metrics.json, so that a page never shows another image.
    """

    def __init__(self, side: int) -> None:
        self.addresses: dict[str, str] = {}
        self._side = side
        self._read: dict[str, images.Picture | None] = {}

    def of(self, run: Run) -> str | None:
        """The key in ``addresses`` of a run's content image; None if it is not available."""
        digest = run.value("content.sha256")
        size = [run.metrics.get(name) for name in ("height", "width")]
        if not isinstance(digest, str) or not all(type(n) is int and 0 < n <= 20000 for n in size):
            return None
        key = one_line(f"{digest} {size[1]} x {size[0]}", 200)
        if key not in self.addresses:
            if digest not in self._read:
                self._read[digest] = _content_image(run.config)
            photo = self._read[digest]
            if photo is None or photo.sha256 != digest:
                return None
            scale = min(1, self._side / max(size))
            small = images.resize_to(photo.rgb, *(max(1, round(n * scale)) for n in size))
            self.addresses[key] = data_address(small, self._side)
        return key


def _content_image(config: dict[str, Any]) -> images.Picture | None:
    """The image that a configuration names, if it is on this disk; nothing is downloaded."""
    inputs_log = logging.getLogger(image_inputs.__name__)
    before, inputs_log.disabled = inputs_log.disabled, True  # the run has logged its stand-ins
    try:
        file, named = config.get("content_image"), config.get("content")
        if isinstance(file, str):
            return images.load_picture(file)
        if not isinstance(named, dict) or not isinstance(named.get("name"), str):
            return None
        values = [named.get(item.name) for item in fields(PictureConfig)]
        if not all(value is None or isinstance(value, str) for value in values):
            return None
        return image_inputs.load_named(PictureConfig(*values), key="content")
    except InputError as error:
        log.info("%s", error)
        return None
    finally:
        inputs_log.disabled = before
