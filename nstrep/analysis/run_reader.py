"""Results read back: a run directory as a :class:`Run`, a folder of them as a :class:`Sweep`.

Whatever is missing or damaged becomes a status and one plain line. Reading needs no MXNet.
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

from nstrep.analysis import notebook, summary
from nstrep.analysis import swept_keys as swept
from nstrep.analysis.raw_result import load_raw
from nstrep.base.errors import InputError
from nstrep.base.text import counted, one_line, reason, shown
from nstrep.base.untrusted import read_json, read_text, read_yaml
from nstrep.experiment import run_directory
from nstrep.images import io as images

log = logging.getLogger(__name__)

ENDS = ("finished", "diverged", "interrupted")
"""The statuses in metrics.json; besides, a run can be ``failed`` or ``unfinished``."""

_COLUMNS = 2_000
"""Columns of a curve at most: 16 layers in 100 regions have fewer, and pandas takes minutes to tell
many equal names apart.
"""


@dataclass(frozen=True, eq=False, kw_only=True)
class Run:
    """The results of one run."""

    path: Path
    name: str  #: the directory's name, or its path within the sweep
    status: str  #: one of ENDS, failed or unfinished
    reason: str  #: why it ended, or what is wrong with it; one line, may be empty
    config: dict[str, Any]  #: config.yaml; empty without one
    metrics: dict[str, Any]  #: metrics.json; empty without one
    curve: pd.DataFrame  #: curve.csv, a row an epoch, numbers only; empty without one
    overrides: tuple[str, ...] = ()  #: the command line's settings, such as content_weight=10

    @property
    def picture_path(self) -> Path | None:
        """final.png, else last_good.png of a run that did not finish; None without either."""
        paths = (self.path / name for name in (run_directory.FINAL, run_directory.LAST_GOOD))
        return next(filter(os.path.isfile, paths), None)

    @property
    def picture(self) -> np.ndarray:
        """The result, ``rgb01`` (H, W, 3), read at every call; InputError if it is damaged."""
        if self.picture_path is None:
            raise InputError(f"{shown(self.path)}: holds no picture ({self.status})")
        return images.load_picture(_own(self.picture_path, self.path)).rgb

    @property
    def raw(self) -> np.ndarray:
        """The result before the filter, ``rgb01``, may leave [0, 1]; otherwise as ``picture``."""
        _own(self.path / run_directory.RAW, self.path)
        return load_raw(self.path)

    def value(self, key: str) -> Any:
        """The value of a dotted key in metrics.json, else in config.yaml; None if neither has it.

        The value of a group (``style``, ``recipe``, ...) is the name of its option, with the
        drawing that stood in for it, if one did.
        """
        if key in swept.GROUPS:
            return swept.label(self, key)
        measured = _at(self.metrics, key)
        return _at(self.config, key) if measured is None else measured

    def __repr__(self) -> str:
        outcome = notebook.outcome(self.status, self.metrics, self.curve)
        return f"<Run {shown(self.path)}: {outcome}>"

    def _repr_png_(self) -> bytes | None:
        try:
            return notebook.png(self.picture)
        except InputError:  # the text says how the run ended
            return None


@dataclass(frozen=True, eq=False)
class Sweep:
    """The runs of a folder."""

    path: Path
    runs: tuple[Run, ...]

    @cached_property
    def swept(self) -> list[str]:
        """The keys in which the runs differ."""
        return swept.swept_keys(self.runs)

    @cached_property
    def summary(self) -> pd.DataFrame:
        """The table with one row a run."""
        return summary.table(self.runs, self.swept)

    def __repr__(self) -> str:
        over = f" over {', '.join(self.swept)}" if self.swept else ""
        return f"<Sweep {shown(self.path)}: {counted(len(self.runs), 'run')}{over}>"

    def _repr_html_(self) -> str:
        return notebook.table(self)


def load_run(path: str | os.PathLike[str]) -> Run:
    """Read one run directory; InputError if it holds no run."""
    directory = Path(path)
    if not _is_run(directory):
        wanted = f"name a folder with a {run_directory.CONFIG}"
        raise InputError(f"{shown(directory)}: holds no run; {wanted}")
    return _load(directory, directory.absolute().name)


def load_sweep(path: str | os.PathLike[str]) -> Sweep:
    """Read every run in a folder and in two levels of folders below, or a single run.

    Runs are sorted by name, 2 before 10. InputError if there is no such folder, or no run in it.
    """
    folder = Path(path)
    if not os.path.isdir(folder):
        raise InputError(f"{shown(folder)}: there is no such folder")
    if _is_run(folder):
        return Sweep(folder, (load_run(folder),))
    directories = sorted(_run_directories(folder, 3), key=lambda run: _natural(run, folder))
    if not directories:
        raise InputError(f"{shown(folder)}: holds no runs; name the folder of a run or of a sweep")
    return Sweep(folder, tuple(_load(run, str(run.relative_to(folder))) for run in directories))


def _is_run(directory: Path) -> bool:
    names = (run_directory.CONFIG, run_directory.METRICS, run_directory.FAILED)
    # Not Path.is_file, which raises where a folder may not be looked into.
    return any(os.path.isfile(directory / name) for name in names)


def _own(path: Path, directory: Path) -> Path:
    """Refuse a link out of the run's folder: it could show a reader's private files in a page."""
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(directory)):
        raise InputError(f"{shown(path)}: is a link out of the run's folder, which is not followed")
    return path


def _run_directories(folder: Path, depth: int) -> Iterator[Path]:
    try:
        entries = list(folder.iterdir())
    except OSError as error:
        log.warning("%s: cannot be read (%s)", shown(folder), reason(error))
        return
    for entry in entries:
        if entry.name.startswith(".") or not os.path.isdir(entry):
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
            value = parse(_text(directory, file))
            if isinstance(value, kind):
                return value
            wanted = "mapping" if kind is dict else "list"
            raise ValueError("empty" if value is None else f"holds no {wanted}")
        except FileNotFoundError:
            pass
        except InputError as error:
            problems.append(str(error))
        except (OSError, ValueError) as error:
            problems.append(f"{file} is damaged ({reason(error)})")
        return kind()

    config = read(run_directory.CONFIG, read_yaml, dict)
    config = config or read(f"{run_directory.HYDRA}/config.yaml", read_yaml, dict)
    overrides = read(f"{run_directory.HYDRA}/overrides.yaml", read_yaml, list)
    metrics = read(run_directory.METRICS, read_json, dict)
    failed = read(run_directory.FAILED, read_json, dict)
    curve = read(run_directory.CURVE, _curve, pd.DataFrame)
    for problem in problems:
        log.warning("%s: %s", shown(directory), problem)
    damage = "; ".join(problems)
    status, why = "unfinished", damage or f"there is no {run_directory.METRICS}"
    if metrics.get("status") in ENDS:
        status, why = metrics["status"], metrics.get("stop_reason") or damage
    elif failed:
        status, why = "failed", failed.get("reason") or failed.get("error") or damage
    return Run(
        path=directory, name=name, status=status, reason=one_line(why), config=config,
        metrics=metrics, curve=curve,
        overrides=tuple(override for override in overrides if isinstance(override, str)),
    )  # fmt: skip


def _text(directory: Path, file: str) -> str:
    # In bytes: a curve of 10,000 epochs and 40 layers has 5 MB, metrics.json 5 kB.
    most = 16 * 2**20 if file == run_directory.CURVE else 2**20
    return read_text(_own(directory / file, directory), most)


def _curve(text: str) -> pd.DataFrame:
    text = text[: text.rfind("\n") + 1].lstrip()  # killed, a run may leave a part of a row
    if not text:
        return pd.DataFrame()
    if text.partition("\n")[0].count(",") >= _COLUMNS:
        raise ValueError(f"has more than {_COLUMNS} columns")
    rows = pd.read_csv(io.StringIO(text), quoting=csv.QUOTE_NONE)
    if not {"epoch", "total"} <= set(rows):
        raise ValueError("has no columns epoch and total")
    return rows.apply(pd.to_numeric, errors="coerce")


def _at(node: Any, key: str) -> Any:
    """The value of a dotted key, whose names may contain dots themselves."""
    if not isinstance(node, dict):
        return None
    if key in node:
        return node[key]
    dots = re.finditer(r"\.", key)
    values = (_at(node.get(key[: dot.start()]), key[dot.end() :]) for dot in dots)
    return next((value for value in values if value is not None), None)
