"""Whether the files of a folder are whole, and whether two results are the same."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from PIL import Image

from nstrep.analysis import run_reader

VOLATILE = re.compile(
    r"seconds|minutes|memory|finished|versions|threads|path$|source$|^time|^resume", re.IGNORECASE
)
"""Names of what differs between two runs of one experiment: times, memory, places, resumptions."""

HYDRAS = re.compile(r"\.hydra/|multirun\.yaml$")
"""Hydra's own files, which name the folder."""


def broken(folder: Path) -> list[str]:
    """Files that have their final name and are not whole."""
    problems = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix in READERS and not path.name.startswith("."):
            try:
                READERS[path.suffix](path)
            except Exception as error:
                problems.append(f"{path}: is not whole ({type(error).__name__}: {error})")
    return problems


def left_over(folder: Path) -> list[str]:
    """What must not be there after the end of a run: locks, reports, temporary files."""
    names = (".lock", ".progress", ".*.tmp*")
    return [f"{path}: was left" for name in names for path in sorted(folder.rglob(name))]


def differences(folder: Path, whole: Path) -> list[str]:
    """How a folder differs from that of an uninterrupted run, except in logs and times."""
    names = [
        {str(path.relative_to(top)) for path in top.rglob("*") if path.suffix in READERS}
        for top in (folder, whole)
    ]
    problems = [f"{folder / name}: is there in one alone" for name in names[0] ^ names[1]]
    for name in sorted(names[0] & names[1]):
        essence = ESSENCES.get(Path(name).suffix, Path.read_bytes)
        if not HYDRAS.search(name) and essence(folder / name) != essence(whole / name):
            problems.append(f"{folder / name}: differs from the uninterrupted run's")
    return problems


def curve_problems(directory: Path) -> list[str]:
    """Rows of a run's curve.csv that are duplicate, missing or not whole."""
    run = run_reader.load_run(directory)
    epochs = run.curve["epoch"].tolist() if "epoch" in run.curve else []
    if epochs != list(range(len(epochs))):
        return [f"{directory}: epochs of curve.csv are {epochs}"]
    if epochs and run.curve["total"].isna().any():
        return [f"{directory}: curve.csv has a row without a loss"]
    return []


def rows(curve: Path) -> list[str]:
    """The complete rows of a curve.csv, as text and without the header."""
    try:
        return curve.read_text().split("\n")[1:-1]
    except OSError:
        return []


def _png(path: Path) -> None:
    with Image.open(path) as picture:
        picture.load()
    if not path.read_bytes().endswith(b"IEND\xaeB`\x82"):  # Pillow reads on without it
        raise ValueError("no end")


def _npz(path: Path) -> None:
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
        for name in stored.files:
            stored[name]


def _csv(path: Path) -> None:
    text = path.read_text()
    if path.name == "curve.csv":  # grows row by row; what counts is how it is read
        if problems := curve_problems(path.parent):
            raise ValueError("; ".join(problems))
        return
    if not text.endswith("\n"):
        raise ValueError("its last row is cut off")
    pd.read_csv(io.StringIO(text), on_bad_lines="error")


def _yaml(path: Path) -> None:
    if ".hydra" not in path.parts and not isinstance(yaml.safe_load(path.read_text()), dict):
        raise ValueError("is no mapping")


READERS: dict[str, Callable[[Path], None]] = {
    ".png": _png, ".npz": _npz, ".csv": _csv, ".yaml": _yaml,
    ".json": lambda path: json.loads(path.read_text()),
    ".parquet": lambda path: pd.read_parquet(path),
}  # fmt: skip


def _lasting(value: Any) -> Any:
    """JSON without the entries of :data:`VOLATILE` names."""
    if isinstance(value, dict):
        return {key: _lasting(part) for key, part in value.items() if not VOLATILE.search(key)}
    return value


def _lasting_rows(path: Path) -> pd.DataFrame | str:
    table = pd.read_csv(path)
    if "measure" in table:  # claims.csv has a measure a row
        table = table[~table["measure"].str.contains(VOLATILE)]
    return table[[name for name in table if not VOLATILE.search(name)]].to_csv()


def _arrays(path: Path) -> dict[str, Any]:
    """The arrays as bytes; the facts of a checkpoint, which are JSON, without times."""
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
        return {
            name: _lasting(json.loads(stored[name].tobytes()))
            if name == "facts"
            else (stored[name].shape, stored[name].tobytes())
            for name in stored.files
        }


ESSENCES: dict[str, Callable[[Path], Any]] = {
    ".json": lambda path: _lasting(json.loads(path.read_text())),
    ".yaml": lambda path: _lasting(yaml.safe_load(path.read_text())),
    ".csv": _lasting_rows,
    ".npz": _arrays,
    ".parquet": lambda path: None,  # the same table as the CSV beside it
}
