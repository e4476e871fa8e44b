"""Shared by the faults: commands in processes of their own, small inputs, rows of the tables."""

from __future__ import annotations

import contextlib
import csv
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil
import skimage

ROOT = Path(__file__).resolve().parents[2]
RESULTS = Path(__file__).with_name("results")

PAINTING = Path(skimage.__file__).with_name("data") / "coffee.png"
"""A small image that every machine has, whatever it has downloaded."""

TINY = ("max_long_edge=64", "model=vgg19_slim", "stop_eps=0", f"style_image={PAINTING}")
"""An experiment that takes a moment once its process has started."""

TRAINING = ("data.size=32", "style_size=48", "batch_size=2", f"style_image={PAINTING}")
"""A training of the same kind."""

CHECKPOINTS = ("checkpoint_seconds=0.1",)
"""So that a run of a second or two has several checkpoints."""

PATIENCE = 300.0
"""Seconds after which a command is assumed to hang."""

COLUMNS = ["fault", "times", "lost", "wrong", "notes"]
"""Columns of tests/faults/results/*.csv."""


@dataclass
class Row:
    """A row of a table: one fault, how often it was injected, and the outcome."""

    fault: str
    times: int = 0
    lost: int = 0
    """Results that were there before and not after."""
    wrong: int = 0
    """Results that differ, broken files, hangs, tracebacks, leftovers."""
    notes: str = ""
    problems: list[str] = field(default_factory=list)
    """What was lost or wrong, one line each; printed, not stored."""

    def lose(self, problems: Iterable[str]) -> None:
        problems = list(problems)
        self.lost += len(problems)
        self.problems += problems

    def blame(self, problems: Iterable[str]) -> None:
        problems = list(problems)
        self.wrong += len(problems)
        self.problems += problems

    def __str__(self) -> str:
        return f"{self.fault}: {self.times} times, lost {self.lost}, wrong {self.wrong}"


def inject_all(
    faults: Mapping[str, tuple[Callable[[Row, Path], int | None], str]],
    quick: Sequence[str],
    folder: Path,
    short: bool,
    times: int = 1,
) -> list[Row]:
    """Inject faults, each ``times`` times; if short, only the ``quick`` ones, once.

    Args:
        faults: by name, the function that injects it, and notes. The function returns how many
            commands it ran, if that is not one.
        quick: names for a short round.
        folder: working folder.
        short: whether this is a short round.
        times: repetitions.

    """
    rows = []
    for number, (name, (inject, notes)) in enumerate(faults.items()):
        if short and name not in quick:
            continue
        row = Row(name, notes=notes)
        for repetition in range(1 if short else times):
            place = folder / f"{number}-{repetition}"
            place.mkdir(parents=True)
            row.times += inject(row, place) or 1
            say(str(row))
        rows.append(row)
    return rows


def write_rows(name: str, rows: Sequence[Row]) -> None:
    """Store rows as tests/faults/results/NAME.csv."""
    write_csv(RESULTS / f"{name}.csv", COLUMNS, map(asdict, rows))


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


class Command:
    """``python -m MODULE ARGUMENTS``, started in a folder."""

    def __init__(
        self, folder: Path, *arguments: str, module: str = "nstrep.run", **environment: str
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # A pipe would fill up if nobody reads it.
        self._stderr = tempfile.TemporaryFile("w+")  # noqa: SIM115 - open as long as the command
        self.began = time.monotonic()
        self.line = " ".join((module, *arguments))
        self.process = psutil.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=folder,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "OMP_NUM_THREADS": "1",  # the same on every machine; sums depend on it
                "OMP_WAIT_POLICY": "passive",
                "TQDM_DISABLE": "1",
                "NSTREP_HOME": str(folder),
                **environment,
            },
            stdout=subprocess.DEVNULL,
            stderr=self._stderr,
        )

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    @property
    def stderr(self) -> str:
        self._stderr.seek(0)
        return self._stderr.read()

    def wait(self) -> Command:
        """Wait for its end; after :data:`PATIENCE` it is killed."""
        try:
            self.process.wait(PATIENCE)
        except psutil.TimeoutExpired:
            self.kill()
        return self

    def wait_until(self, condition: Callable[[], object], seconds: float = 120.0) -> None:
        """Wait until a condition holds, the command ends, or the time is over."""
        while self.alive and self.seconds < seconds and not condition():
            time.sleep(0.001)

    def kill(self, parent_alone: bool = False) -> None:
        """``kill -9`` for the process and, as a reboot would, for all that it has started."""
        try:
            children = [] if parent_alone else self.process.children(recursive=True)
            family = [self.process, *children]
        except psutil.NoSuchProcess:
            family = []
        for one in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        psutil.wait_procs(family, timeout=10)
        self.process.wait()

    def problems(self, code: int) -> list[str]:
        """How its end differs from the expected one: exit code, one-line errors, no traceback."""
        stderr, actual = self.stderr, self.process.returncode
        errors = [line for line in stderr.splitlines() if line.startswith("nstrep: error: ")]
        problems = []
        if actual != code:
            problems.append(f"exit code {actual}, not {code}")
        if "Traceback" in stderr or "--- Logging error ---" in stderr:
            problems.append("a traceback")
        if code not in (0, 1) and len(errors) != 1:  # with 1, a sweep reports each failure
            problems.append(f"{len(errors)} error lines")
        return [f"{self.line}: {problem}: {stderr.strip()[-400:]}" for problem in problems]


def run(folder: Path, *arguments: str, **options: str) -> Command:
    return Command(folder, *arguments, **options).wait()


def say(*lines: str) -> None:
    print(*lines, sep="\n", file=sys.stderr, flush=True)
