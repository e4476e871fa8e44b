"""The command line: Hydra composes, the schema checks, and every error is one plain line."""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import env_override
from hydra.errors import CompactHydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from nstrep.base.errors import (
    InputError,
    NstrepError,
    Refused,
    ResultsError,
    StoppedError,
    WorkerError,
)
from nstrep.base.text import reason
from nstrep.config.schema import (
    ExperimentConfig,
    check,
    config_folder,
    explain,
    group_options,
    unknown_key,
)
from nstrep.experiment.from_image import again, continued
from nstrep.sweeps import callback, directory_names

WORKER_DEATHS = (
    "TerminatedWorkerError", "BrokenProcessPool", "UncompletedJobError", "WorkerCrashedError",
)  # fmt: skip
"""What joblib, submitit and Ray raise for it, by name: the latter two are extras."""

PLUGINS = {"submitit_local": "slurm", "submitit_slurm": "slurm", "ray": "ray", "optuna": "optuna"}
"""Launchers and sweepers that are extras of this package."""

FILE_KEYS = (
    "from_image", "from_image_root", "content_image", "style_image", "init", "weights.path",
    "data.dir",
)  # fmt: skip


# Workers import this module, so that they know these too.
ConfigStore.instance().store(name="schema", node=ExperimentConfig)
directory_names.register()


def job(composed: DictConfig) -> float:
    """Run the experiment that Hydra composed; in a sweep, unless it is there already.

    Returns:
        The number that ``objective`` names, for a sweeper that searches.

    """
    directory = Path(HydraConfig.get().runtime.output_dir)
    single = HydraConfig.get().mode == RunMode.RUN
    try:
        composed, made_from = again(composed)
        config = check(continued(composed, directory) if single else composed)
        absolute_paths(config)
        # Loads MXNet: only once the configuration is known good.
        from nstrep.experiment import results, run

        if single and not config.resume:
            metrics = run.run(config, directory, made_from)
        else:
            metrics = run.run_once(
                config, directory, made_from, anew=not single, callback=callback.at_work
            )
        return results.measure(metrics, config.objective)
    except NstrepError as error:
        if not single:
            raise
        if isinstance(error, InputError):
            leave_nothing(directory)
        raise Refused(error) from error


def absolute_paths(config: ExperimentConfig) -> None:
    """Make files absolute, so that a result finds them again from any folder."""
    for key in ("content_image", "style_image"):
        value = getattr(config, key)
        if value is not None:
            setattr(config, key, _absolute(value))
    if config.weights.path not in (None, "random"):
        config.weights.path = _absolute(config.weights.path)
    for key in ("content_masks", "style_masks"):
        setattr(config, key, [_absolute(file) for file in getattr(config, key)])
    named = group_options("style")
    config.styles = [style if style in named else _absolute(style) for style in config.styles]
    if config.init not in ("content", "style", "noise"):
        config.init = _absolute(config.init)


def _absolute(file: str) -> str:
    return str(Path(os.path.expanduser(file)).absolute())


def leave_nothing(directory: Path) -> None:
    """Remove a run directory in which no run began, so that it does not look like a result."""
    with contextlib.suppress(OSError):
        if not any((directory / name).exists() for name in ("config.yaml", "curve.csv")):
            shutil.rmtree(directory / ".hydra", ignore_errors=True)
            for leftover in directory.glob("*.log"):
                leftover.unlink()
            directory.rmdir()


def main(
    task: Callable[[DictConfig], Any] = job,
    config_name: str = "config",
    schema: type = ExperimentConfig,
) -> None:
    """Run the command line; ends the process with the error's exit code.

    Args:
        task: what Hydra calls with the composed configuration.
        config_name: of the file in configs/ that is at the top of it.
        schema: whose keys there are.

    """
    full = os.environ.get("HYDRA_FULL_ERROR") == "1"
    sys.argv[1:] = map(quoted_file, sys.argv[1:])
    command = hydra.main(
        version_base="1.3", config_path=str(config_folder()), config_name=config_name
    )(task)
    plain: NstrepError | None = None
    try:
        with env_override({"HYDRA_FULL_ERROR": "1"}):  # so that errors reach the lines below
            command()
    except KeyboardInterrupt:
        plain = StoppedError("interrupted; the same command continues")
    except (Exception, Refused) as error:
        if full:
            raise
        plain = plain_error(error.error if isinstance(error, Refused) else error, schema)
    if callback.watch is not None:
        sys.exit(callback.close(plain))
    if plain is not None:
        if not isinstance(plain, StoppedError):  # the log has said so
            print(f"nstrep: error: {plain}", file=sys.stderr)
        sys.exit(plain.exit_code)


def quoted_file(argument: str) -> str:
    """Quote the path of a file that is there, as Hydra wants where it has = or , in it."""
    key, _, value = argument.partition("=")
    special = re.search(r"[=,\s(){}\[\]:]", value) and not re.search(r"['\"]", value)
    if key in FILE_KEYS and special and os.path.exists(os.path.expanduser(value)):
        return f"{key}='{value}'"
    return argument


def plain_error(error: Exception, schema: type = ExperimentConfig) -> NstrepError:
    """What to tell the user about an exception, in one line, with its exit code.

    Args:
        error: what was raised.
        schema: whose keys there are.

    """
    if isinstance(error, NstrepError):
        return error
    if isinstance(error, MissingConfigException):
        return InputError(_unknown_option(error))
    if isinstance(error, OverrideParseException):
        return InputError(f"{error.override}: cannot be read as KEY=VALUE ({reason(error)})")
    if isinstance(error, CompactHydraException):
        return InputError(_unknown_key(error, schema))
    if isinstance(error, OmegaConfBaseException):
        return InputError(explain(error, schema))
    if type(error).__name__ in WORKER_DEATHS:
        return WorkerError(
            "a worker process was killed, perhaps for want of memory; the same command continues"
        )
    if 'Could not detect "srun"' in str(error):
        return InputError("hydra/launcher=slurm: there is no srun here; start it on the cluster")
    if "No trials are completed" in str(error):
        return NstrepError("hydra/sweeper=optuna: no trial finished, so that there is no best one")
    if isinstance(error, OSError):
        place = error.filename or "the results folder"
        return ResultsError(f"{place}: cannot be used ({reason(error)})")
    return NstrepError(
        f"unexpected {type(error).__name__}: {reason(error)};"
        " HYDRA_FULL_ERROR=1 in the environment shows where, please report it"
    )


def _unknown_option(error: MissingConfigException) -> str:
    config = error.missing_cfg_file or ""
    group, _, name = config.rpartition("/")
    if not group:
        return reason(error)
    if name in PLUGINS:
        extra = PLUGINS[name]
        return f"{group}={name}: is not installed: run  pip install 'nstrep[{extra}]'"
    options = [option for option in (error.options or []) if option != "schema"]
    near = difflib.get_close_matches(name, options, 1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    return f"{group}={name}: must be one of {', '.join(options)}{hint}"


def _unknown_key(error: CompactHydraException, schema: type) -> str:
    cause = error.__cause__
    override = re.search(r"Could not override '([^']+)'", str(error))
    if isinstance(cause, OmegaConfBaseException):
        return explain(cause, schema)
    if override:
        return unknown_key(override.group(1), schema)
    several = re.search(r"Ambiguous value for argument '([^']+)'", str(error))
    if several:
        return f"{several.group(1)}: several values need --multirun"
    return reason(error)
