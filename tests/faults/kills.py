"""``kill -9`` at random moments, and whether the same command leads to the same results.

A life is a command that is killed one to three times and then runs to its end. Half of the moments
are drawn uniformly over the duration of the undisturbed command; half are those at which a certain
file appears, temporary files included.
"""

from __future__ import annotations

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
    run,
    say,
    write_csv,
)

APPEARING = (
    "config.yaml", "curve.csv", "checkpoint.npz", "raw.npz", "final.png", "loss.png",
    "metrics.json", ".*.tmp*", ".*.tmp.json", ".*.tmp.npz", ".*.tmp.png",
)  # fmt: skip
"""Files of a run at whose appearance it is killed."""

LAST = ("raw.npz", "net.npz")
"""Files that a run or a training writes after its optimisation."""


@dataclass(frozen=True)
class Target:
    """A command that is killed."""

    name: str
    arguments: tuple[str, ...]
    results: str
    """Folder of its results; a pattern."""
    kills: int
    """Least number of kills in all."""
    module: str = "nstrep.run"
    again: tuple[str, ...] = ()
    """Further arguments if it is to continue."""
    appearing: tuple[str, ...] = ()
    """Files of its results at whose appearance it is killed, beside those of its runs."""
    runs: str = ""
    """Run directories below the results; a pattern."""
    interval: float = 0.1
    """Most seconds of optimisation between two checkpoints."""
    steps: int = 0
    """Or most steps."""
    parent_alone: bool = False
    """Whether only the process that was started is killed, and its workers are left behind."""


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
    """Results of the uninterrupted command."""
    seconds: float
    """Its duration."""
    kills: list[dict[str, object]] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def results(self) -> Path:
        """Folder of the results, which may not exist yet."""
        return next(self.folder.glob(self.target.results), self.folder / "nothing")

    def runs(self) -> list[Path]:
        pattern = self.target.runs
        runs = sorted(self.results.glob(pattern)) if pattern else [self.results]
        return [run for run in runs if run.is_dir()]

    def start(self) -> Command:
        """Start the command; a run without a configuration yet has nothing to resume."""
        again = self.target.again if (self.results / "config.yaml").exists() else ()
        return Command(self.folder, *self.target.arguments, *again, module=self.target.module)

    def live(self, rng: np.random.Generator, kills: int) -> None:
        """Kill the command some times, let it end, and compare."""
        before: list[dict[str, list[str]]] = []
        done: dict[str, int] = {}
        for _ in range(kills):
            command = self.start()
            moment = self.draw(rng)
            is_in_time = self.wait_for(command, moment, rng)
            command.kill(self.target.parent_alone)
            if not is_in_time:
                self.wrong += command.problems(0)
                break
            self.kills.append({"target": self.target.name, "moment": moment, **self.state()})
            self.wrong += checks.broken(self.results) + self.repeated(done)
            before.append({run.name: checks.rows(run / "curve.csv") for run in self.runs()})
            done = {run.name: mtime(run) for run in self.runs() if mtime(run)}
            if len(done) == len(list(self.whole.rglob("metrics.json"))):
                break  # nothing is left that another kill could harm
        last = self.start().wait()
        for _ in range(20):  # processes that were left behind still compute
            if "in another process" not in last.stderr:
                break
            time.sleep(1)
            last = self.start().wait()
        self.wrong += last.problems(0) + self.repeated(done)
        self.wrong += checks.broken(self.results) + checks.left_over(self.results)
        self.wrong += checks.differences(self.results, self.whole)
        for number, curves in enumerate(before, 1):
            self.lost += self.not_kept(number, curves)

    def draw(self, rng: np.random.Generator) -> str | float:
        """A moment: seconds after the start, or the pattern of a file."""
        if rng.random() < 0.5:
            return round(rng.uniform(0, self.seconds), 3)
        below = f"{self.target.runs}/" if self.target.runs else ""
        files = [f"{below}{name}" for name in APPEARING] + list(self.target.appearing)
        return str(rng.choice(files))

    def wait_for(self, command: Command, moment: str | float, rng: np.random.Generator) -> bool:
        """Wait for a moment; false if the command ended before."""
        latest = time.monotonic() + 3 * self.seconds + 30
        if isinstance(moment, float):
            time.sleep(max(0.0, moment - command.seconds))
            return command.alive
        old = set(self.results.glob(moment))
        # The first run's file, or that of a later one.
        wanted = int(rng.integers(1, 5)) if self.target.runs and moment.startswith("*") else 1
        new: set[Path] = set()
        while command.alive and time.monotonic() < latest:
            new |= set(self.results.glob(moment)) - old
            if len(new) >= wanted:
                time.sleep(rng.uniform(0, 0.01))  # perhaps in the middle of the file
                break
            time.sleep(0.0005)
        return command.alive

    def state(self) -> dict[str, object]:
        """How far the command was when it was killed."""
        runs = self.runs()
        done = sum(bool(mtime(run)) for run in runs)
        rows = [len(checks.rows(run / "curve.csv")) for run in runs if not mtime(run)]
        written = any((run / name).exists() for run in runs for name in LAST if not mtime(run))
        phase = "writing" if written else "optimisation" if any(rows) else "start"
        if done and not any(rows):
            phase = "between runs" if self.target.runs else "end"
        return {"phase": phase, "runs_done": done, "rows": sum(rows)}

    def repeated(self, done: dict[str, int]) -> list[str]:
        """Runs that were finished and have been computed again."""
        now = {run.name: mtime(run) for run in self.runs()}
        return [
            f"{self.results / name}: made twice" for name in done if now.get(name) != done[name]
        ]

    def not_kept(self, number: int, curves: dict[str, list[str]]) -> list[str]:
        """Runs that repeated more after a kill than what lies between two checkpoints.

        A row that was kept has its old time; a repeated one has another. Beside the interval, the
        time of writing a checkpoint, which lies between two rows, and that of the epoch in which
        the next one is due are allowed: both are at most the longest time between two rows.
        """
        lost = []
        now = {run.name: set(checks.rows(run / "curve.csv")) for run in self.runs()}
        for name, before in curves.items():
            times = [0.0, *(float(row.split(",")[2]) for row in before)]
            kept = sum(row in now.get(name, ()) for row in before)
            slowest = max(map(float.__sub__, times[1:], times), default=0.0)
            in_time = times[-1] - times[kept] <= self.target.interval + 2 * slowest
            if not in_time and len(before) - kept > self.target.steps:
                repeated = f"{len(before) - kept} of {len(before)} rows"
                lost.append(f"{name}: {repeated} made again, kill {number}")
        return lost


def mtime(run: Path) -> int:
    """When a run was finished; 0 if it is not."""
    try:
        return (run / "metrics.json").stat().st_mtime_ns
    except OSError:
        return 0


def kill(target: Target, folder: Path, kills: int, rng: np.random.Generator) -> tuple[Row, list]:
    """Kill a target; its row and the moments of the kills."""
    row = Row(f"kill -9, {target.name}")
    whole = run(folder / "whole", *target.arguments, module=target.module)
    seconds = whole.seconds
    row.blame(whole.problems(0))
    results = next((folder / "whole").glob(target.results))
    moments: list[dict[str, object]] = []
    lives = 0
    while len(moments) < kills and lives < 3 * kills:
        lives += 1
        life = Life(target, folder / str(lives), results, seconds)
        life.live(rng, min(int(rng.integers(1, 4)), kills - len(moments)))
        moments += [{"life": lives, **one} for one in life.kills]
        row.lose(life.lost)
        row.blame(life.wrong)
        if not (life.lost or life.wrong):
            shutil.rmtree(life.folder)
        row.times = len(moments)
        say(f"{row} of {kills}")
    phases = Counter(str(moment["phase"]) for moment in moments)
    row.notes = "killed at: " + ", ".join(f"{n} {phase}" for phase, n in sorted(phases.items()))
    row.notes += f"; {lives} lives, each compared"
    return row, moments


def faults(folder: Path, short: bool, seed: int) -> list[Row]:
    """Kill all targets; one row each. The moments go to results/kill_moments.txt."""
    rows, moments = [], []
    for number, target in enumerate(TARGETS):
        if short and target.name not in SHORT:
            continue
        rng = np.random.Generator(np.random.PCG64([seed, number]))
        kills = SHORT[target.name] if short else target.kills
        row, new = kill(target, folder / f"kills-{number}", kills, rng)
        rows.append(row)
        moments += new
    if not short:
        write_csv(RESULTS / "kill_moments.txt", list(moments[0]), moments)
    return rows
