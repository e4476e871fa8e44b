"""``python -m tests.faults``: inject the faults and write the tables of docs/reliability.md.

    python -m tests.faults --short               about a minute, writes no table
    python -m tests.faults kills twins           some of the modules, and their tables

The exit code is 1 if anything was lost or wrong.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
from pathlib import Path

from tests.faults import page
from tests.faults.harness import Row, say, write_rows

MODULES = ("kills", "disks", "twins", "numbers", "soak", "fuzz")
SHORT = MODULES[:4]


def main(arguments: list[str] | None = None) -> int:
    """Inject the faults and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=", ".join(MODULES))
    parser.add_argument("--short", action="store_true", help="a few of each, no table")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random moments")
    parser.add_argument("--folder", type=Path, help="working folder, kept; default: temporary")
    options = parser.parse_args(arguments)
    wrong = sorted(set(options.modules) - set(MODULES))
    if wrong:
        parser.error(f"{wrong[0]}: must be one of {', '.join(MODULES)}")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="nstrep-faults-") as temporary:
        folder = (options.folder or Path(temporary)).absolute()
        for name in options.modules or (SHORT if options.short else MODULES):
            module = importlib.import_module(f"tests.faults.{name}")
            new = module.faults(folder / name, options.short, options.seed)
            if new and not options.short:
                write_rows(name, new)
            rows += new
    for row in rows:
        say(f"{row}. {row.notes}", *(f"  {problem}" for problem in row.problems))
    if not options.short:
        page.write()
    return int(any(row.lost or row.wrong for row in rows))


if __name__ == "__main__":
    sys.exit(main())
