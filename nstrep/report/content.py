"""The content of the page as plain data; nothing here is HTML."""

from __future__ import annotations

import json
import logging
import math
import os
import re
import shlex
from collections.abc import Sequence
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
from nstrep.config.metrics import AFTER_LOSSES, BEFORE_LOSSES, METRICS, columns, summarised
from nstrep.config.schema import PictureConfig
from nstrep.experiment import image_inputs, run_directory
from nstrep.images import io as images
from nstrep.plots.curves import losses, mixed
from nstrep.plots.labels import axis, heading, levels, numeric, plain, short
from nstrep.plots.measures import TERMS, final_number
from nstrep.plots.panels import picture_of

log = logging.getLogger(__name__)

LINKED = (
    run_directory.FINAL, run_directory.LAST_GOOD, run_directory.CURVE, run_directory.LOSS,
    run_directory.LOG,
)  # fmt: skip

ROLES = ("content", "style")

SIDES = ((8, 860), (24, 512), (80, 320), (math.inf, 224))
"""Number of runs up to which the images have a certain longer side in pixels."""

STYLE_SIDE = 400
"""Longer side of a style image at most, in pixels."""

POINTS = 12_000
"""Points of all curves together, per column: 60 per curve of 200 runs, all of a single run."""


def content(sweep: Sweep, folder: Path) -> dict[str, Any]:
    """The content of a page in ``folder``, to which its links are relative; it is JSON."""
    side = next(side for most, side in SIDES if len(sweep.runs) <= most)
    common = next((flat(run.config) for run in sweep.runs if run.config), {})
    inputs, numbers, drawn = InputImages(side), table_columns(), curve_columns(sweep)
    points = max(20, POINTS // len(sweep.runs))
    title = one_line(sweep.path.absolute().name, 100)
    runs = [
        {
            "keys": {key: plain(run.value(key)) for key in sweep.swept},
            "short": {key: short(run.value(key)) for key in sweep.swept},
            "numbers": {name: _finite(final_number(run, name)) for name in numbers},
            "picture": data_address(picture_of(run), side),
            "photo": inputs.content(run),
            "paintings": inputs.styles(run),
            "curve": curve(run, drawn, points),
            "config": difference(flat(run.config), common),
            **about(run, folder),
        }
        for run in sweep.runs
    ]
    replaced = {(run, role) for run in sweep.runs for role in ROLES if stood_in(run, role)}
    return {
        "summary": link(sweep.path / "summary.csv", folder),
        "title": title,
        "title_parts": re.split(r"(?<=[,+ ])", title),  # where a long name of settings may break
        "runs": runs,
        "common": common,
        "swept": [swept(sweep, key) for key in sweep.swept],
        "columns": [{"key": name, "label": heading(name), "title": axis(name)} for name in numbers],
        "curves": {name: axis(name) for name in drawn},
        "images": inputs.addresses,
        "side": side,
        "mixed": mixed(sweep.swept),
        "stand_ins": sorted({f"{role}={label(run, role)}" for run, role in replaced}),
    }


def about(run: Run, folder: Path) -> dict[str, Any]:
    """What a run says of itself, and its files."""
    metrics = flat(run.metrics).items()
    files = [run.path / name for name in LINKED if os.path.isfile(run.path / name)]
    return {
        "name": one_line(run.name, 200),
        "status": run.status,
        "reason": run.reason,
        "inputs": {role: short(run.value(role), 60) for role in ROLES},
        "metrics": {key: rounded(v) for key, v in metrics if not key.startswith("versions")},
        "typed": shlex.join(run.overrides),
        "folder": link(run.path, folder),
        "files": {file.name: link(file, folder) for file in files},
    }


def swept(sweep: Sweep, key: str) -> dict[str, Any]:
    """A swept key with its values."""
    values = levels(run.value(key) for run in sweep.runs)
    labelled = [{"value": one, "label": short(one)} for one in values]
    return {"key": key, "levels": labelled, "numeric": numeric(values)}


def table_columns() -> list[str]:
    """Numbers of the table, beside the swept keys; summary.csv has all."""
    before, after = (
        [name for name in summarised(place) if METRICS[name].report]
        for place in (BEFORE_LOSSES, AFTER_LOSSES)
    )
    return [*before, "total", *TERMS, *after]


def curve_columns(sweep: Sweep) -> list[str]:
    """Columns of curve.csv that the page can draw: the losses, and what TensorBoard shows."""
    names = dict.fromkeys(name for run in sweep.runs for name in losses(run.curve))
    return [*list(names)[:20], *(metric.name for metric in columns() if metric.logged)]


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


def curve(run: Run, names: Sequence[str], points: int) -> dict[str, list[float | None]]:
    """The columns of a curve, thinned to a number of rows, with four digits."""
    rows = run.curve
    if len(rows) < 2:
        return {}
    places = np.unique(np.linspace(0, len(rows) - 1, min(points, len(rows))).round().astype(int))
    rows = rows.iloc[places]
    return {
        name: [_finite(float(f"{value:.4g}")) for value in rows[name]]
        for name in ("epoch", *names)
        if name in rows
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


class InputImages:
    """The content and style images of the runs, each once: content at the size of the results.

    A run does not store its inputs. They are read again from where the configuration says, and
    shown only if they still have the hash in metrics.json, so that a page never shows another
    image.
    """

    def __init__(self, side: int) -> None:
        self.addresses: dict[str, str] = {}  # up to ``side`` pixels
        self._side = side
        self._read: dict[str, images.Picture | None] = {}

    def content(self, run: Run) -> str | None:
        """The key in ``addresses`` of a run's content image; None if it is not available."""
        size = [run.metrics.get(name) for name in ("height", "width")]
        if not all(type(n) is int and 0 < n <= 20000 for n in size):
            return None
        return self._key(run, "content", 0, size)

    def styles(self, run: Run) -> list[str]:
        """The keys of a run's style images that are available."""
        roles = [role for role in run.metrics if role.rstrip("0123456789") == "style"]
        keys = [self._key(run, role, place) for place, role in enumerate(roles[:20])]
        return [key for key in keys if key]

    def _key(self, run: Run, role: str, place: int, size: Sequence[int] = ()) -> str | None:
        digest = run.value(f"{role}.sha256")
        if not isinstance(digest, str):
            return None
        key = one_line(" ".join(map(str, (digest, *size))), 200)
        if key not in self.addresses:
            if digest not in self._read:
                self._read[digest] = _input_image(run.config, role, place)
            image = self._read[digest]
            if image is None or image.sha256 != digest:
                return None
            height, width = size or image.rgb.shape[:2]
            side = self._side if size else min(self._side, STYLE_SIDE)
            scale = min(1, side / max(height, width))
            sides = (max(1, round(n * scale)) for n in (height, width))
            self.addresses[key] = data_address(images.resize_to(image.rgb, *sides), side)
        return key


def _input_image(config: dict[str, Any], role: str, place: int) -> images.Picture | None:
    """The image that a configuration names, if it is on this disk; nothing is downloaded."""
    inputs_log = logging.getLogger(image_inputs.__name__)
    before, inputs_log.disabled = inputs_log.disabled, True  # the run has logged its stand-ins
    role = role.rstrip("0123456789")
    try:
        file, named, several = (config.get(key) for key in (f"{role}_image", role, "styles"))
        if role == "style" and isinstance(several, list) and several:
            name = several[place] if place < len(several) else None
            return image_inputs.load_style(name, "never") if isinstance(name, str) else None
        if isinstance(file, str):
            return images.load_picture(file)
        if not isinstance(named, dict) or not isinstance(named.get("name"), str):
            return None
        values = [named.get(item.name) for item in fields(PictureConfig)]
        if not all(value is None or isinstance(value, str) for value in values):
            return None
        return image_inputs.load_named(PictureConfig(*values), key=role)
    except InputError as error:
        log.info("%s", error)
        return None
    finally:
        inputs_log.disabled = before
