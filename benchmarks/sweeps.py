"""The time of a sweep in one process, with one process per run, and with one run per core.

python -m benchmarks.sweeps                       # eight runs each way, some minutes
python -m benchmarks.sweeps --size 512 --epochs 60 --runs 4    # as long as real ones
python -m benchmarks.sweeps --epochs 30 --rounds 5 --only cores   # the default launcher alone

Eight runs of the default recipe, small and short, so that what is paid once shows: each in a
process of its own, all in one process with all threads (hydra/launcher=basic), and one a core with
one thread each (the default launcher).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import harness

PLACES = {"one process": "one", "one run a core": "cores"}
"""Folders of the sweeps."""

WEIGHTS = (10, 12, 14, 16, 18, 20, 22, 24)


def commands(runs: int, size: int, epochs: int, folder: Path) -> dict[str, list[list[str]]]:
    """The command lines of each way."""
    program = [sys.executable, "-m", "nstrep.run"]
    settings = [
        f"max_long_edge={size}", f"max_num_epochs={epochs}", "stop_eps=0", "model=vgg19_slim",
        "style=swirls",
    ]  # fmt: skip
    weights = WEIGHTS[:runs]
    sweep = [*program, "--multirun", *settings, f"content_weight={','.join(map(str, weights))}"]
    return {
        "a process a run": [
            [*program, *settings, f"content_weight={weight}", f"hydra.run.dir={folder}/{weight}"]
            for weight in weights
        ],
        "one process": [[*sweep, f"hydra.sweep.dir={folder}/one", "hydra/launcher=basic"]],
        "one run a core": [[*sweep, f"hydra.sweep.dir={folder}/cores"]],
    }


def main() -> None:
    """Measure in rounds, print a table, write the CSV."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=PLACES.values(), help="measure this way alone")
    given = parser.parse_args()
    rows = []
    environment = {**os.environ, "PYTHONPATH": str(harness.ROOT), "TQDM_DISABLE": "1"}
    environment.pop("OMP_NUM_THREADS", None)  # measures nstrep's own choice
    for turn in range(given.rounds):
        with tempfile.TemporaryDirectory() as folder:
            ways = commands(given.runs, given.size, given.epochs, Path(folder))
            for way, parts in ways.items():
                if given.only not in (None, PLACES.get(way)):
                    continue
                began, before = time.perf_counter(), os.times()
                for command in parts:
                    subprocess.run(
                        command, check=True, capture_output=True, env=environment, cwd=folder
                    )
                seconds, after = time.perf_counter() - began, os.times()
                made = list(Path(folder).glob(f"{PLACES.get(way, '[0-9]*')}/**/metrics.json"))
                optimising = sum(json.loads(path.read_text())["seconds"] for path in made)
                rows.append(
                    {
                        "model": "vgg19_slim",
                        "size": given.size,
                        "way": way,
                        "runs": given.runs,
                        "epochs": given.epochs,
                        "round": turn,
                        "seconds": seconds,
                        "optimising": optimising,
                        "cpu": sum(after[2:4]) - sum(before[2:4]),  # of child processes
                        "load": harness.load(),
                    }
                )
                harness.progress(f"round {turn + 1}: {way}: {seconds:.1f} s")
    name = f"sweeps_vgg19_slim_{given.size}" + f"_{given.only}" * bool(given.only)
    harness.write_csv(name, rows)
    print(summary([{**row, "machine": harness.machine()} for row in rows]))


def summary(rows: list[dict]) -> str:
    """Seconds a run by way, its share of the first way's, and what was not optimising.

    Runs side by side each take a core's seconds: their iterations alone would take the sum of
    their seconds divided by the cores, of which the whole is a multiple.
    """
    lines, first = [], None
    for way in dict.fromkeys(row["way"] for row in rows):
        mine = [row for row in rows if row["way"] == way]
        each = [float(row["seconds"]) / int(row["runs"]) for row in mine]
        median, least, most = harness.median_and_spread(each)
        first = first or median
        together = harness.cores_of(mine[0]["machine"]) if way == "one run a core" else 1
        besides = [
            (together * float(row["seconds"]) - float(row["optimising"])) / int(row["runs"])
            for row in mine
            if row.get("optimising")  # older tables do not have it
        ]
        rest = harness.median_and_spread(besides)[0] if besides else "not measured"
        alone = [
            together * float(row["seconds"]) / float(row["optimising"])
            for row in mine
            if row.get("optimising")
        ]
        times = harness.median_and_spread(alone)[0] if alone else "not measured"
        cpu = [float(row["cpu"]) / int(row["runs"]) for row in mine if row.get("cpu")]
        work = harness.median_and_spread(cpu)[0] if cpu else "not measured"
        spread = f"{least:.3g} to {most:.3g}"
        lines.append([way, median, spread, median / first, rest, times, work])
    header = (
        "way", "seconds a run", "from, to", f"/ {rows[0]['way']}", "seconds besides optimising",
        "/ its iterations alone", "CPU seconds a run",
    )  # fmt: skip
    return harness.table(header, lines)


if __name__ == "__main__":
    main()
