"""Disks that are full, read-only or gone: small tmpfs mounts, size limits, removed folders.

The command ends with a one-line error and exit code 4, what was written before can be read, and
the same command continues once there is space again. If the system does not let this process
mount, the rows say that they were skipped.
"""

from __future__ import annotations

import contextlib
import resource
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nstrep.base.errors import ResultsError
from tests.faults import checks
from tests.faults.harness import CHECKPOINTS, TINY, TRAINING, Command, Row, say

SIZES = (4, 16, 32, 48, 64, 96, 128, 160)
"""KiB at which the disk is full; a run needs about 200."""

LARGE = "64m"
"""Size of a disk that is not full."""


@dataclass(frozen=True)
class Job:
    """A command whose results are on the disk at fault."""

    name: str
    arguments: tuple[str, ...]
    results: str
    """Their folder, below the folder ``disk``."""
    module: str = "nstrep.run"
    again: tuple[str, ...] = ()
    """Further arguments if it is to continue."""
    sizes: tuple[int, ...] = SIZES
    codes: tuple[int, ...] = (ResultsError.exit_code,)
    """Allowed exit codes; that of a sweep is 1 if it could still report which runs failed."""

    def start(self, folder: Path, *more: str) -> Command:
        """Start the command, from its beginning or from where it was."""
        return Command(folder, *self.arguments, *more, module=self.module)

    def problems(self, command: Command) -> list[str]:
        """How a command that met the fault did not end as it should."""
        code = command.wait().process.returncode
        return command.problems(code if code in self.codes else self.codes[-1])

    def problems_after(self, folder: Path, whole: Path) -> list[str]:
        """Start the command again without the fault, and compare with an uninterrupted one."""
        results = folder / "disk" / self.results
        again = self.again if (results / "config.yaml").exists() else ()
        return [
            *self.start(folder, *again).wait().problems(0),
            *checks.broken(results),
            *checks.left_over(results),
            *checks.differences(results, whole),
        ]


JOBS = (
    Job("run", (*TINY, "max_num_epochs=60", "save_epochs=10", *CHECKPOINTS,
        "hydra.run.dir=disk/run"), "run", again=("resume=true",)),
    Job("sweep", ("--multirun", *TINY, "max_num_epochs=20", "save_epochs=10",
        "content_weight=1,10", "hydra.sweep.dir=disk/sweep"), "sweep",
        sizes=(*SIZES, 256, 320), codes=(1, ResultsError.exit_code)),
    Job("training", (*TRAINING, "steps=20", "save_steps=5", "validate_steps=10",
        "hydra.run.dir=disk/training"), "training", "nstrep.fast.train",
        sizes=(16, 64, 512, 1024, 1536, 2560)),
    Job("replication", ("scale=smoke", "claims=[mxnet-eps]", "folder=disk/replication"),
        "replication", "nstrep.replicate", sizes=(4, 64, 128, 256)),
)  # fmt: skip


class CannotMount(Exception):
    """The system does not let this process mount."""


def _mount(*arguments: str) -> None:
    try:
        done = subprocess.run(["mount", *arguments], capture_output=True, text=True)
    except FileNotFoundError as error:
        raise CannotMount(str(error)) from None
    if done.returncode:
        raise CannotMount((done.stderr.strip().splitlines() or ["mount"])[-1])


@contextlib.contextmanager
def disk(folder: Path, size: str) -> Iterator[Path]:
    """A tmpfs of a size at ``folder/disk``.

    Raises:
        CannotMount: mounting is not allowed here.

    """
    place = folder / "disk"
    place.mkdir(parents=True, exist_ok=True)
    _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place))
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True, capture_output=True)


def remount(place: Path, options: str) -> None:
    """Change a mounted disk: its size, or whether it is read-only."""
    _mount("-o", f"remount,{options}", str(place))


def lost(before: dict[str, str], results: Path) -> list[str]:
    """Finished runs that were there before a fault and are not the same after it."""
    now = finished(results)
    return [f"{results / name}: was lost" for name in before if now.get(name) != before[name]]


def finished(results: Path) -> dict[str, str]:
    """metrics.json of the finished runs of a folder."""
    return {str(p.relative_to(results)): p.read_text() for p in results.rglob("metrics.json")}


def has_curve(place: Path) -> bool:
    """Whether a run below a folder has begun to optimise."""
    return any(place.rglob("curve.csv"))


def full(row: Row, job: Job, folder: Path, whole: Path, size: int) -> None:
    """A disk that is full before the job ends, and then grows."""
    with disk(folder, f"{size}k") as place:
        row.blame(job.problems(job.start(folder)))
        results = place / job.results
        row.blame(checks.broken(results))
        before = finished(results)
        remount(place, f"size={LARGE}")
        row.blame(job.problems_after(folder, whole))
        row.lose(lost(before, results))


def read_only(row: Row, job: Job, folder: Path, whole: Path, _: int = 0) -> None:
    """A disk that is read-only at the start and after a kill, and then writable."""
    with disk(folder, LARGE) as place:
        remount(place, "ro")
        row.blame(job.problems(job.start(folder)))
        remount(place, "rw")
        killed = job.start(folder)
        killed.wait_until(lambda: has_curve(place))
        killed.kill()
        before = finished(place)
        remount(place, "ro")
        row.blame(job.problems(job.start(folder, *job.again)))
        row.blame(checks.broken(place))
        remount(place, "rw")
        row.blame(job.problems_after(folder, whole))
        row.lose(lost(before, place))


def vanishing(row: Row, job: Job, folder: Path, whole: Path, _: int = 0) -> None:
    """The folder of the results is removed during the run, or moved away."""
    for how in ("removed", "moved"):
        place = folder / how
        results = place / "disk" / job.results
        results.parent.mkdir(parents=True)
        command = job.start(place)
        command.wait_until(lambda place=place: has_curve(place))
        if how == "removed":
            shutil.rmtree(results, ignore_errors=True)
        else:
            results.rename(results.with_name("elsewhere"))
        row.blame(job.problems(command))
        row.blame(checks.broken(place))
        shutil.rmtree(results, ignore_errors=True)
        row.blame(job.problems_after(place, whole))


def unplugged(row: Row, job: Job, folder: Path, whole: Path, _: int = 0) -> None:
    """The disk itself disappears during the run."""
    with disk(folder, LARGE) as place:
        command = job.start(folder)
        command.wait_until(lambda: has_curve(place))
    row.blame(job.problems(command))
    shutil.rmtree(folder / "disk", ignore_errors=True)
    (folder / "disk").mkdir(parents=True)
    row.blame(job.problems_after(folder, whole))


def quota(row: Row, job: Job, folder: Path, whole: Path, size: int) -> None:
    """No file may be larger than so many KiB (RLIMIT_FSIZE), which needs no privilege."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size << 10, hard))
    try:
        command = job.start(folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    row.blame(job.problems(command))
    row.blame(checks.broken(folder / "disk"))
    row.blame(job.problems_after(folder, whole))


FAULTS = {
    "disk full": (full, lambda job: job.sizes),
    "read-only disk": (read_only, lambda job: (0,)),
    "folder vanishes": (vanishing, lambda job: (0,)),
    "disk vanishes": (unplugged, lambda job: (0,)),
    "file size limit": (quota, lambda job: (1, 4, 16)),
}
"""What is done to a job, and with which sizes in KiB."""

SHORT = {"disk full": (96,), "file size limit": (4,)}


def faults(folder: Path, short: bool, seed: int) -> list[Row]:
    rows = []
    for job in JOBS[:1] if short else JOBS:
        whole = folder / job.name / "whole"
        problems = job.start(whole).wait().problems(0)
        for name, (inject, sizes_of) in FAULTS.items():
            if short and name not in SHORT:
                continue
            row = Row(f"{name}, {job.name}")
            if name == "disk full":
                row.blame(problems)
            sizes = SHORT[name] if short else sizes_of(job)
            for size in sizes:
                place = folder / job.name / f"{name}-{size}".replace(" ", "-")
                try:
                    inject(row, job, place, whole / "disk" / job.results, size)
                except CannotMount as error:
                    row.notes = f"skipped: {error}"
                    break
                row.times += 1
                say(f"{row} {size or ''}")
            if not row.notes and sizes != (0,):
                row.notes = "KiB: " + ", ".join(map(str, sizes))
            rows.append(row)
    return rows
