"""``python -m tests.faults.fuzz --cases 2000 --seed 0``: bad and hostile input of every kind.

Each case ends with a result, or with one plain line that names the file or the key. Anything else
is wrong: another exception, a traceback, more than 10 s of the processor's time, more than 500 MB
above what the process held before, a process that dies, markup or a secret in a page. Wrong cases
are kept in --keep; with ``--only KIND --number N`` and the same seed one is made and carried out
again.
"""

from __future__ import annotations

import argparse
import collections
import csv
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.faults import fuzz_pool, fuzz_seeds
from tests.faults.fuzz_kinds import KINDS
from tests.faults.harness import COLUMNS, Row


@dataclass(frozen=True)
class Tally:
    """The cases of one kind."""

    kind: str
    cases: int
    results: int
    errors: int
    wrong: int
    seconds: float
    """The longest."""
    mb: float
    """The most memory above what the process held before."""


def plan(cases: int, seed: int) -> list[fuzz_pool.Job]:
    """So many cases, each kind with its share."""
    whole = sum(kind.share for kind in KINDS.values())
    jobs = [
        fuzz_pool.Job(kind.name, number, seed)
        for kind in KINDS.values()
        for number in range(-(-cases * kind.share // whole))
    ]
    # Commands wait for their own processes: first, so that none is left alone at the end.
    return sorted(jobs, key=lambda job: job.kind != "command lines")


def prepare(folder: Path, count: int, seed: int) -> None:
    """Make the seed files, in a process of its own."""
    subprocess.run([sys.executable, "-m", "tests.faults.fuzz_seeds", str(folder)], check=True)
    drawn = fuzz_seeds.overrides(max(10, count), seed)
    (folder / "overrides.json").write_text(json.dumps(drawn))


def fuzz(
    jobs: list[fuzz_pool.Job], *, workers: int, keep: Path, tell: bool = False
) -> list[fuzz_pool.Outcome]:
    """Carry cases out and return how each ended."""
    found = []
    with tempfile.TemporaryDirectory(prefix="nstrep-fuzz-seeds-") as folder:
        seeds = Path(folder) / "seeds"
        drawn = sum(job.kind == "overrides" for job in jobs)
        prepare(seeds, max(drawn, 40), jobs[0].seed)
        for outcome in fuzz_pool.run(jobs, workers, seeds, keep):
            found.append(outcome)
            if tell and outcome.end == "wrong":
                print(f"wrong: {outcome.job}: {outcome.said}\n", flush=True)
    return found


def tallies(outcomes: list[fuzz_pool.Outcome]) -> list[Tally]:
    """The outcomes by kind, in the order of the kinds."""
    by_kind = collections.defaultdict(list)
    for outcome in outcomes:
        by_kind[outcome.job.kind].append(outcome)
    return [
        Tally(
            name,
            len(found),
            *(sum(one.end == end for one in found) for end in ("result", "error", "wrong")),
            max(one.seconds for one in found),
            max(one.mb for one in found),
        )
        for name in KINDS
        if (found := by_kind[name])
    ]


def rows(found: list[Tally]) -> list[dict[str, object]]:
    """The table that docs/reliability.md shows. A case has nothing to lose: it only reads."""
    return [
        {
            "fault": f"bad input: {tally.kind}",
            "times": tally.cases,
            "lost": 0,
            "wrong": tally.wrong,
            "notes": f"{tally.results} with a result, {tally.errors} with one plain line;"
            f" longest {tally.seconds:.1f} s, most memory {tally.mb:.0f} MB",
        }
        for tally in found
    ]


def write_csv(path: Path, found: list[Tally]) -> None:
    """Write the table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows(found))


def faults(folder: Path, short: bool, seed: int) -> list[Row]:
    """All kinds, a row each; for ``python -m tests.faults``."""
    jobs = plan(60 if short else 2000, seed)
    found = fuzz(jobs, workers=2, keep=folder / "wrong", tell=True)
    return [Row(**row) for row in rows(tallies(found))]


def main(arguments: list[str] | None = None) -> int:
    """Run the fuzz; 1 if anything is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", choices=KINDS, help="one kind alone")
    parser.add_argument("--number", type=int, help="one case of that kind alone")
    parser.add_argument("--csv", type=Path, help="where the table goes")
    parser.add_argument("--json", type=Path, help="where every case goes")
    kept = Path(tempfile.gettempdir(), "nstrep-fuzz-wrong")
    parser.add_argument(
        "--keep", type=Path, default=kept, help="folder of wrong cases; %(default)s"
    )
    options = parser.parse_args(arguments)
    jobs = plan(options.cases, options.seed)
    if options.only and options.number is not None:
        jobs = [fuzz_pool.Job(options.only, options.number, options.seed)]
    elif options.only:
        jobs = [fuzz_pool.Job(options.only, n, options.seed) for n in range(options.cases)]
    began = time.monotonic()
    outcomes = fuzz(jobs, workers=options.workers, keep=options.keep.absolute(), tell=True)
    found = tallies(outcomes)
    for row in rows(found):
        print(f"{row['times']:5} {row['wrong']:3} wrong  {row['fault']}: {row['notes']}")
    wrong = sum(tally.wrong for tally in found)
    print(f"{len(outcomes)} cases, {wrong} wrong, {time.monotonic() - began:.0f} s")
    if options.csv:
        write_csv(options.csv, found)
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in outcomes], indent=1))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
