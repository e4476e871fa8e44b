"""``nstrep report FOLDER``: write FOLDER/report.html, to look through runs in a browser.

It has the table of the runs, their curves, the images side by side, and each run's settings.
"""

from __future__ import annotations

from pathlib import Path

from nstrep import report
from nstrep.analysis import summary
from nstrep.analysis.run_reader import load_sweep
from nstrep.base.command_line import Parser, plain_errors
from nstrep.base.text import counted, shown


def main(arguments: list[str] | None = None) -> None:
    """Write the report of a folder and print its size."""
    parser = Parser(__doc__)
    parser.add_argument("folder", type=Path, help="a run directory, or a folder of them")
    parser.add_argument("--out", type=Path, help="the file; FOLDER/report.html by default")
    options = parser.parse_args(arguments)
    with plain_errors():
        sweep = load_sweep(options.folder)
        summary.write(sweep)  # the page links to the table
        path = report.write(sweep, options.out)
        print(
            f"{shown(path)}: {counted(len(sweep.runs), 'run')}, {path.stat().st_size / 1e6:.1f} MB"
        )


if __name__ == "__main__":
    main()
