"""What the faults share: command lines in processes of their own, tiny inputs, rows of a table."""

from __future__ import annotations

import contextlib
import csv
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import psutil
import skimage

ROOT = Path(__file__).resolve().parents[2]
RESULTS = Path(__file__).with_name("results")

PAINTING = Path(skimage.__file__).with_name("data") / "coffee.png"
"""A small picture that every machine has, whichever paintings it has downloaded."""

TINY = ("max_long_edge=64", "model=vgg19_slim", "stop_eps=0", f"style_image={PAINTING}")
"""An experiment that is over in a moment, once its process has started."""

TRAINING = ("data.size=32", "style_size=48", "batch_size=2", f"style_image={PAINTING}")
"""The same for a training."""

CHECKPOINTS = ("checkpoint_seconds=0.1",)
"""So that a run of a second or two has several."""

PATIENCE = 300.0
"""Seconds after which a command counts as one that hangs."""


@dataclass
class Row:
    """A line of the table: one fault, how often it was made to happen, and what it did."""

    fault: str
    times: int = 0
    lost: int = 0
    """What had been measured before and was not there after."""
    wrong: int = 0
    """Results that differ, broken files, hangs, tracebacks, leftovers."""
    notes: str = ""
    found: list[str] = field(default_factory=list, repr=False)
    """What was lost or wrong, a line each; shown, not kept."""

    def lose(self, problems: Iterable[str]) -> None:
        """Count what was lost."""
        problems = list(problems)
        self.lost += len(problems)
        self.found += problems

    def blame(self, problems: Iterable[str]) -> None:
        """Count what is wrong."""
        problems = list(problems)
        self.wrong += len(problems)
        self.found += problems


def chosen(
    faults: Mapping[str, tuple[Callable[..., None], str]], short: bool, quick: Sequence[str]
) -> Iterator[tuple[int, Callable[..., None], Row]]:
    """Number, injector and empty row of each fault; of the ``quick`` ones alone if short."""
    for number, (name, (inject, notes)) in enumerate(faults.items()):
        if name in quick or not short:
            yield number, inject, Row(name, notes=notes)


COLUMNS = [one.name for one in fields(Row) if one.name != "found"]


def write_rows(name: str, rows: Sequence[Row]) -> None:
    """Keep a module's rows as tests/faults/results/NAME.csv."""
    RESULTS.mkdir(exist_ok=True)
    with (RESULTS / f"{name}.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(map(asdict, rows))


class Command:
    """``python -m MODULE ARGUMENTS`` at work in a folder."""

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        module: str = "nstrep.run",
        **environment: str,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # Not a pipe, which fills when nobody reads.
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 - open as long as the command
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
            stderr=self._said,
        )

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None

    @property
    def seconds(self) -> float:
        """Since it was started."""
        return time.monotonic() - self.began

    @property
    def said(self) -> str:
        """What is on its stderr by now."""
        self._said.seek(0)
        return self._said.read()

    def wait(self, patience: float = PATIENCE) -> int | None:
        """The exit code; None for one that hung and was killed."""
        try:
            return self.process.wait(patience)
        except psutil.TimeoutExpired:
            self.kill()
            return None

    def kill(self, parent_alone: bool = False) -> None:
        """``kill -9`` for the process and, as a reboot would, for all that it has started."""
        try:
            started = [] if parent_alone else self.process.children(recursive=True)
            family = [self.process, *started]
        except psutil.NoSuchProcess:
            family = []
        for one in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        psutil.wait_procs(family, timeout=10)
        self.process.wait()


def run(folder: Path, *arguments: str, **options: str) -> Command:
    """A command from its start to its end."""
    command = Command(folder, *arguments, **options)
    command.wait()
    return command


def faults_of(command: Command, code: int) -> list[str]:
    """How a command's end differs from the one expected: code, plain lines, no traceback.

    Args:
        command: it is over.
        code: what it should have ended with.

    """
    said, got = command.said, command.process.returncode
    problems = []
    if got != code:
        problems.append(f"{command.line}: exit code {got}, not {code}: {said.strip()[-400:]}")
    if "Traceback" in said or "--- Logging error ---" in said:
        problems.append(f"{command.line}: a traceback: {said.strip()[-400:]}")
    errors = [line for line in said.splitlines() if line.startswith("nstrep: error: ")]
    if code not in (0, 1) and len(errors) != 1:  # 1: a sweep that tells of each failure
        problems.append(f"{command.line}: {len(errors)} error lines: {said.strip()[-400:]}")
    return problems


def say(text: str) -> None:
    """Tell how far it is, on stderr."""
    print(text, file=sys.stderr, flush=True)
