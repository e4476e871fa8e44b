"""summary.csv: a table with one row a run, in which numbers are numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from nstrep.analysis.swept_keys import choice, stood_in
from nstrep.base.files import atomic_write, keep_foreign, remove_unfinished
from nstrep.config.metrics import AFTER_LOSSES, BEFORE_LOSSES, summarised
from nstrep.config.schema import GROUPS
from nstrep.plots.labels import fits, plain

if TYPE_CHECKING:
    from nstrep.analysis.run_reader import Run, Sweep

SUMMARY = "summary"


def write(sweep: Sweep) -> pd.DataFrame:
    """Write a sweep's table into its folder, as CSV and as Parquet, and return it.

    InputError if there are files of others with these names.
    """
    csv, parquet = (sweep.path / f"{SUMMARY}.{kind}" for kind in ("csv", "parquet"))
    keep_foreign(csv, "run,status,reason,")
    keep_foreign(parquet, "stop_reason")
    rows = sweep.summary
    remove_unfinished(sweep.path)
    with atomic_write(csv) as temporary:
        rows.to_csv(temporary, index=False, lineterminator="\n")
    with atomic_write(parquet) as temporary:
        rows.to_parquet(temporary, index=False)
    return rows


def table(runs: Sequence[Run], swept: Sequence[str]) -> pd.DataFrame:
    """One row a run, the failed and the unfinished too; a cell without a value is empty.

    Columns: run, status, reason, the swept keys, recipe, content, style and model with the
    SHA-256 of each and the drawing that stood in for it, seed, size, the numbers of
    :mod:`nstrep.config.metrics`, stop_reason, the final losses by their names in curve.csv, and
    path.
    """
    columns: dict[str, list[Any]] = {
        "run": [run.name for run in runs],
        "status": [run.status for run in runs],
        "reason": [run.reason for run in runs],
    }
    for key in (*swept, "recipe"):
        values = (choice(run, key) if key in GROUPS else run.value(key) for run in runs)
        columns.setdefault(key, list(map(plain, values)))
    for group in ("content", "style", "model"):
        columns.setdefault(group, [plain(choice(run, group)) for run in runs])
        if group != "model":
            columns[f"{group}_stand_in"] = [stood_in(run, group) for run in runs]
        columns[f"{group}_sha256"] = [_text(run.value(f"{group}.sha256")) for run in runs]
    columns.setdefault("seed", [plain(run.value("seed")) for run in runs])
    for name in ("width", "height", *summarised(BEFORE_LOSSES)):
        columns[name] = [_number(run.metrics.get(name)) for run in runs]
    columns["stop_reason"] = [_text(run.metrics.get("stop_reason")) for run in runs]
    losses = [run.metrics.get("losses") for run in runs]
    losses = [each if isinstance(each, dict) else {} for each in losses]
    for name in dict.fromkeys(name for each in losses for name in each):
        columns.setdefault(name, [_number(each.get(name)) for each in losses])
    for name in summarised(AFTER_LOSSES):
        columns[name] = [_number(run.metrics.get(name)) for run in runs]
    columns["path"] = [str(run.path) for run in runs]
    return pd.DataFrame({_utf8(name): typed(values) for name, values in columns.items()})


def typed(values: Sequence[Any]) -> pd.Series:
    """A column of the narrowest type that holds all its values; None is an empty cell.

    Whole numbers with empty cells become pandas' Int64, so that 25 is not written 25.0. Numbers
    beside words become words.
    """
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return pd.Series(values, dtype="boolean" if None in values else "bool")
    if kinds == {int}:
        return pd.Series(values, dtype="Int64" if None in values else "int64")
    if kinds and kinds <= {int, float}:
        return pd.Series([math.nan if v is None else float(v) for v in values], dtype="float64")
    return pd.Series([None if v is None else _utf8(v) for v in values], dtype="object")


def _utf8(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    # Names of files and damaged JSON can hold lone surrogates, which no UTF-8 file takes.
    return str(value).encode("utf-8", "backslashreplace").decode()


def _number(value: Any) -> int | float | None:
    whole = isinstance(value, int) and not isinstance(value, bool) and fits(value)
    return value if whole or isinstance(value, float) else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
