"""Write docs/reliability.md from the rows under tests/faults/results/.

python -m tests.faults.page
"""

from __future__ import annotations

import csv

from benchmarks.harness import table
from tests.faults.harness import COLUMNS, RESULTS, ROOT

PAGE = ROOT / "docs" / "reliability.md"

PARTS = {
    "kills": (
        "Killed",
        "A row is a command that is killed with `kill -9` at random moments and started again,"
        " up to three times in a row, until it ends; the moments are written to"
        " `tests/faults/results/kill_moments.txt`. Half of them are spread evenly over the time"
        " that the command takes, half are those at which a certain file appears, temporary ones"
        " included. Times counts the kills. Lost: runs of which more had to be made again than what"
        " lies between two checkpoints. Wrong: at a kill, a file that has its final name and"
        " is not whole, or a finished run that is made again; at the end, a file that differs from"
        " the uninterrupted command's (final.png and arrays by their bytes, tables but for times"
        " and memory), a row doubled, a lock or a temporary file left.",
    ),
    "disks": (
        "Full, read-only and vanished disks",
        "On tmpfs mounts of the sizes noted. Times counts the commands that met the fault. Lost:"
        " finished runs that were not the same afterwards. Wrong: an end without one plain line"
        " and its exit code, a traceback, a file that is not whole, and differences from an"
        " undisturbed command once the fault is gone and the same command has been started again.",
    ),
    "twins": (
        "Two processes in one place",
        "Times counts the pairs. Wrong: files that differ from those of one process alone, work"
        " that was done twice, a wrong exit code, something left behind.",
    ),
    "numbers": (
        "Numbers that overflow",
        "Times counts the commands. Wrong: another exit code, a loss in curve.csv that is not"
        " finite, a reason that names another epoch than the one after the last row, no"
        " last_good.png, a summary without the reason, another run of the sweep that suffers.",
    ),
    "soak": (
        "Many runs",
        "One sweep with pictures of many sizes. Times counts its runs. Lost: runs that are"
        " missing. Wrong: a process whose memory after the first 20 runs ever grows by 5 % or"
        " more, or that ends with more open files.",
    ),
    "fuzz": (
        "Bad and hostile input",
        "Mutated and made-up files and settings; times counts the cases. There is nothing to lose:"
        " they are only read. Wrong: anything but a result or one plain line, more than 10 s of"
        " the processor's time, more memory than the bound, a process that dies.",
    ),
}
"""Titles and explanations; what has none here has its own in its rows' notes."""


def write() -> None:
    """Write the page."""
    parts = [
        "# Reliability",
        "Faults that were made to happen to the real command lines, and what they did. Made by"
        " `python -m tests.faults` (about an hour; `pip install -e '.[test]'`, and root or the"
        " right to mount for the disks), which ends with an error if anything is lost or wrong;"
        " `python -m tests.faults kills twins` makes some of the tables anew, and"
        " `python -m tests.faults --short` takes about a minute. The tests of single faults are in"
        " `tests/`.",
    ]
    total = {"times": 0, "lost": 0, "wrong": 0}
    found = sorted(RESULTS.glob("*.csv"), key=_place)
    for file in found:
        with file.open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        for name in total:
            total[name] += sum(int(row[name]) for row in rows)
        title, about = PARTS.get(file.stem, (file.stem.capitalize(), ""))
        parts += [part for part in (f"## {title}", about) if part]
        parts.append(table(COLUMNS, [[row[name] for name in COLUMNS] for row in rows]))
    parts.insert(
        2, f"In all: {total['times']} times, lost {total['lost']}, wrong {total['wrong']}."
    )
    PAGE.write_text("\n\n".join(parts) + "\n")


def _place(file) -> tuple[int, str]:
    names = list(PARTS)
    return (names.index(file.stem) if file.stem in names else len(names), file.stem)


if __name__ == "__main__":
    write()
