"""``python -m nstrep.collect FOLDER``: the table of a folder's runs, from what they left.

Writes FOLDER/summary.csv and FOLDER/summary.parquet, one row a run, failed and unfinished ones
too; run it again at any time, also while a sweep is going on.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import pandas as pd

from nstrep.analysis.run_reader import Sweep, load_sweep
from nstrep.base.command_line import plain_errors
from nstrep.base.files import atomic_write, remove_unfinished
from nstrep.base.text import shown

SUMMARY = "summary"


def collect(folder: str | os.PathLike[str]) -> pd.DataFrame:
    """Read every run of a folder and write the table; see :func:`nstrep.analysis.summary.table`.

    Raises:
        InputError: no runs there.
        ResultsError: the table cannot be written.

    """
    return write(load_sweep(folder))


def write(sweep: Sweep) -> pd.DataFrame:
    """Write a sweep's table into its folder, as CSV and as Parquet, and return it."""
    rows = sweep.summary
    remove_unfinished(sweep.path)
    with atomic_write(sweep.path / f"{SUMMARY}.csv") as temporary:
        rows.to_csv(temporary, index=False, lineterminator="\n")
    with atomic_write(sweep.path / f"{SUMMARY}.parquet") as temporary:
        rows.to_parquet(temporary, index=False)
    return rows


def main(arguments: list[str] | None = None) -> None:
    """Write the table of the folder named and say what is in it."""
    parser = argparse.ArgumentParser(prog="python -m nstrep.collect", description=__doc__)
    parser.add_argument("folder", type=Path, help="of a sweep, or of several runs")
    options = parser.parse_args(arguments)
    with plain_errors():
        rows = collect(options.folder)
        counts = ", ".join(f"{n} {status}" for status, n in rows["status"].value_counts().items())
        print(f"{shown(options.folder / SUMMARY)}.csv, .parquet: {len(rows)} runs ({counts})")


if __name__ == "__main__":
    main()
