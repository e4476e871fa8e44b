"""What a sweep does around its runs: Hydra calls it, in the parent and wherever a run runs."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import logging
import math
import os
import threading
import time
from functools import cache
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, read_write

from nstrep.base import environment, process_memory
from nstrep.base.errors import BusyError, NstrepError, ResultsError
from nstrep.base.text import reason
from nstrep.config.fields import split_override
from nstrep.experiment import run_directory
from nstrep.sweeps import directory_names, progress

log = logging.getLogger(__name__)

ORPHAN_SECONDS = 1.0
"""How often a process of a sweep looks whether the sweep is still there."""

watch: progress.Watch | None = None
"""Of the sweep that this process started."""

_made = False
"""Whether the last run in this process was made here, not found."""

_said: set[str] = set()
"""Warnings of this process."""

_notes: Path | None = None
"""Where the processes of the sweep leave word for each other."""


class Sweep(Callback):
    """Hydra's callback; see configs/config.yaml. It is pickled to where the runs run."""

    def __init__(self) -> None:
        self._notes: Path | None = None
        self._parent = os.getpid()
        self._began = 0.0

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Fix the sweep's folder for every run, share the cores out, and begin to watch."""
        global watch
        overrides = what_varies(config)
        added = [f"hydra.sweep.dir={_quoted(str(Path(config.hydra.sweep.dir).absolute()))}"]
        if _named_here(config):
            # In a folder of another name, sweeps with other constants may meet.
            same = [item for item in overrides if not item.is_sweep_override()]
            keys = ",".join(_quoted(item.key_or_group) for item in same)
            added.append(f"hydra.job.config.override_dirname.exclude_keys=[{keys}]")
        with read_write(config.hydra):
            config.hydra.sweep.dir = str(Path(config.hydra.sweep.dir).absolute())
            _search_that_continues(config.hydra.sweeper, list(config.hydra.overrides.hydra))
            config.hydra.overrides.hydra.extend(added)
            together = at_once(config.hydra.sweeper, planned(config, overrides))
            share_machine(config.hydra.launcher, overrides, together)
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            watch = progress.Watch(Path(config.hydra.sweep.dir), planned(config, overrides))
        except ResultsError:  # Hydra will say so in a moment, when it makes the folder itself
            return
        self._notes = watch.notes

    def on_job_start(self, config: DictConfig, **_: Any) -> None:
        """Keep what a run of many says in its log alone, but for warnings that are new."""
        global _notes
        if self._notes is None:
            return
        for handler in logging.getLogger().handlers:
            if not isinstance(handler, logging.FileHandler):
                handler.addFilter(_only_new_warnings)
        if os.getpid() != self._parent:
            os.environ["TQDM_DISABLE"] = "1"  # bars of several processes would overwrite each other
            _end_with(self._parent)
        _notes = self._notes
        _at_work(False)
        self._began = time.monotonic()
        progress.note_start(self._notes, config.hydra.job.num)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **_: Any) -> None:
        """Tell the parent, and keep an error from ending the sweep."""
        if self._notes is None:
            return
        directory = Path(config.hydra.runtime.output_dir)
        failed = job_return.status == JobStatus.FAILED
        error = job_return._return_value if failed else None
        more: dict[str, Any] = {}
        if error is None and _made:
            more["seconds"] = time.monotonic() - self._began
        if error is not None and not isinstance(error, BusyError):
            log.error("failed", exc_info=error)
            run_directory.keep_failure(directory, error)
            more["reason"] = run_directory.about(error)["reason"]
        status = progress.outcome(error, skipped="seconds" not in more)
        run = os.path.relpath(directory, config.hydra.sweep.dir)
        # Hydra keeps these to the end of the sweep, a third of a megabyte a run.
        job_return.cfg = job_return.hydra_cfg = None
        _collect_garbage()
        try:
            progress.note(self._notes, config.hydra.job.num, status, run, **more)
        except ResultsError as untold:
            # The parent would end as if this run had never been: let Hydra hand it the error.
            job_return.status, job_return.return_value = JobStatus.FAILED, error or untold
            return
        if failed and "max_failure_rate" not in config.hydra.sweeper:
            # Hydra would stop at the first failure with more than one batch. Optuna's sweeper has
            # to see failures, and can be told to live with them.
            job_return.status, job_return.return_value = JobStatus.COMPLETED, math.nan


@cache
def _end_with(parent: int) -> None:
    """End this process soon after its parent, if it is one of joblib's.

    Of a sweep that is killed, they would stay for five minutes, with all their memory.
    """

    def watch_parent() -> None:
        while os.getppid() == parent:
            time.sleep(ORPHAN_SECONDS)
        os._exit(1)

    if os.getppid() == parent:
        threading.Thread(target=watch_parent, daemon=True).start()


def _collect_garbage() -> None:
    """What a run leaves in cycles, before the next; modules and the like are looked at once."""
    gc.collect()
    if not gc.get_freeze_count():
        gc.freeze()


def at_work(_: object) -> None:
    """A callback for the steps of a run: it is made here."""
    _at_work(True)


def _at_work(found: bool) -> None:
    global _made
    _made = found


def _named_here(config: DictConfig) -> bool:
    raw = OmegaConf.to_container(config.hydra.sweep, resolve=False)
    return "${nstrep.sweep_name:" in raw["dir"]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "\\'") + "'"


def _only_new_warnings(record: logging.LogRecord) -> bool:
    message = record.getMessage()
    if record.levelno < logging.WARNING or record.exc_info is not None or message in _said:
        return False
    _said.add(message)
    return _is_first(message)


def _is_first(message: str) -> bool:
    """Whether no other process of the sweep has said this."""
    name = hashlib.sha256(message.encode()).hexdigest()[:16]
    try:
        (_notes / f"{name}.said").touch(exist_ok=False)
    except FileExistsError:
        return False
    except OSError:  # better twice than never
        return True
    return True


def what_varies(config: DictConfig) -> list[Override]:
    """The sweep's overrides: an experiment file's hydra.sweeper.params, then what was typed."""
    params = OmegaConf.select(config, "hydra.sweeper.params") or {}
    from_file = [f"{key}={value}" for key, value in params.items()]
    return directory_names.parsed(from_file + list(config.hydra.overrides.task))


def planned(config: DictConfig, overrides: list[Override]) -> int:
    """How many runs the sweep will have: every combination, or as many as a search may try."""
    trials = OmegaConf.select(config, "hydra.sweeper.n_trials")
    if trials is not None:
        return trials
    discrete = [item for item in overrides if item.is_discrete_sweep()]
    return math.prod(sum(1 for _ in item.sweep_string_iterator()) for item in discrete)


def at_once(sweeper: DictConfig, runs: int) -> int:
    """How many of a sweep's runs its sweeper hands over together, at most."""
    batches = (OmegaConf.select(sweeper, key) for key in ("max_batch_size", "n_jobs"))
    return min([runs, *(size for size in batches if size)])


def share_machine(launcher: DictConfig, overrides: list[Override], runs: int) -> None:
    """Share cores and memory out among the runs that are made at the same time.

    joblib's ``n_jobs=-1`` becomes a run a core: so many single-threaded runs take a sixth less time
    than one after another on all cores (docs/performance.md). Runs on a GPU come one by one.
    """
    plugin = launcher._target_.split(".")[1].removeprefix("hydra_").removesuffix("_launcher")
    cores = environment.physical_cores()
    if plugin == "joblib":
        if launcher.n_jobs < 1:
            launcher.n_jobs = 1 if _on_a_gpu(overrides) else max(1, min(cores, runs))
        process_memory.share_memory(launcher.n_jobs)
        _hide_what_joblib_warns_of()
    asked = {
        "joblib": lambda: cores // launcher.n_jobs,
        "submitit": lambda: launcher.cpus_per_task or 1,
        "ray": lambda: OmegaConf.select(launcher, "ray.remote.num_cpus") or 1,
    }
    if plugin in asked:
        environment.share_threads(max(1, int(asked[plugin]())))


def _hide_what_joblib_warns_of() -> None:
    """After Ctrl-C, that it tidies up after its processes."""
    given = os.environ.get("PYTHONWARNINGS")
    hidden = "ignore:resource_tracker:UserWarning"
    os.environ["PYTHONWARNINGS"] = f"{given},{hidden}" if given else hidden


def _on_a_gpu(overrides: list[Override]) -> bool:
    typed = [item.get_value_string() for item in overrides if item.key_or_group == "gpu"]
    return any(value != "-1" for value in typed)


def _search_that_continues(sweeper: DictConfig, typed: list[str]) -> None:
    """Optuna's defaults end a search at the first failure and draw other trials every time."""
    given = {split_override(item)[0] for item in typed}
    if "max_failure_rate" in sweeper and "hydra.sweeper.max_failure_rate" not in given:
        sweeper.max_failure_rate = 1.0
    sampler = sweeper.get("sampler") or {}
    if "seed" in sampler and "hydra.sweeper.sampler.seed" not in given and not sweeper.storage:
        sampler.seed = 0


def close(error: NstrepError | None) -> int:
    """End the sweep that this process started: closing line, summary, exit code."""
    code = watch.close(error)
    if watch.seen:
        _summarise(watch.sweep)
    return code


def _summarise(folder: Path) -> None:
    try:
        from nstrep import collect

        collect.collect(folder)
    except (NstrepError, OSError) as error:
        progress.say(f"summary.csv: cannot be written ({reason(error)})")
    else:
        place = folder / "summary.csv"
        with contextlib.suppress(ValueError):
            place = place.relative_to(Path.cwd())
        progress.say(f"summary: {place}")
