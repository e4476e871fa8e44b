"""How far a sweep is, told by the process that started it, whatever runs the runs."""

from __future__ import annotations

import json
import shutil
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from statistics import median
from typing import Any

from tqdm import tqdm

from nstrep.base.errors import BusyError, NstrepError, ResultsError
from nstrep.base.files import atomic_write
from nstrep.experiment import run_directory

NOTES = ".progress"
"""Folder inside the sweep's; each process that runs the sweep has a folder of its own there."""

SHOWN_FAILURES = 10

TRIES = 5
"""To make a folder for notes."""


def note(folder: Path, number: int, status: str, run: str, **more: Any) -> None:
    """Tell the process that started the sweep how a run ended; from any process or machine.

    Raises:
        ResultsError: it cannot be told: the folder is gone, the disk full.

    """
    with atomic_write(folder / f"{number}.json") as temporary:
        temporary.write_text(json.dumps({"status": status, "run": run, **more}))


def note_start(folder: Path, number: int) -> None:
    """Tell the process that started the sweep that a run has begun."""
    with suppress(OSError):
        (folder / f"{number}.started").touch()


class Watch:
    """Prints a line for every run of a sweep that ends, and a closing one."""

    def __init__(self, sweep: Path, planned: int) -> None:
        """Begin to watch.

        Args:
            sweep: the sweep's folder; made if missing.
            planned: how many runs it will have.

        Raises:
            ResultsError: the folder cannot be made.

        """
        self.sweep, self.planned = sweep, planned
        self.notes = sweep / NOTES / uuid.uuid4().hex[:12]
        self.seen: dict[str, Mapping[str, Any]] = {}
        self._new = not sweep.exists()
        self._held = ExitStack()
        _sweep_out(sweep / NOTES)
        for chance in reversed(range(TRIES)):
            try:
                self._held.enter_context(run_directory.locked(self.notes))
                break
            except ResultsError:
                # Another process that begins or ends may have swept the folder out just now.
                if not chance:
                    raise
                time.sleep(0.05)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._over.wait(0.3):
            self._look()

    def _look(self) -> None:
        for path in sorted(self.notes.glob("[0-9]*.json"), key=lambda path: int(path.stem)):
            if path.name not in self.seen and (
                found := run_directory.stored(self.notes, path.name)
            ):
                self.seen[path.name] = found
                say(self._line(found))

    def _line(self, found: Mapping[str, Any]) -> str:
        place, run = f"{len(self.seen)} of {self.planned}", found["run"]
        if found["status"] == "failed":
            return f"{place}, failed: {run}: {found['reason']}"
        if found["status"] == "busy":
            return f"{place}, another process is at work there: {run}"
        if found["status"] == "skipped":
            return f"{place}, done before: {run}"
        each = median(item["seconds"] for item in self.seen.values() if "seconds" in item)
        # At least one at a time: the one that has just ended made room for the next.
        together = 1 + len(list(self.notes.glob("*.started"))) - len(self.seen)
        to_do = self.planned - len(self.seen)
        about = f", about {duration(each * to_do / max(1, together))} left" if to_do else ""
        return f"{place}, {duration(each)} each{about}: {run}"

    def close(self, error: NstrepError | None) -> int:
        """Say how the sweep ended, and tidy up.

        Args:
            error: what ended it before its time, if anything did.

        Returns:
            The exit code: 0 if every run is finished or in another process's hands.

        """
        self._over.set()
        self._thread.join()
        self._look()
        self._held.close()
        shutil.rmtree(self.notes, ignore_errors=True)
        with suppress(OSError):
            self.notes.parent.rmdir()
        if error is not None and not self.seen and self._new:
            self._leave_nothing()
        planned = self.planned if error is not None else len(self.seen)
        if self.seen:
            say(closing(list(self.seen.values()), planned))
        if error is not None:
            print(f"nstrep: error: {error}", file=sys.stderr)
            return error.exit_code
        failed = any(found["status"] == "failed" for found in self.seen.values())
        return NstrepError.exit_code if failed else 0

    def _leave_nothing(self) -> None:
        if {path.name for path in self.sweep.glob("*")} <= {"multirun.yaml"}:
            shutil.rmtree(self.sweep, ignore_errors=True)


def _sweep_out(notes: Path) -> None:
    """Remove what processes that were killed left; those that live hold their folder."""
    for folder in notes.glob("*"):
        with suppress(NstrepError), run_directory.locked(folder):
            shutil.rmtree(folder, ignore_errors=True)


def closing(found: list[Mapping[str, Any]], planned: int) -> str:
    """How a sweep ended: a line, and one more for every failure when there are several."""
    counts = Counter(item["status"] for item in found)
    failures = [f"{item['run']}: {item['reason']}" for item in found if item["status"] == "failed"]
    parts = [f"{counts['finished'] + counts['skipped']} of {planned} runs finished"]
    if counts["skipped"]:
        parts[0] += f" ({counts['skipped']} before)"
    if counts["busy"]:
        parts.append(f"{counts['busy']} in another process")
    if planned > len(found):
        parts.append(f"{planned - len(found)} did not end")
    if failures:
        parts.append(f"{len(failures)} failed")
    line = ", ".join(parts)
    if len(failures) == 1:
        return f"{line}: {failures[0]}"
    hidden = len(failures) - SHOWN_FAILURES
    more = [f"  and {hidden} more"] if hidden > 0 else []
    return "\n".join([line, *(f"  {failure}" for failure in failures[:SHOWN_FAILURES]), *more])


def say(line: str) -> None:
    """Print a line above the bar of a run, if one is shown."""
    tqdm.write(line, file=sys.stderr)


def duration(seconds: float) -> str:
    """A time to read: 4 s, 12 min, 2 h 5 min."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def outcome(error: BaseException | None, *, skipped: bool) -> str:
    """The status that :func:`note` tells of a run."""
    if isinstance(error, BusyError):
        return "busy"
    return "failed" if error is not None else "skipped" if skipped else "finished"
