"""``python -m tests.faults.fuzz --cases 2000 --seed 0``: corrupt and malicious input of every kind.

Each case must end with a result, or with a one-line error that names the file or the key. Wrong is
everything else: another exception, a traceback, more than 10 s of processor time, more than 500 MB
above what the process held before, a process that dies, markup or a secret in a page. Wrong cases
are stored in --keep; ``--only KIND --number N`` with the same seed repeats one.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.faults import fuzz_pool, fuzz_seeds
from tests.faults.fuzz_kinds import KINDS
from tests.faults.harness import Row


def plan(cases: int, seed: int) -> list[fuzz_pool.Job]:
    """A number of cases, divided among the kinds by their shares."""
    whole = sum(kind.share for kind in KINDS.values())
    jobs = [
        fuzz_pool.Job(kind.name, number, seed)
        for kind in KINDS.values()
        for number in range(-(-cases * kind.share // whole))
    ]
    # Commands wait for their own processes; they come first, so that none is left at the end.
    return sorted(jobs, key=lambda job: job.kind != "command lines")


def fuzz(jobs: list[fuzz_pool.Job], workers: int, keep: Path) -> list[fuzz_pool.Outcome]:
    """Run the cases; wrong ones are printed, and their files stored in ``keep``."""
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="nstrep-fuzz-seeds-") as folder:
        seeds = Path(folder) / "seeds"
        # In a process of its own, so that this one, which watches the others, stays small.
        subprocess.run([sys.executable, "-m", "tests.faults.fuzz_seeds", str(seeds)], check=True)
        count = max(sum(job.kind == "overrides" for job in jobs), 40)
        overrides = fuzz_seeds.overrides(count, jobs[0].seed)
        (seeds / "overrides.json").write_text(json.dumps(overrides))
        for outcome in fuzz_pool.run(jobs, workers, seeds, keep):
            outcomes.append(outcome)
            if outcome.end == "wrong":
                print(f"wrong: {outcome.job}: {outcome.message}\n", flush=True)
    return outcomes


def rows(outcomes: list[fuzz_pool.Outcome]) -> list[Row]:
    """One row per kind. Nothing can be lost, since the cases only read."""
    rows = []
    for kind in KINDS:
        own = [one for one in outcomes if one.job.kind == kind]
        if own:
            count = {end: sum(one.end == end for one in own) for end in fuzz_pool.ENDS}
            seconds, mb = max(one.seconds for one in own), max(one.mb for one in own)
            notes = (
                f"{count['result']} with a result, {count['error']} with one plain line;"
                f" longest {seconds:.1f} s, most memory {mb:.0f} MB"
            )
            wrong = count["wrong"]
            rows.append(Row(f"bad input: {kind}", times=len(own), wrong=wrong, notes=notes))
    return rows


def faults(folder: Path, short: bool, seed: int) -> list[Row]:
    """All kinds, one row each; for ``python -m tests.faults``."""
    return rows(fuzz(plan(60 if short else 2000, seed), 2, folder / "wrong"))


def main() -> int:
    """Run the fuzz; 1 if anything is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=KINDS, help="one kind")
    parser.add_argument("--number", type=int, help="one case of that kind")
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir(), "nstrep-fuzz"))
    options = parser.parse_args()
    jobs = plan(options.cases, options.seed)
    if options.only:
        numbers = range(options.cases) if options.number is None else [options.number]
        jobs = [fuzz_pool.Job(options.only, number, options.seed) for number in numbers]
    table = rows(fuzz(jobs, 2, options.keep.absolute()))
    for row in table:
        print(f"{row}. {row.notes}")
    return int(any(row.wrong for row in table))


if __name__ == "__main__":
    sys.exit(main())
