"""The command line: Hydra composes, the schema checks, and every error is one plain line."""

from __future__ import annotations

import logging
import math
import os
import re
import shlex
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import env_override
from hydra.errors import CompactHydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from nstrep.base.command_line import closed_pipe_is_quiet, fail
from nstrep.base.errors import (  # fmt: skip
    BusyError,
    InputError,
    NstrepError,
    Refused,
    ResultsError,
    StoppedError,
    WorkerError,
)
from nstrep.base.files import check_current_folder
from nstrep.base.signals import exit_code, sigterm_interrupts
from nstrep.base.text import reason, shown
from nstrep.config.checks import check
from nstrep.config.fields import absolute_paths
from nstrep.config.folder import config_folder, register_schema
from nstrep.config.messages import did_you_mean, explain, unknown_key
from nstrep.config.schema import ExperimentConfig
from nstrep.config.typed_keys import REPLACED, check_no_sweep, check_typed, typed_overrides
from nstrep.experiment import run_directory
from nstrep.experiment.from_image import rerun, resumed
from nstrep.overrides import arranged
from nstrep.sweeps import callback, directory_names
from nstrep.sweeps.job import SweepJob

log = logging.getLogger(__name__)

WORKER_DEATHS = (
    "TerminatedWorkerError", "BrokenProcessPool", "UncompletedJobError", "WorkerCrashedError",
)  # fmt: skip
"""Names of the errors of joblib, submitit and Ray for it; the latter two are extras."""

OUT_OF_MEMORY = "could not (execute|create) a |Failed to allocate|bad_alloc|std::length_error"
"""In the messages of MXNet and oneDNN."""

PLUGINS = {
    "hydra/launcher": {"submitit_local": "slurm", "submitit_slurm": "slurm", "ray": "ray"},
    "hydra/sweeper": {"optuna": "optuna"},
}
"""Options that Hydra has only with an extra of this package, and the extra."""

EXPLAINED = {
    'Could not detect "srun"': "hydra/launcher=slurm: there is no srun here; start it on the"
    " cluster",
    "does not support sweep type": "only a search takes ranges such as interval(1,2): run "
    " pip install 'nstrep[optuna]'  and add hydra/sweeper=optuna; or list the values, as in"
    " content_weight=10,20",
    "Config group override must be": "an override: must be GROUP=OPTION, with a name as option"
    " ({reason})",
    "range() arg 3 must not be zero": "range(START,STOP,STEP): STEP must not be 0 ({reason})",
    "Unable to configure": "hydra.job_logging, hydra.hydra_logging: must be settings of logging"
    " ({reason})",
}
"""Parts of the messages of Hydra and its plugins, and what is wrong with the user's input."""

# Here, because workers import this module.
register_schema()
directory_names.register_resolvers()


def job(composed: DictConfig) -> float:
    """Run the experiment that Hydra composed; in a sweep, unless it is there already.

    The number that ``objective`` names is returned, for a sweeper that searches.
    """
    if HydraConfig.get().mode == RunMode.RUN:
        return _experiment(composed)
    with SweepJob(HydraConfig.get()) as sweep_job:
        return _experiment(composed, sweep_job)
    return math.nan  # failed: SweepJob has reported it


def run_folder() -> Path:
    """The folder of the run that Hydra started. Paths stay relative to where the user is."""
    runtime = HydraConfig.get().runtime
    if HydraConfig.get().job.chdir:  # nstrep writes nothing to the current folder
        os.chdir(runtime.cwd)
    return Path(runtime.output_dir)


def _experiment(composed: DictConfig, sweep_job: SweepJob | None = None) -> float:
    directory = run_folder()
    single = sweep_job is None
    try:
        typed = typed_overrides()
        if single:
            params = HydraConfig.get().sweeper.get("params")
            check_no_sweep(params, typed, "which needs --multirun")
        composed, made_from = rerun(composed)
        config = check(resumed(composed, directory) if single else composed)
        check_typed(config, typed)
        absolute_paths(config)
        # Loads MXNet: only once the configuration is known good.
        from nstrep.experiment import results, run

        if single and not config.resume:
            metrics = run.run(config, directory, made_from)
        else:
            metrics = run.run_once(
                config, directory, made_from, anew=not single,
                callback=None if single else sweep_job.on_step,
            )  # fmt: skip
        if single:
            _say_more(config, directory, metrics["model"]["name"])
        return results.measure(metrics, config.objective)
    except KeyboardInterrupt:
        if single and (directory / run_directory.CONFIG).exists():
            log.warning("interrupted; to continue:  %s", resume_command(directory))
        raise
    except Exception as error:
        if not single:
            raise
        raise refused(error, directory) from error


def refused(error: Exception, directory: Path) -> Refused:
    """The error of a single run, past Hydra, and in its log unless it has not begun."""
    if isinstance(error, InputError):
        run_directory.remove_unstarted(directory)
    elif not isinstance(error, BusyError):
        unexpected = None if isinstance(error, NstrepError) else error
        record = log.makeRecord(
            log.name, logging.ERROR, __file__, 0, str(plain_error(error)), (),
            unexpected and (type(error), error, error.__traceback__),
        )  # fmt: skip
        for handler in logging.getLogger().handlers:
            if isinstance(handler, logging.FileHandler):  # main prints it on the terminal
                handler.handle(record)
    return Refused(error)


def same_command() -> str:
    """The command of this process, to paste into a shell."""
    return shlex.join(sys.orig_argv)


def resume_command(directory: Path) -> str:
    """The command that continues the run in a directory, to paste into a shell."""
    place = str(directory)
    if not re.fullmatch(r"[\w./+-]+", place, re.ASCII):  # means something to Hydra's grammar
        place = "'" + re.sub(r"(\\*)('|\$(?=\{))", r"\1\1\\\2", place) + "'"
    place = f"hydra.run.dir={place}"
    readable = place.startswith("hydra.run.dir='") and not re.search(r'[\\"$`!]', place)
    place = f'"{place}"' if readable else shlex.quote(place)
    return f"{shlex.quote(sys.orig_argv[0])} -m nstrep.run resume=true {place}"


def _say_more(config: ExperimentConfig, directory: Path, model: str) -> None:
    """After a run of images by name, which may be the user's first: what else there is."""
    if not (config.content_image or config.style_image or config.styles or config.from_image):
        folder = shlex.quote(os.path.relpath(directory))
        vgg = "; the real VGG-19: nstrep assets" if model == "vgg19_slim" else ""
        log.info("see more: nstrep report %s; other styles: nstrep run --help%s", folder, vgg)


def main(
    task: Callable[[DictConfig], Any] = job,
    config_name: str = "config",
    schema: type = ExperimentConfig,
) -> None:
    """Run the command line; ends the process with the error's exit code.

    Hydra composes the file ``config_name`` of configs/, whose keys are those of ``schema``, and
    calls ``task`` with it.
    """
    full = os.environ.get("HYDRA_FULL_ERROR") == "1"
    warnings.filterwarnings("ignore", module="hydra")  # its errors come as one line
    command = hydra.main(
        version_base="1.3", config_path=str(config_folder()), config_name=config_name
    )(task)
    plain: NstrepError | None = None
    with closed_pipe_is_quiet():
        try:
            check_current_folder()
            sys.argv[1:] = arranged(sys.argv[1:], schema)
            # So that errors reach the lines below.
            with env_override({"HYDRA_FULL_ERROR": "1"}), sigterm_interrupts():
                command()
        except KeyboardInterrupt as stop:
            plain = StoppedError(f"interrupted; the same command continues:  {same_command()}")
            plain.exit_code = exit_code(stop)
        except (Exception, Refused) as error:
            if full or isinstance(error, BrokenPipeError):
                raise
            plain = plain_error(error.error if isinstance(error, Refused) else error, schema)
    if callback.SweepCallback.progress is not None:
        sys.exit(callback.close(plain))
    if plain is not None:
        if isinstance(plain, StoppedError):  # the run has said so
            sys.exit(plain.exit_code)
        fail(plain)


def plain_error(error: Exception, schema: type = ExperimentConfig) -> NstrepError:
    """The error with a one-line message and an exit code for any exception."""
    if isinstance(error, NstrepError):
        return error
    if isinstance(error, MissingConfigException):
        return InputError(_unknown_option(error))
    if isinstance(error, OverrideParseException):
        return InputError(_unreadable(error.override))
    if isinstance(error, CompactHydraException):
        return InputError(_unknown_key(error, schema))
    if isinstance(error, OmegaConfBaseException):
        return InputError(explain(error, schema))
    if type(error).__name__ in WORKER_DEATHS:
        return WorkerError(
            "a worker process was killed, perhaps for lack of memory; the same command continues"
        )
    if "No trials are completed" in str(error):
        return NstrepError("hydra/sweeper=optuna: no trial finished, so that there is no best one")
    if "--experimental-rerun" in sys.argv and isinstance(error, (ValueError, OSError)):
        return InputError(f"--experimental-rerun: {reason(error)}")
    if isinstance(error, MemoryError) or re.search(OUT_OF_MEMORY, str(error)):
        return NstrepError(
            f"out of memory ({reason(error)}): take a smaller max_long_edge, tile=auto, or fewer"
            " optimizer.corrections"
        )
    for part, explanation in EXPLAINED.items():
        if part in str(error):
            return InputError(explanation.format(reason=reason(error)))
    if isinstance(error, OSError):
        return ResultsError.of(error)
    return NstrepError(
        f"unexpected {type(error).__name__}: {reason(error)};"
        " HYDRA_FULL_ERROR=1 in the environment shows where, please report it"
    )


def _unreadable(override: str) -> str:
    if "=" not in override:
        example = f", such as content_image={override}" if os.path.exists(override) else ""
        return f"{shown(override)}: must be KEY=VALUE{example}"
    key, _, value = override.partition("=")
    hint = (
        "close its quotes" if re.search("['\"]", value) else f"quote it twice: {key}=\"'{value}'\""
    )
    return f"{override}: cannot be read as KEY=VALUE; {hint}"


def _unknown_option(error: MissingConfigException) -> str:
    group, _, name = (error.missing_cfg_file or "").rpartition("/")
    if not group:
        return reason(error)
    if group in REPLACED and (os.path.exists(name) or Path(name).suffix):
        return f"{group}={name}: for a file, type {group}_image={name}"
    plugins = PLUGINS.get(group, {})
    if name in plugins:
        return f"{group}={name}: is not installed: run  pip install 'nstrep[{plugins[name]}]'"
    found = [option for option in (error.options or []) if option != "schema"]
    options = sorted({*found, *plugins} - {"submitit_slurm"})  # which is called slurm here
    extras = " (docs/sweeps.md says which need an extra)" if plugins else ""
    return (
        f"{group}={name}: must be one of {', '.join(options)}{extras}{did_you_mean(name, options)}"
    )


def _unknown_key(error: CompactHydraException, schema: type) -> str:
    if isinstance(error.__cause__, OmegaConfBaseException):
        return explain(error.__cause__, schema)
    if override := re.search(r"Could not override '([^']+)'", str(error)):
        return unknown_key(override.group(1), schema)
    if several := re.search(r"Ambiguous value for argument '([^']+)'", str(error)):
        return f"{several.group(1)}: several values need --multirun"
    return reason(error)
