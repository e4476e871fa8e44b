"""Disks that are full, read-only or gone, for real: small tmpfs mounts, limits, removed folders.

The command ends with one plain line and exit code 4, what was written before can be read, and the
same command goes on when there is space again. Where the system does not let this process mount,
the rows say that they were skipped.
"""

from __future__ import annotations

import contextlib
import resource
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from nstrep.base.errors import ResultsError
from tests.faults import checks
from tests.faults.harness import CHECKPOINTS, TINY, TRAINING, Command, Row, faults_of, say

FULL_AT_KIB = (4, 16, 32, 48, 64, 96, 128, 160)
"""Sizes of the disk; a run needs about 200 KiB."""

FULL_AT_KIB_TRAINING = (16, 64, 512, 1024, 1536, 2560)

ROOM = "64m"


@dataclass(frozen=True)
class Job:
    """A command whose results are on the disk at fault."""

    name: str
    arguments: tuple[str, ...]
    results: str
    """Where they are, below the folder ``disk``."""
    module: str = "nstrep.run"
    again: tuple[str, ...] = ()
    sizes: tuple[int, ...] = FULL_AT_KIB
    codes: tuple[int, ...] = (ResultsError.exit_code,)
    """What it may end with; a sweep ends with 1 if it could still tell which of its runs failed."""


JOBS = (
    Job("run", (*TINY, "max_num_epochs=60", "save_epochs=10", *CHECKPOINTS,
        "hydra.run.dir=disk/run"), "run", again=("resume=true",)),
    Job("sweep", ("--multirun", *TINY, "max_num_epochs=20", "save_epochs=10",
        "content_weight=1,10", "hydra.sweep.dir=disk/sweep"), "sweep",
        sizes=(*FULL_AT_KIB, 256, 320), codes=(1, ResultsError.exit_code)),
    Job("training", (*TRAINING, "steps=20", "save_steps=5", "validate_steps=10",
        "hydra.run.dir=disk/training"), "training", "nstrep.fast.train",
        sizes=FULL_AT_KIB_TRAINING),
    Job("replication", ("scale=smoke", "claims=[mxnet-eps]", "folder=disk/replication"),
        "replication", "nstrep.replicate", sizes=(4, 64, 128, 256)),
)  # fmt: skip


class Refused(Exception):
    """The system does not let this process mount."""


def _mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise Refused(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "mount")


@contextlib.contextmanager
def disk(folder: Path, size: str) -> Iterator[Path]:
    """A tmpfs of a size at ``folder/disk``.

    Raises:
        Refused: no mounts here.

    """
    place = folder / "disk"
    place.mkdir(parents=True, exist_ok=True)
    try:
        _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place))
    except FileNotFoundError as error:
        raise Refused(str(error)) from None
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True, capture_output=True)


def remount(place: Path, options: str) -> None:
    """Change a mounted disk: its size, or whether it can be written."""
    _mount("-o", f"remount,{options}", str(place))


def start(job: Job, folder: Path, *more: str) -> Command:
    """Begin a job, from its beginning or where it was."""
    return Command(folder, *job.arguments, *more, module=job.module)


def ends_plainly(command: Command, job: Job) -> list[str]:
    """How a command that met the fault should have ended, and did not."""
    command.wait()
    code = command.process.returncode
    return faults_of(command, code if code in job.codes else job.codes[-1])


def goes_on(job: Job, folder: Path, whole: Path) -> list[str]:
    """Start the command again with the fault gone, and compare with an uninterrupted one."""
    results = folder / "disk" / job.results
    command = start(job, folder, *(job.again if (results / "config.yaml").exists() else ()))
    command.wait()
    return [
        *faults_of(command, 0),
        *checks.broken(results),
        *checks.left_over(results),
        *checks.differences(results, whole),
    ]


def kept(before: dict[str, str], results: Path) -> list[str]:
    """Finished runs that were there before a fault and are not the same after it."""
    now = finished(results)
    return [f"{results / name}: was lost" for name in before if now.get(name) != before[name]]


def finished(results: Path) -> dict[str, str]:
    """metrics.json of the runs of a folder that are over."""
    return {str(p.relative_to(results)): p.read_text() for p in results.rglob("metrics.json")}


def full(row: Row, job: Job, folder: Path, whole: Path, size: int) -> None:
    """A disk that is full before the job is over; then it grows."""
    with disk(folder, f"{size}k") as place:
        row.blame(ends_plainly(start(job, folder), job))
        results = place / job.results
        row.blame(checks.broken(results))
        before = finished(results)
        remount(place, f"size={ROOM}")
        row.blame(goes_on(job, folder, whole))
        row.lose(kept(before, results))


def read_only(row: Row, job: Job, folder: Path, whole: Path, _: int = 0) -> None:
    """A disk that can only be read, at the start and after a kill; then it can be written."""
    with disk(folder, ROOM) as place:
        remount(place, "ro")
        row.blame(ends_plainly(start(job, folder), job))
        remount(place, "rw")
        killed = start(job, folder)
        wait_for(killed, place, "curve.csv")
        killed.kill()
        before = finished(place)
        remount(place, "ro")
        row.blame(ends_plainly(start(job, folder, *job.again), job))
        row.blame(checks.broken(place))
        remount(place, "rw")
        row.blame(goes_on(job, folder, whole))
        row.lose(kept(before, place))


def wait_for(command: Command, place: Path, name: str) -> None:
    """Wait until a file appears somewhere below a folder."""
    while command.alive and command.seconds < 120 and not list(place.rglob(name)):
        time.sleep(0.001)


def vanishing(row: Row, job: Job, folder: Path, whole: Path, _: int = 0) -> None:
    """The folder of the results is removed during the run, or moved away."""
    moved: dict[str, Callable[[Path], object]] = {
        "removed": lambda results: shutil.rmtree(results, ignore_errors=True),
        "moved": lambda results: results.rename(results.with_name("elsewhere")),
    }
    for how, away in moved.items():
        place = folder / how
        (place / "disk").mkdir(parents=True)
        command = start(job, place)
        wait_for(command, place, "curve.csv")
        away(place / "disk" / job.results)
        row.blame(ends_plainly(command, job))
        row.blame(checks.broken(place))
        shutil.rmtree(place / "disk" / job.results, ignore_errors=True)
        row.blame(goes_on(job, place, whole))


def unplugged(row: Row, job: Job, folder: Path, whole: Path, _: int = 0) -> None:
    """The disk itself goes during the run."""
    with disk(folder, ROOM) as place:
        command = start(job, folder)
        wait_for(command, place, "curve.csv")
    row.blame(ends_plainly(command, job))
    shutil.rmtree(folder / "disk", ignore_errors=True)
    (folder / "disk").mkdir(parents=True)
    row.blame(goes_on(job, folder, whole))


def quota(row: Row, job: Job, folder: Path, whole: Path, size: int) -> None:
    """No file may be larger than so many KiB (RLIMIT_FSIZE): a fault that needs no privilege."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size << 10, hard))
    try:
        command = start(job, folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    row.blame(ends_plainly(command, job))
    row.blame(checks.broken(folder / "disk"))
    row.blame(goes_on(job, folder, whole))


FAULTS = {
    "disk full": (full, lambda job: job.sizes),
    "read-only disk": (read_only, lambda job: (0,)),
    "folder vanishes": (vanishing, lambda job: (0,)),
    "disk vanishes": (unplugged, lambda job: (0,)),
    "file size limit": (quota, lambda job: (1, 4, 16)),
}
"""What is done to a job, and with which sizes."""

SHORT = {"disk full": (96,), "file size limit": (4,)}


def faults(folder: Path, short: bool, seed: int) -> list[Row]:
    """All faults of all jobs; a row each."""
    rows = []
    for job in JOBS[:1] if short else JOBS:
        row = Row(f"nothing, {job.name}")
        whole = folder / job.name / "whole"
        command = start(job, whole)
        command.wait()
        row.blame(faults_of(command, 0))
        for name, (inject, sizes) in FAULTS.items():
            if short and name not in SHORT:
                continue
            row = Row(f"{name}, {job.name}", wrong=row.wrong if name == "disk full" else 0,
                      found=row.found if name == "disk full" else [])  # fmt: skip
            for size in SHORT[name] if short else sizes(job):
                place = folder / job.name / f"{name}-{size}".replace(" ", "-")
                try:
                    inject(row, job, place, whole / "disk" / job.results, size)
                except Refused as error:
                    row.notes = f"skipped: {error}"
                    break
                row.times += 1
                say(f"{row.fault} {size or ''}: lost {row.lost}, wrong {row.wrong}")
            if not row.notes and len(sizes(job)) > 1:
                row.notes = "KiB: " + ", ".join(map(str, SHORT[name] if short else sizes(job)))
            rows.append(row)
    return rows
