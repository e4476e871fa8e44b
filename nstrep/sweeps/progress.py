"""Sweep progress, printed by the process that started the sweep, under any launcher.

The runs report through small files in a folder, which also works from other machines.
"""

from __future__ import annotations

import json
import shutil
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from statistics import median
from typing import Any

from tqdm import tqdm

from nstrep.base.errors import NstrepError, ResultsError
from nstrep.base.files import atomic_write
from nstrep.experiment import run_directory

REPORTS = ".progress"
"""Folder in that of the sweep. Each process that starts the sweep has its own folder in it."""

SHOWN_FAILURES = 10

ATTEMPTS = 5
"""How often it is tried to create the folder for the reports."""


def report_end(folder: Path, number: int, report: Mapping[str, Any]) -> None:
    """Write a run's report into :attr:`Progress.reports`, from any process or machine.

    Args:
        folder: :attr:`Progress.reports`.
        number: of the run in its sweep.
        report: ``run``; ``status``: finished, skipped, busy or failed; ``seconds`` or ``reason``.

    Raises:
        ResultsError: the folder is gone or cannot be written.

    """
    with atomic_write(folder / f"{number}.json") as temporary:
        temporary.write_text(json.dumps(report))


class Progress:
    """Prints one line for every run that ends, and the closing lines.

    Args:
        sweep: folder of the sweep; created if missing.
        planned: number of runs.

    Raises:
        ResultsError: the folder cannot be created.

    """

    def __init__(self, sweep: Path, planned: int) -> None:
        self.sweep, self.planned = sweep, planned
        self.reports = sweep / REPORTS / uuid.uuid4().hex[:12]
        self.ended: dict[str, Mapping[str, Any]] = {}
        self._is_new, self._began = not sweep.exists(), time.monotonic()
        self._lock = ExitStack()
        # Remove the folders of killed processes; those of living processes are locked.
        for folder in (sweep / REPORTS).glob("*"):
            with suppress(NstrepError), run_directory.locked(folder):
                shutil.rmtree(folder, ignore_errors=True)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._lock.enter_context(run_directory.locked(self.reports))
                break
            except ResultsError:  # perhaps another process has just removed the parent folder
                if attempt == ATTEMPTS:
                    raise
                time.sleep(0.05)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._closing.wait(0.3):
            self._print_new()

    def _print_new(self) -> None:
        for path in sorted(self.reports.glob("[0-9]*.json"), key=lambda path: int(path.stem)):
            if path.name in self.ended:
                continue
            if report := run_directory.stored(self.reports, path.name):
                self.ended[path.name] = report
                say(self._line(report))

    def _line(self, report: Mapping[str, Any]) -> str:
        count, run = f"{len(self.ended)} of {self.planned}", report["run"]
        if report["status"] == "failed":
            return f"{count}, failed: {run}: {report['reason']}"
        if report["status"] == "busy":
            return f"{count}, another process is at work there: {run}"
        if report["status"] == "skipped":
            return f"{count}, done before: {run}"
        times = [item["seconds"] for item in self.ended.values() if "seconds" in item]
        to_do = self.planned - len(self.ended)
        seconds_left = (time.monotonic() - self._began) / len(times) * to_do
        left = f", about {duration(seconds_left)} left" if to_do else ""
        return f"{count}, {duration(median(times))} each{left}: {run}"

    def close(self, error: NstrepError | None) -> int:
        """Print how the sweep ended, remove the reports, and return the exit code.

        Args:
            error: what ended the sweep early, if anything did.

        """
        self._closing.set()
        self._thread.join()
        self._print_new()
        self._lock.close()
        shutil.rmtree(self.reports, ignore_errors=True)
        with suppress(OSError):
            self.reports.parent.rmdir()
        is_empty = {path.name for path in self.sweep.glob("*")} <= {"multirun.yaml"}
        if error is not None and self._is_new and is_empty:
            shutil.rmtree(self.sweep, ignore_errors=True)
        reports = list(self.ended.values())
        if reports:
            say(closing(reports, len(reports) if error is None else self.planned))
        if error is not None:
            print(f"nstrep: error: {error}", file=sys.stderr)
            return error.exit_code
        failed = any(report["status"] == "failed" for report in reports)
        return NstrepError.exit_code if failed else 0


def closing(reports: Sequence[Mapping[str, Any]], planned: int) -> str:
    """How a sweep ended in one line, with one more line per failure if there are several."""
    counts = Counter(report["status"] for report in reports)
    failures = [f"{one['run']}: {one['reason']}" for one in reports if one["status"] == "failed"]
    parts = [f"{counts['finished'] + counts['skipped']} of {planned} runs finished"]
    if counts["skipped"]:
        parts[0] += f" ({counts['skipped']} before)"
    if counts["busy"]:
        parts.append(f"{counts['busy']} in another process")
    if planned > len(reports):
        parts.append(f"{planned - len(reports)} did not end")
    if failures:
        parts.append(f"{len(failures)} failed")
    line = ", ".join(parts)
    if len(failures) == 1:
        return f"{line}: {failures[0]}"
    hidden = len(failures) - SHOWN_FAILURES
    more = [f"  and {hidden} more"] if hidden > 0 else []
    return "\n".join([line, *(f"  {failure}" for failure in failures[:SHOWN_FAILURES]), *more])


def say(line: str) -> None:
    """Print a line above the progress bar of a run, if one is shown."""
    tqdm.write(line, file=sys.stderr)


def duration(seconds: float) -> str:
    """A duration for reading: 4 s, 12 min, 2 h 5 min."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
