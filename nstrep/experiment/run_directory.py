"""The run directory: names of its files, the lock on it, its configuration, metrics and failure.

metrics.json is written last: a directory without it holds a run that did not end.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import math
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from omegaconf import OmegaConf

from nstrep.base import environment
from nstrep.base.errors import BusyError, InputError, NstrepError, ResultsError
from nstrep.base.files import atomic_write, holds, remove_unfinished, writing
from nstrep.base.text import reason, shown
from nstrep.base.untrusted import MOST_JSON, read_json, read_text

log = logging.getLogger(__name__)

CONFIG, CURVE, METRICS, FAILED = "config.yaml", "curve.csv", "metrics.json", "failed.json"
FINAL, RAW, LOSS = "final.png", "raw.npz", "loss.png"
LAST_GOOD = "last_good.png"  # instead of final.png, of a run that diverged or was interrupted
SNAPSHOTS, TENSORBOARD, DENOISED = "snapshots", "tensorboard", "denoised"
CHECKPOINT = "checkpoint.npz"
LOG, HYDRA, LOCK = "run.log", ".hydra", ".lock"
LOGS = (LOG, "train.log")
PROGRESS = ".progress"  # in the folder of a sweep: one folder a process that started it
TIME = "%Y-%m-%dT%H:%M:%S%z"

# What is removed before a run continues from its checkpoint, and before it starts again. The log
# is kept and continued.
AT_THE_END = (METRICS, FAILED, FINAL, LAST_GOOD, RAW, LOSS, DENOISED)
ALL = (*AT_THE_END, CONFIG, CURVE, SNAPSHOTS, TENSORBOARD, CHECKPOINT)

# By what a folder is known to be of a command: files, each with a text in it.
RUN = {CONFIG: "max_num_epochs:", METRICS: '"losses_at_start"', FAILED: '"exit_code"'}
TRAINING = {CONFIG: "batch_size:", METRICS: '"validation_of_identity"', FAILED: '"exit_code"'}
SWEEP = dict.fromkeys(("multirun.yaml", f"*/{HYDRA}/hydra.yaml"), "nstrep.")
SWEEP[f"*/{CONFIG}"] = "content_layers:"


def refuse_foreign(
    folder: Path, marks: Mapping[str, str] = RUN, key: str = "hydra.run.dir", *,
    logs_count: bool = False,
) -> None:  # fmt: skip
    """Refuse a folder for results unless it is new, empty, or of an earlier such command.

    ``marks`` tell the command's own folders: one of these files has the text beside it. InputError
    if the folder holds anything else, which the command could replace. ``logs_count`` is for a
    caller before the logging begins: a log without Hydra's settings of nstrep is not the command's.
    """
    with writing(shown(folder)):
        names = foreign(folder, marks, logs_count)
    if names:
        some = ", ".join(map(shown, names[:3])) + (", ..." if len(names) > 3 else "")
        raise InputError(
            f"{key}={shown(folder)}: holds other files than results of this command ({some});"
            " name a new or an empty folder"
        )


def foreign(folder: Path, marks: Mapping[str, str], logs_count: bool = False) -> list[str]:
    """What a folder holds if it is not of a command; what precedes a run's start does not count."""
    if not folder.exists():
        return []
    settings = folder / HYDRA / "hydra.yaml"
    before = {LOCK, PROGRESS}
    if not settings.exists():
        before |= {HYDRA} if logs_count else {HYDRA, *LOGS}
    elif holds(settings, "nstrep."):
        before |= {HYDRA, *LOGS}
    names = sorted({entry.name for entry in folder.iterdir()} - before)
    names = [name for name in names if not name.startswith(".") or ".tmp" not in name]
    ours = (holds(file, mark) for pattern, mark in marks.items() for file in folder.glob(pattern))
    return [] if any(ours) else names


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold a directory, made if missing, for this block; BusyError if it is held already.

    The lock is the kernel's and ends with the process, however that ends.
    """
    path = directory / LOCK
    lock = FileLock(path, timeout=0)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise BusyError(f"{directory}: another process is at work there") from None
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP):
            raise ResultsError(f"{directory}: cannot be written ({reason(error)})") from None
        log.warning("%s: this file system has no locks; start one process at a time", path)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()  # while it is held: filelock refuses a file that was removed
        lock.release()


def claim(directory: Path, config: Any, *, resumes: bool = False) -> None:
    """Write config.yaml of a run that begins, or resumes one, in a :func:`locked` directory."""
    if (directory / CONFIG).exists() and not resumes:
        raise InputError(
            f"hydra.run.dir={directory}: holds a run already; name another folder, or type"
            " resume=true to continue it"
        )
    with atomic_write(directory / CONFIG) as temporary:
        temporary.write_text(OmegaConf.to_yaml(OmegaConf.structured(config)))


def clear(directory: Path, names: Sequence[str] = ALL) -> None:
    """Remove these files and folders of an earlier run from a :func:`locked` directory."""
    try:
        # First, so that nobody takes a directory that is half removed for a result.
        (directory / METRICS).unlink(missing_ok=True)
        for path in (directory / name for name in names):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    except OSError as error:
        raise ResultsError(f"{directory}: cannot be cleared ({reason(error)})") from None
    remove_unfinished(directory)


def remove_unstarted(directory: Path) -> None:
    """Remove what precedes a run from a directory in which none began.

    The callback of :mod:`nstrep.sweeps.run_callback` removes the directory if this process made it.
    """
    with contextlib.suppress(OSError):
        if not any((directory / name).exists() for name in (CONFIG, CURVE)):
            shutil.rmtree(directory / HYDRA, ignore_errors=True)
            for name in LOGS:
                (directory / name).unlink(missing_ok=True)


def stored(directory: Path, name: str = METRICS) -> dict[str, Any] | None:
    """Content of metrics.json or failed.json; None if the file is missing or damaged."""
    try:
        content = read_json(read_text(directory / name, MOST_JSON))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def write_metrics(directory: Path, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Write metrics.json with threads, versions and time; NaN and infinity become null."""
    content = {
        **_without_nan(metrics),
        "threads": environment.threads(),
        "versions": environment.versions(),
        "finished": time.strftime(TIME),
    }
    with atomic_write(directory / METRICS) as temporary:
        temporary.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n")
    return content


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


@contextlib.contextmanager
def failures_kept(directory: Path) -> Iterator[None]:
    """Make an OSError a ResultsError, and write failed.json of any error without metrics.json."""
    try:
        with writing(directory):
            yield
    except Exception as error:
        keep_failure(directory, error)
        raise


def keep_failure(directory: Path, error: Exception) -> None:
    """Write failed.json unless there is a metrics.json, or the disk or others' files forbid it."""
    if (directory / METRICS).exists():
        return
    with contextlib.suppress(OSError, ResultsError):
        if foreign(directory, RUN) and foreign(directory, TRAINING):
            return
        with atomic_write(directory / FAILED) as temporary:
            temporary.write_text(json.dumps(about(error), indent=2) + "\n")


def about(error: Exception) -> dict[str, Any]:
    """What failed.json contains of an error: kind, reason in one line, exit code and time."""
    return {
        "status": "failed",
        "error": type(error).__name__,
        "reason": str(error) if isinstance(error, NstrepError) else reason(error),
        "exit_code": getattr(error, "exit_code", NstrepError.exit_code),
        "finished": time.strftime(TIME),
    }
