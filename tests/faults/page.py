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
        "Killed processes",
        "kills with `kill -9` of runs, sweeps, replications and trainings",
        "Each row is a command that is killed with `kill -9` at random moments and started again,"
        " up to three times in a row, until it ends; the moments are written to"
        " `tests/faults/results/kill_moments.txt`. Half of them are spread evenly over the duration"
        " of the command; the other half are those at which a certain file appears, temporary files"
        " included. Times counts the kills. Lost counts the runs that had to repeat more than what"
        " lies between two checkpoints. Wrong counts, after a kill, incomplete files under their"
        " final names and finished runs that are run again; at the end, files that differ from"
        " those of the uninterrupted command (`final.png` and arrays by their bytes, tables except"
        " times and memory), duplicate rows, and locks or temporary files left behind.",
    ),
    "disks": (
        "Full, read-only and vanished disks",
        "commands on full, read-only or vanished disks",
        "On tmpfs mounts of the sizes noted. Times counts the commands that met the fault. Lost"
        " counts finished runs that were not the same afterwards. Wrong counts commands that did"
        " not end with one plain line and its exit code, tracebacks, incomplete files, and"
        " differences from an undisturbed command after the fault was removed and the same command"
        " was started again.",
    ),
    "twins": (
        "Two processes in one place",
        "pairs of processes in one directory",
        "Times counts the pairs. Wrong counts files that differ from those of one process alone,"
        " work that was done twice, wrong exit codes, and files left behind.",
    ),
    "numbers": (
        "Numerical overflow",
        "commands whose numbers overflow",
        "Times counts the commands. Wrong counts unexpected exit codes, losses in `curve.csv` that"
        " are not finite, reasons that name another iteration than the one after the last row,"
        " missing `last_good.png` files, summaries without the reason, and other runs of the sweep"
        " that were affected.",
    ),
    "soak": (
        "Many runs",
        "runs of long sweeps, watched for growing memory and open files",
        "One sweep over images of many sizes. Times counts its runs. Lost counts missing runs."
        " Wrong counts processes whose memory grows by 5 % or more after the first 20 runs, or that"
        " end with more open files.",
    ),
    "fuzz": (
        "Corrupt and malicious input",
        "corrupt or malicious files and settings",
        "Mutated and generated files and settings. Times counts the cases; nothing can be lost,"
        " because they are only read. Wrong counts everything other than a result or a one-line"
        " error, more than 10 s of processor time, more memory than the bound, and processes that"
        " die.",
    ),
}
"""For each CSV file: title, what is counted, and explanation."""


def write() -> None:
    PAGE.write_text(page())


def page() -> str:
    summary, parts = [], []
    total = {"times": 0, "lost": 0, "wrong": 0}
    for name, (title, counted, about) in PARTS.items():
        with (RESULTS / f"{name}.csv").open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        counts = {key: sum(int(row[key]) for row in rows) for key in total}
        total = {key: total[key] + counts[key] for key in total}
        summary.append(
            f"- {title}: {counts['times']} {counted}; lost {counts['lost']}, wrong"
            f" {counts['wrong']}."
        )
        parts += [f"## {title}", about]
        parts.append(table(COLUMNS, [[row[column] for column in COLUMNS] for row in rows]))
    introduction = [
        "# Reliability",
        f"Faults injected into the real commands: {total['times']} in all. Results lost:"
        f" {total['lost']}; wrong results: {total['wrong']}.",
        "\n".join(summary),
        "`python -m tests.faults` injects the faults and writes this page (about an hour; it needs"
        " `pip install -e '.[test]'`, and root or the right to mount for the disks). It ends with"
        " an error if anything is lost or wrong. `python -m tests.faults kills twins` repeats some"
        " of the tables, and `python -m tests.faults --short` takes about a minute. `tests/` has"
        " tests of the single faults.",
    ]
    return "\n\n".join(introduction + parts) + "\n"


if __name__ == "__main__":
    write()
