"""``nstrep collect FOLDER``: the table of a folder's runs.

Writes FOLDER/summary.csv and FOLDER/summary.parquet with one row a run, failed and unfinished ones
too. It can be run at any time, also while a sweep is running.
"""

from __future__ import annotations

from pathlib import Path

from nstrep.analysis import summary
from nstrep.analysis.run_reader import load_sweep
from nstrep.base.command_line import Parser, plain_errors
from nstrep.base.text import counted, shown


def main(arguments: list[str] | None = None) -> None:
    """Write the table of the named folder and print how many runs are in it."""
    parser = Parser(__doc__)
    parser.add_argument("folder", type=Path, help="folder of a sweep or of several runs")
    folder = parser.parse_args(arguments).folder
    with plain_errors():
        rows = summary.write(load_sweep(folder))
        counts = ", ".join(f"{n} {status}" for status, n in rows["status"].value_counts().items())
        place = shown(folder / summary.SUMMARY)
        print(f"{place}.csv, .parquet: {counted(len(rows), 'run')} ({counts})")


if __name__ == "__main__":
    main()
