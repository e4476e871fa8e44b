"""What lets a run be continued or tried again: what it is, who is at it, and how it failed."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from nstrep.base.errors import BusyError, NstrepError, ResultsError
from nstrep.base.files import atomic_write, remove_unfinished
from nstrep.base.text import reason
from nstrep.base.untrusted import MOST_JSON, read_json, read_text
from nstrep.config.schema import INITS, ExperimentConfig, walk
from nstrep.experiment.checkpoint import CHECKPOINT

log = logging.getLogger(__name__)

METRICS, FAILED, LOCK = "metrics.json", "failed.json", ".lock"

LEFT_BY_A_RUN = (
    "config.yaml", "curve.csv", METRICS, FAILED, "final.png", "last_good.png", "raw.npz",
    "loss.png", "snapshots", "tensorboard", "denoised", CHECKPOINT,
)  # fmt: skip
"""What is removed before a run is tried again. Its log is kept and grows."""

LEFT_AT_THE_END = (METRICS, FAILED, "final.png", "last_good.png", "raw.npz", "loss.png", "denoised")
"""What is removed before a run goes on at its checkpoint."""

NOT_IN_IDENTITY = (
    "content.", "style.", "content_image", "style_image", "styles", "content_masks", "style_masks",
    "weights.path", "model.name", "assets.", "recipe.", "from_image", "objective", "tile",
    "resume", "checkpoint_seconds",
)  # fmt: skip
"""Keys that decide nothing, or by nothing but a file whose hash is in the identity."""


def identity(config: ExperimentConfig, inputs: dict[str, Any]) -> str:
    """SHA-256 over what decides a result: settings, pictures and weights; 64 hexadecimal digits.

    Names, places and descriptions are left out, so that a moved folder is the same experiment.

    Args:
        config: the experiment.
        inputs: what it reads, with hashes; see :class:`nstrep.experiment.run.Prepared`.

    """
    settings = {key: value for key, _, value in walk(config) if not key.startswith(NOT_IN_IDENTITY)}
    if config.init not in INITS:
        settings["init"] = "file"
    whole = {"settings": settings, "inputs": _hashes(inputs), "network": inputs["model"]["name"]}
    text = json.dumps(whole, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


def _hashes(node: Any) -> Any:
    if isinstance(node, list):
        return [_hashes(item) for item in node]
    if not isinstance(node, dict):
        return None
    if "sha256" in node:
        # Random weights come from the seed, and their last digits from the machine.
        return "random" if node.get("source") == "random" else node["sha256"]
    return {name: _hashes(item) for name, item in node.items()}


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold a directory, made if missing, for this block: one process and one block at a time.

    The lock is the kernel's, on a file that is removed at the end: it ends with the process,
    however that ends, so that nothing stale is left to clean up.

    Raises:
        BusyError: somebody holds it.
        ResultsError: the directory cannot be made or written.

    """
    path = directory / LOCK
    try:
        directory.mkdir(parents=True, exist_ok=True)
        descriptor = _acquire(path)
    except BlockingIOError:
        raise BusyError(f"{directory}: another process is at work there") from None
    except OSError as error:
        raise ResultsError(f"{directory}: cannot be written ({reason(error)})") from None
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(descriptor)


def _acquire(path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The last holder may have removed the file between the two calls above.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), path.stat()):
                    return descriptor
        except BlockingIOError:
            os.close(descriptor)
            raise
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
                os.close(descriptor)
                raise
            log.warning("%s: this file system has no locks; start one process at a time", path)
            return descriptor
        os.close(descriptor)


def stored(directory: Path, name: str = METRICS) -> dict[str, Any] | None:
    """What a run's metrics.json or failed.json holds; None if it is missing or damaged."""
    try:
        found = read_json(read_text(directory / name, MOST_JSON))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def clear(directory: Path, names: Sequence[str] = LEFT_BY_A_RUN) -> None:
    """Remove what an earlier try left in a directory that is :func:`locked`; metrics.json first.

    Args:
        directory: of the run.
        names: of the files and folders that such a run leaves.

    Raises:
        ResultsError: something cannot be removed.

    """
    try:
        # First, so that no reader and no later try takes what is half removed for a result.
        (directory / METRICS).unlink(missing_ok=True)
        for name in names:
            path = directory / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    except OSError as error:
        raise ResultsError(f"{directory}: cannot be cleared ({reason(error)})") from None
    remove_unfinished(directory)


@contextlib.contextmanager
def failures_kept(directory: Path) -> Iterator[None]:
    """Leave failed.json if the block ends with an error and the directory has no metrics.json."""
    try:
        yield
    except Exception as error:
        keep_failure(directory, error)
        raise


def keep_failure(directory: Path, error: Exception) -> None:
    """Write failed.json, as far as the disk lets: kind, reason in one line, exit code, time."""
    if (directory / METRICS).exists():
        return
    with contextlib.suppress(ResultsError), atomic_write(directory / FAILED) as temporary:
        temporary.write_text(json.dumps(about(error), indent=2) + "\n")


def about(error: Exception) -> dict[str, Any]:
    """What failed.json says of an error."""
    return {
        "status": "failed",
        "error": type(error).__name__,
        "reason": str(error) if isinstance(error, NstrepError) else reason(error),
        "exit_code": getattr(error, "exit_code", NstrepError.exit_code),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
