"""Results read back: a run directory as a :class:`Run`, a folder of them as a :class:`Sweep`.

Whatever is missing, cut off or not what it should be becomes a status and one plain line.
Reading needs no MXNet.
"""

from __future__ import annotations

import csv
import io
import logging
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nstrep.analysis import summary
from nstrep.analysis import swept_keys as swept
from nstrep.analysis.raw_result import load_raw
from nstrep.base.errors import InputError
from nstrep.base.text import one_line, reason, shown
from nstrep.base.untrusted import read_json, read_text, read_yaml
from nstrep.experiment import run_directory
from nstrep.images import io as images

log = logging.getLogger(__name__)

ENDS = ("finished", "diverged", "interrupted")
"""What metrics.json can say; besides, a run can be ``failed`` or ``unfinished``."""

DEPTH = 3
"""A run lies directly in the folder, or below at most two more."""

_LARGEST = {run_directory.CURVE: 16 * 2**20}
"""Bytes of a text file that is read: a curve of 10,000 epochs and 40 layers has 5 MB."""

_LARGEST_OTHER = 2**20
"""Of the others; metrics.json has 5 kB."""

_COLUMNS = 2_000
"""Of a curve: 16 layers in 100 regions. pandas takes minutes to tell many equal names apart."""


@dataclass(frozen=True, eq=False)
class Run:
    """What one run left."""

    path: Path
    name: str
    """The directory's name, within its sweep if it was read as part of one."""
    status: str
    """One of :data:`ENDS`, ``failed`` or ``unfinished``."""
    reason: str
    """What stopped it, or what is wrong with it; one line, may be empty."""
    config: dict[str, Any]
    """config.yaml; empty if there is none."""
    metrics: dict[str, Any]
    """metrics.json; empty if there is none."""
    curve: pd.DataFrame
    """curve.csv, a row an epoch, numbers only; without columns if there is none."""
    overrides: tuple[str, ...] = ()
    """What was typed, such as ``content_weight=10``."""

    @property
    def picture_path(self) -> Path | None:
        """final.png, or last_good.png of a run that did not get there; None without either."""
        names = (run_directory.FINAL, run_directory.LAST_GOOD)
        return next((self.path / name for name in names if _is_file(self.path / name)), None)

    @property
    def picture(self) -> np.ndarray:
        """The result, ``rgb01`` (H, W, 3), read from disk at every call.

        Raises:
            InputError: there is no picture, or it is damaged.

        """
        if self.picture_path is None:
            raise InputError(f"{shown(self.path)}: holds no picture ({self.status})")
        return images.load_picture(_own(self.picture_path, self.path)).rgb

    @property
    def raw(self) -> np.ndarray:
        """The result before the filter, ``rgb01``, may leave [0, 1]; read at every call.

        Raises:
            InputError: there is no raw.npz, or it is damaged.

        """
        _own(self.path / run_directory.RAW, self.path)
        return load_raw(self.path)

    def value(self, key: str) -> Any:
        """What metrics.json, or else config.yaml, holds under a dotted key; None if neither does.

        A group (``style``, ``recipe``, ...) has its choice's name as its value.
        """
        if key in swept.GROUPS:
            return swept.choice(self, key)
        found = _at(self.metrics, key)
        return _at(self.config, key) if found is None else found


@dataclass(frozen=True, eq=False)
class Sweep:
    """The runs of a folder."""

    path: Path
    runs: tuple[Run, ...]

    @cached_property
    def swept(self) -> list[str]:
        """The keys in which the runs differ; see :func:`nstrep.analysis.swept_keys.swept_keys`."""
        return swept.swept_keys(self.runs)

    @cached_property
    def summary(self) -> pd.DataFrame:
        """One row a run; see :func:`nstrep.analysis.summary.table`."""
        return summary.table(self.runs, self.swept)


def load_run(path: str | os.PathLike[str]) -> Run:
    """Read one run directory.

    Raises:
        InputError: the folder holds no run.

    """
    directory = Path(path)
    if not _is_run(directory):
        raise InputError(
            f"{shown(directory)}: holds no run; name a folder with a {run_directory.CONFIG}"
        )
    return _load(directory, directory.absolute().name)


def load_sweep(path: str | os.PathLike[str]) -> Sweep:
    """Read every run of a folder: those directly in it and at most two folders further down.

    The folder can be a single run's. Runs come in the order of their names, 2 before 10.

    Raises:
        InputError: there is no such folder, or no run in it.

    """
    folder = Path(path)
    if not os.path.isdir(folder):
        raise InputError(f"{shown(folder)}: there is no such folder")
    if _is_run(folder):
        return Sweep(folder, (load_run(folder),))
    found = sorted(_run_directories(folder, DEPTH), key=lambda run: _natural(run, folder))
    if not found:
        raise InputError(f"{shown(folder)}: holds no runs; name the folder of a run or of a sweep")
    return Sweep(folder, tuple(_load(run, str(run.relative_to(folder))) for run in found))


def _is_run(directory: Path) -> bool:
    names = (run_directory.CONFIG, run_directory.METRICS, run_directory.FAILED)
    return any(_is_file(directory / name) for name in names)


def _is_file(path: Path) -> bool:
    # Not Path.is_file, which raises where a folder may not be looked into.
    return os.path.isfile(path)


def _own(path: Path, directory: Path) -> Path:
    """A run's file, unless it is a link to somewhere else.

    Whoever made the folder could have a page or a table show what its reader alone may see.

    Raises:
        InputError: it leads out of the run's folder.

    """
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(directory)):
        raise InputError(f"{shown(path)}: is a link out of the run's folder, which is not followed")
    return path


def _run_directories(folder: Path, depth: int) -> Iterator[Path]:
    try:
        below = [entry for entry in folder.iterdir() if os.path.isdir(entry)]
    except OSError as error:
        log.warning("%s: cannot be read (%s)", shown(folder), reason(error))
        return
    for entry in below:
        if entry.name.startswith("."):
            continue
        if _is_run(entry):
            yield entry
        elif depth > 1:
            yield from _run_directories(entry, depth - 1)


def _natural(run: Path, folder: Path) -> list[tuple[bool, int, str]]:
    """Sort key by which the number 2 comes before the number 10."""
    parts = re.split(r"(\d+)", str(run.relative_to(folder)))
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]


def _load(directory: Path, name: str) -> Run:
    problems: list[str] = []

    def read(file: str, parse: Callable[[str], Any], kind: type) -> Any:
        """The parsed file; an empty ``kind`` if there is none or it is damaged."""
        try:
            return _checked(parse(_text(directory, file)), kind)
        except FileNotFoundError:
            return kind()
        except InputError as error:
            problems.append(str(error))
            return kind()
        except (OSError, ValueError) as error:
            problems.append(f"{file} is damaged ({reason(error)})")
            return kind()

    hydra = run_directory.HYDRA
    config = read(run_directory.CONFIG, read_yaml, dict)
    config = config or read(f"{hydra}/config.yaml", read_yaml, dict)
    overrides = read(f"{hydra}/overrides.yaml", read_yaml, list)
    metrics = read(run_directory.METRICS, read_json, dict)
    failed = read(run_directory.FAILED, read_json, dict)
    curve = read(run_directory.CURVE, _curve, pd.DataFrame)
    for problem in problems:
        log.warning("%s: %s", shown(directory), problem)
    status, why = "unfinished", "; ".join(problems)
    if metrics.get("status") in ENDS:
        status, why = metrics["status"], metrics.get("stop_reason") or why
    elif failed:
        status, why = "failed", failed.get("reason") or failed.get("error") or why
    elif not why:
        why = f"there is no {run_directory.METRICS}"
    typed = tuple(override for override in overrides if isinstance(override, str))
    return Run(directory, name, status, one_line(why), config, metrics, curve, typed)


def _text(directory: Path, file: str) -> str:
    path = directory / file
    if not _is_file(path):
        if os.path.exists(path):
            raise ValueError("not a file")
        raise FileNotFoundError(path)
    return read_text(_own(path, directory), _LARGEST.get(file, _LARGEST_OTHER))


def _checked(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise ValueError("empty" if value is None else f"holds no {_KINDS[kind]}")
    return value


_KINDS = {dict: "mapping", list: "list", pd.DataFrame: "table"}


def _curve(text: str) -> pd.DataFrame:
    if not text.endswith("\n"):  # the last row was being written when the run was killed
        text = text[: text.rfind("\n") + 1]
    text = text.lstrip()
    if not text:
        return pd.DataFrame()
    if text.partition("\n")[0].count(",") >= _COLUMNS:
        raise ValueError(f"has more than {_COLUMNS} columns")
    rows = pd.read_csv(io.StringIO(text), quoting=csv.QUOTE_NONE)
    if not {"epoch", "total"} <= set(rows):
        raise ValueError("has no columns epoch and total")
    return rows.apply(pd.to_numeric, errors="coerce")


def _at(node: Any, key: str) -> Any:
    """The value under a dotted key, where names may hold dots themselves."""
    if not isinstance(node, dict):
        return None
    if key in node:
        return node[key]
    for place in (found.start() for found in re.finditer(r"\.", key)):
        if (value := _at(node.get(key[:place]), key[place + 1 :])) is not None:
            return value
    return None
