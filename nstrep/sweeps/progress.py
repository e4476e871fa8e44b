"""Sweep progress, printed by the process that started the sweep, under any launcher.

The runs report through small files in a folder, which also works from other machines.
"""

from __future__ import annotations

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
from nstrep.base.text import counted, duration
from nstrep.experiment import run_directory

SHOWN_FAILURES = 10

SILENCE = 30.0
"""Seconds after which a line is printed where there is no terminal, even if no run has ended."""


class Progress:
    """Prints one line for each of the planned runs that ends, and the closing lines."""

    def __init__(self, sweep: Path, planned: int) -> None:
        self.sweep, self.planned = sweep, planned
        self.reports = sweep / run_directory.PROGRESS / uuid.uuid4().hex[:12]
        self.ended: dict[str, Mapping[str, Any]] = {}
        """By the names of their files: ``run``; ``status``: finished, skipped, busy or failed;
        ``seconds`` or ``reason``.
        """
        self._is_new, self._began = not sweep.exists(), time.monotonic()
        self._lock = ExitStack()
        # Remove the folders of killed processes; those of living processes are locked.
        for folder in (sweep / run_directory.PROGRESS).glob("*"):
            with suppress(NstrepError), run_directory.locked(folder):
                shutil.rmtree(folder, ignore_errors=True)
        for attempts_left in (4, 3, 2, 1, 0):
            try:
                self._lock.enter_context(run_directory.locked(self.reports))
                break
            except ResultsError:  # perhaps another process has just removed the parent folder
                if not attempts_left:
                    raise
                time.sleep(0.05)
        self._said = time.monotonic()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        on_terminal = sys.stderr.isatty()
        while not self._closing.wait(0.3):
            self._print_new()
            if not on_terminal and time.monotonic() - self._said >= SILENCE:
                passed = duration(time.monotonic() - self._began)
                self._say(f"{len(self.ended)} of {self.planned} after {passed}")

    def _print_new(self) -> None:
        for path in sorted(self.reports.glob("[0-9]*.json"), key=lambda path: int(path.stem)):
            is_new = path.name not in self.ended
            if is_new and (report := run_directory.stored(self.reports, path.name)):
                self.ended[path.name] = report
                self._say(self._line(report))

    def _say(self, line: str) -> None:
        self._said = time.monotonic()
        say(line)

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
        """Print how the sweep ended, or what ended it early; remove the reports; an exit code."""
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
    parts = [f"{counts['finished'] + counts['skipped']} of {counted(planned, 'run')} finished"]
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
    shown = failures[:SHOWN_FAILURES] + ([f"and {hidden} more"] if hidden > 0 else [])
    return "\n  ".join([line, *shown])


def say(line: str) -> None:
    """Print a line above the progress bar of a run, if one is shown."""
    tqdm.write(line, file=sys.stderr)
