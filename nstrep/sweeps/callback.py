"""Hydra's callback for sweeps: prepares a sweep in the process that starts it, and closes it.

What happens around a single run, in whichever process computes it, is in job.py.
"""

from __future__ import annotations

import gc
import math
import os
import signal
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar

from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, read_write

from nstrep.base import environment, process_memory
from nstrep.base.errors import InputError, NstrepError, Refused
from nstrep.base.text import reason
from nstrep.config.fields import split_override
from nstrep.experiment import run_directory
from nstrep.sweeps import directory_names, job
from nstrep.sweeps.directory_names import quoted
from nstrep.sweeps.progress import Progress, say


class SweepCallback(Callback):
    """Registered in configs/config.yaml. Hydra pickles it into the processes of the runs."""

    progress: ClassVar[Progress | None] = None
    """Progress of the sweep that this process started; None in the processes of the runs."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Prepare the sweep before Hydra creates its sweeper."""
        try:
            prepare(config)
        except Exception as error:  # which Hydra would turn into a warning
            raise Refused(error) from error

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **_: Any) -> None:
        """Free memory: Hydra keeps the configurations of all runs, a third of a megabyte each."""
        if config.hydra.mode == RunMode.RUN:  # the process ends
            return
        job_return.cfg = job_return.hydra_cfg = None
        gc.collect()
        if not gc.get_freeze_count():
            gc.freeze()  # modules and the like need no second look


def prepare(config: DictConfig) -> None:
    """Set the sweep's folder, divide the cores, and start to print the progress.

    The runs compose their configuration anew; ``hydra.overrides.hydra`` reaches them.
    """
    # hydra.sweeper.params of an experiment file, then the command line
    params = OmegaConf.select(config, "hydra.sweeper.params") or {}
    from_file = [f"{key}={value}" for key, value in params.items()]
    overrides = directory_names.parsed([*from_file, *config.hydra.overrides.task])
    folder = Path(config.hydra.sweep.dir).absolute()
    run_directory.refuse_foreign(folder, run_directory.SWEEP, "hydra.sweep.dir")
    runs = OmegaConf.select(config, "hydra.sweeper.n_trials")  # of a search
    if runs is None:  # all combinations of the swept values
        discrete = [item for item in overrides if item.is_discrete_sweep()]
        counts = [sum(1 for _ in item.sweep_string_iterator()) for item in discrete]
        runs = math.prod(counts)
        if not runs:
            key = discrete[counts.index(0)].key_or_group
            raise InputError(f"{key}: no value is given; the sweep would have no run")
    added = {"hydra.sweep.dir": quoted(folder)}
    if "${nstrep.sweep_name:" in OmegaConf.to_container(config.hydra.sweep, resolve=False)["dir"]:
        # In a folder that the user named, sweeps with other constants may meet.
        keys = [quoted(item.key_or_group) for item in overrides if not item.is_sweep_override()]
        added["hydra.job.config.override_dirname.exclude_keys"] = f"[{','.join(keys)}]"
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    with read_write(config.hydra):
        config.hydra.sweep.dir = str(folder)
        _let_search_continue(config.hydra.sweeper, config.hydra.overrides.hydra)
        share_machine(config.hydra.launcher, overrides, at_once(config.hydra.sweeper, runs))
        SweepCallback.progress = Progress(folder, runs)
        _stop_runs_first(SweepCallback.progress.reports)
        added[f"++hydra.job.env_set.{job.REPORTS}"] = quoted(SweepCallback.progress.reports)
        added[f"++hydra.job.env_set.{job.PARENT}"] = quoted(os.getpid())
        config.hydra.overrides.hydra.extend([f"{key}={value}" for key, value in added.items()])


def _stop_runs_first(reports: Path) -> None:
    """At a signal, let the processes of runs write their checkpoints: joblib kills them at once."""

    def handler(usual: Callable, number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a second Ctrl-C does not wait
        told, deadline = set(), time.monotonic() + job.PATIENCE
        while (at_work := {*reports.glob(f"*{job.AT_WORK}")}) and time.monotonic() < deadline:
            for path in at_work - told:
                try:
                    os.kill(int(path.name.removesuffix(job.AT_WORK)), signal.SIGTERM)
                except ProcessLookupError:
                    path.unlink(missing_ok=True)
            told |= at_work
            time.sleep(0.05)
        usual(number, frame)

    for number in (signal.SIGINT, signal.SIGTERM):
        if callable(usual := signal.getsignal(number)):
            signal.signal(number, partial(handler, usual))


def close(error: NstrepError | None) -> int:
    """End the sweep, early for an error: print, write the summary, return the exit code."""
    progress = SweepCallback.progress
    code = progress.close(error)
    if progress.ended:
        from nstrep.analysis import run_reader, summary  # slow, and no run needs them

        try:
            summary.write(run_reader.load_sweep(progress.sweep))
            say(f"summary: {os.path.relpath(progress.sweep / 'summary.csv')}")
        except (NstrepError, OSError) as problem:
            say(f"summary.csv: cannot be written ({reason(problem)})")
    return code


def at_once(sweeper: DictConfig, runs: int) -> int:
    """Largest number of runs that the sweeper passes to the launcher together."""
    batches = (OmegaConf.select(sweeper, key) for key in ("max_batch_size", "n_jobs"))
    return min([runs, *(size for size in batches if size)])


def share_machine(launcher: DictConfig, overrides: list[Override], runs: int) -> None:
    """Divide cores and memory among the runs that are computed at the same time.

    joblib's ``n_jobs=-1`` becomes one process per core: single-threaded runs side by side take a
    sixth less time than consecutive runs on all cores (docs/performance.md). On a GPU, one run
    follows the other.
    """
    plugin = launcher._target_.split(".")[1].removeprefix("hydra_").removesuffix("_launcher")
    cores = environment.physical_cores()
    if plugin == "joblib":
        if launcher.n_jobs < 1:
            gpus = [item.get_value_string() for item in overrides if item.key_or_group == "gpu"]
            on_gpu = any(gpu != "-1" for gpu in gpus)
            launcher.n_jobs = 1 if on_gpu else max(1, min(cores, runs))
        process_memory.share_memory(launcher.n_jobs)
        # After Ctrl-C, joblib's resource tracker would warn that it cleans up.
        warnings = [os.environ.get("PYTHONWARNINGS"), "ignore:resource_tracker:UserWarning"]
        os.environ["PYTHONWARNINGS"] = ",".join(filter(None, warnings))
        threads = cores // launcher.n_jobs
    elif plugin == "submitit":
        threads = launcher.cpus_per_task or 1
    elif plugin == "ray":
        threads = OmegaConf.select(launcher, "ray.remote.num_cpus") or 1
    else:
        return
    environment.share_threads(max(1, int(threads)))


def _let_search_continue(sweeper: DictConfig, typed: Iterable[str]) -> None:
    """Replace two defaults of Optuna: stop at the first failure, and other trials every time."""
    given = {split_override(item)[0] for item in typed}
    if "max_failure_rate" in sweeper and "hydra.sweeper.max_failure_rate" not in given:
        sweeper.max_failure_rate = 1.0
    sampler = sweeper.get("sampler") or {}
    if "seed" in sampler and "hydra.sweeper.sampler.seed" not in given and not sweeper.storage:
        sampler.seed = 0
