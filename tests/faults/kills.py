"""``kill -9`` at random moments, and whether the same command comes to the same results.

A life is a command that is killed one to three times and then left to end. Half of the moments
are drawn uniformly over the time that the command takes by itself, half are those at which a
certain file appears, temporary ones included.
"""

from __future__ import annotations

import csv
import shutil
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests.faults import checks
from tests.faults.harness import (
    CHECKPOINTS,
    RESULTS,
    TINY,
    TRAINING,
    Command,
    Row,
    faults_of,
    say,
)

APPEARING = (
    "config.yaml", "curve.csv", "checkpoint.npz", "raw.npz", "final.png", "loss.png",
    "metrics.json", ".*.tmp*", ".*.tmp.json", ".*.tmp.npz", ".*.tmp.png",
)  # fmt: skip
"""Files of a run at whose appearance it is killed."""


LAST = ("raw.npz", "net.npz")
"""Files that show that the optimisation is over, of a run and of a training."""


@dataclass(frozen=True)
class Target:
    """A command that is killed."""

    name: str
    arguments: tuple[str, ...]
    results: str
    """The folder of its results; a pattern."""
    kills: int
    """At least so many in all."""
    module: str = "nstrep.run"
    again: tuple[str, ...] = ()
    """Typed besides when it is to go on."""
    appearing: tuple[str, ...] = ()
    """Files of its results at whose appearance it is killed, besides those of its runs."""
    runs: str = ""
    """Where its run directories are below the results; a pattern."""
    interval: float = 0.1
    """Seconds of optimisation between two checkpoints, at most."""
    steps: int = 0
    """Or steps, at most."""
    parent_alone: bool = False
    """Only the process that was started is killed: its workers are left behind."""


RUN = (*TINY, "max_num_epochs=150", *CHECKPOINTS, "save_epochs=20")
SWEEP = ("--multirun", *TINY, "max_num_epochs=60", *CHECKPOINTS,
         "content_weight=1,10,100", "style_scale=0.5,1")  # fmt: skip
BASIC, JOBLIB = ("hydra/launcher=basic",), ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
OF_A_SWEEP = ("summary.csv", "summary.parquet", ".progress/*/*.json", "multirun.yaml")

TARGETS = (
    *(
        Target(f"run, {name}", (*RUN, f"optimizer={name}", "hydra.run.dir=run"), "run", kills,
               again=("resume=true",))
        for name, kills in {"lbfgs": 8, "adam": 6, "sgd": 4, "nag": 4}.items()
    ),
    Target("sweep", (*SWEEP, *BASIC), "results/sweeps/*", 10, appearing=OF_A_SWEEP, runs="*"),
    Target("sweep in parallel", (*SWEEP, *JOBLIB), "results/sweeps/*", 6,
           appearing=OF_A_SWEEP, runs="*"),
    Target("sweep in parallel, the parent alone", (*SWEEP, *JOBLIB), "results/sweeps/*", 4,
           appearing=OF_A_SWEEP, runs="*", parent_alone=True),
    Target("replication", ("scale=smoke", "claims=[mxnet-eps,mxnet-cost]"),
           "results/replication/smoke", 10, "nstrep.replicate",
           appearing=("claims.csv", "report.md", "figures/*"), runs="runs/*", interval=30.0),
    Target("training", (*TRAINING, "steps=60", "save_steps=5", "validate_steps=20",
           "hydra.run.dir=training"), "training", 8, "nstrep.fast.train", steps=5,
           appearing=("net.npz", "sample.png", "samples/*.png")),
)  # fmt: skip

SHORT = {"run, lbfgs": 2, "sweep": 2, "training": 2}


@dataclass
class Life:
    """One command, killed and started again until it ends."""

    target: Target
    folder: Path
    whole: Path
    """The results of the uninterrupted command."""
    seconds: float
    """What that took."""
    kills: list[dict[str, object]] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def results(self) -> Path:
        """The folder of the results; it may not be there yet."""
        return next(self.folder.glob(self.target.results), self.folder / "nothing")

    def runs(self) -> list[Path]:
        """Run directories by now."""
        pattern = self.target.runs
        found = sorted(self.results.glob(pattern)) if pattern else [self.results]
        return [run for run in found if run.is_dir()]

    def start(self) -> Command:
        # A run that was killed before it had a configuration has nothing to go on with.
        again = self.target.again if (self.results / "config.yaml").exists() else ()
        return Command(self.folder, *self.target.arguments, *again, module=self.target.module)

    def live(self, rng: np.random.Generator, kills: int) -> None:
        """Be killed, go on, end, and be compared."""
        before: list[dict[str, list[str]]] = []
        done: dict[str, int] = {}
        for _ in range(kills):
            command = self.start()
            moment = self.draw(rng)
            reached = self.wait_for(command, moment, rng)
            command.kill(self.target.parent_alone)
            if not reached:  # it ended before
                self.wrong += faults_of(command, 0)
                break
            self.kills.append({"target": self.target.name, "moment": moment, **self.state()})
            self.wrong += checks.broken(self.results)
            self.wrong += self.changed(done)
            before.append({run.name: checks.rows(run / "curve.csv") for run in self.runs()})
            done = {run.name: mtime(run) for run in self.runs() if mtime(run)}
            if len(done) == len(list(self.whole.rglob("metrics.json"))):
                break  # nothing is left that another kill could harm
        last = self.finish()
        self.wrong += faults_of(last, 0)
        self.wrong += self.changed(done)
        self.wrong += checks.broken(self.results) + checks.left_over(self.results)
        self.wrong += checks.differences(self.results, self.whole)
        for number, curves in enumerate(before, 1):
            self.lost += self.not_kept(number, curves)

    def finish(self) -> Command:
        """Start the command until none of its runs is in the hands of a process left behind."""
        last = self.start()
        last.wait()
        for _ in range(20):
            if "in another process" not in last.said:
                break
            time.sleep(1)
            last = self.start()
            last.wait()
        return last

    def draw(self, rng: np.random.Generator) -> str | float:
        """Seconds after the start, or the pattern of a file."""
        if rng.random() < 0.5:
            return round(rng.uniform(0, self.seconds), 3)
        below = f"{self.target.runs}/" if self.target.runs else ""
        files = [f"{below}{name}" for name in APPEARING] + list(self.target.appearing)
        return str(rng.choice(files))

    def wait_for(self, command: Command, moment: str | float, rng: np.random.Generator) -> bool:
        """Wait for a moment; false if the command has ended before."""
        late = time.monotonic() + 3 * self.seconds + 30
        if isinstance(moment, float):
            time.sleep(max(0.0, moment - command.seconds))
            return command.alive
        seen = set(self.results.glob(moment))
        # The first run's file, or a later one's.
        wanted = int(rng.integers(1, 5)) if self.target.runs and moment.startswith("*") else 1
        new: set[Path] = set()
        while command.alive and time.monotonic() < late:
            new |= set(self.results.glob(moment)) - seen
            if len(new) >= wanted:
                time.sleep(rng.uniform(0, 0.01))  # in the middle of the file, perhaps
                return command.alive
            time.sleep(0.0005)
        return command.alive

    def state(self) -> dict[str, object]:
        """What there was when it was killed."""
        runs = self.runs()
        done = sum(bool(mtime(run)) for run in runs)
        rows = [len(checks.rows(run / "curve.csv")) for run in runs if not mtime(run)]
        at_work = any(rows)
        written = any((run / name).exists() for run in runs for name in LAST if not mtime(run))
        phase = "writing" if written else "optimisation" if at_work else "start"
        if done and not at_work:
            phase = "between runs" if self.target.runs else "end"
        return {"phase": phase, "runs_done": done, "rows": sum(rows)}

    def changed(self, done: dict[str, int]) -> list[str]:
        """Runs that were finished and have been made again."""
        now = {run.name: mtime(run) for run in self.runs()}
        return [
            f"{self.results / name}: made twice" for name in done if now.get(name) != done[name]
        ]

    def not_kept(self, number: int, curves: dict[str, list[str]]) -> list[str]:
        """Runs with rows beyond the checkpoint interval that had to be made again after a kill.

        A row that was kept has its seconds; one that was made again has others. On top of the
        interval come a checkpoint's own time, which lies between two rows, and the epoch in which
        the next falls due: both at most the longest time between two rows.
        """
        lost = []
        now = {run.name: set(checks.rows(run / "curve.csv")) for run in self.runs()}
        for name, before in curves.items():
            times = [0.0, *(float(row.split(",")[2]) for row in before)]
            kept = sum(row in now.get(name, ()) for row in before)
            slowest = max(map(float.__sub__, times[1:], times), default=0.0)
            in_time = times[-1] - times[kept] <= self.target.interval + 2 * slowest
            if not in_time and len(before) - kept > self.target.steps:
                again = f"{len(before) - kept} of {len(before)} rows"
                lost.append(f"{name}: {again} made again, kill {number}")
        return lost


def mtime(run: Path) -> int:
    """When a run was finished; 0 if it is not."""
    try:
        return (run / "metrics.json").stat().st_mtime_ns
    except OSError:
        return 0


def uninterrupted(target: Target, folder: Path) -> tuple[Path, float, list[str]]:
    """The command left alone, for comparison: its results, seconds and problems."""
    command = Command(folder, *target.arguments, module=target.module)
    command.wait()
    return next(folder.glob(target.results)), command.seconds, faults_of(command, 0)


def faults(folder: Path, short: bool, seed: int) -> list[Row]:
    """Kill all targets; a row each. The moments are kept in results/kill_moments.txt."""
    rows, kept = [], []
    for number, target in enumerate(TARGETS):
        if short and target.name not in SHORT:
            continue
        rng = np.random.Generator(np.random.PCG64([seed, number]))
        place = folder / f"kills-{number}"
        row = Row(f"kill -9, {target.name}")
        whole, seconds, problems = uninterrupted(target, place / "whole")
        row.blame(problems)
        wanted = SHORT[target.name] if short else target.kills
        moments: list[dict[str, object]] = []
        lives = 0
        while len(moments) < wanted and lives < 3 * wanted:
            lives += 1
            life = Life(target, place / str(lives), whole, seconds)
            life.live(rng, min(int(rng.integers(1, 4)), wanted - len(moments)))
            moments += [{"life": lives, **kill} for kill in life.kills]
            row.lose(life.lost)
            row.blame(life.wrong)
            if not (life.lost or life.wrong):
                shutil.rmtree(life.folder)
            say(f"{row.fault}: {len(moments)} of {wanted}, lost {row.lost}, wrong {row.wrong}")
        row.times = len(moments)
        phases = Counter(str(moment["phase"]) for moment in moments)
        row.notes = "killed at: " + ", ".join(f"{n} {phase}" for phase, n in sorted(phases.items()))
        row.notes += f"; {lives} lives, each compared"
        rows.append(row)
        kept += moments
    if not short:
        RESULTS.mkdir(exist_ok=True)
        with (RESULTS / "kill_moments.txt").open("w", newline="") as stream:
            writer = csv.DictWriter(stream, list(kept[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(kept)
    return rows
