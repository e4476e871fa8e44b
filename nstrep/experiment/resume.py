"""What an earlier run left in a directory: its results, or the checkpoint to continue from."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from nstrep.base import environment
from nstrep.base.errors import DivergedError, InputError
from nstrep.config.schema import ExperimentConfig
from nstrep.experiment import checkpoint, run_directory
from nstrep.experiment.identity import identity_of
from nstrep.experiment.inputs import Inputs
from nstrep.experiment.recorders import StopRule, rows_upto
from nstrep.experiment.scales import scales_of
from nstrep.optim import minimize, state
from nstrep.optim.state import State

log = logging.getLogger(__name__)

FACTS = {  # of a run's checkpoint, each with a test of its value
    **minimize.FACTS,
    # The number of the scale, 0 for the coarsest, and the epoch of its start.
    "scale": lambda value: state.is_list(value, (int,)) and len(value) == 2 and min(value) >= 0,
    "at_start": state.is_numbers,
    "rule": StopRule.is_state,
    "resumed": lambda value: state.is_list(value, (int,)),
    "versions": lambda value: isinstance(value, dict),
    "threads": lambda value: value is None or state.is_count(value),
}


def earlier_metrics(directory: Path, identity: str, *, anew: bool = True) -> dict[str, Any] | None:
    """The metrics of a run of this identity that is over; otherwise None, and why in the log.

    A run that diverged is a DivergedError. Without ``anew`` another run is an InputError, unless it
    kept its checkpoint: this may be the beginning of a longer one.
    """
    name, metrics = directory.name, run_directory.stored(directory)
    if metrics is None:
        failure = run_directory.stored(directory, run_directory.FAILED)
        if failure is not None:
            log.info("%s: failed before, tried again (%s)", name, failure.get("reason"))
        elif (directory / run_directory.CONFIG).exists():
            log.info("%s: did not end before", name)
        return None
    if metrics.get("identity") != identity:
        if not anew:
            if (directory / run_directory.CHECKPOINT).exists():
                return None
            raise InputError(
                f"{directory}: has other settings, pictures or weights, and no"
                f" {run_directory.CHECKPOINT} to continue from; begin a run in another folder"
            )
        log.warning("%s: was made with other settings, pictures or weights, run again", name)
        return None
    if metrics.get("status") == "interrupted":
        log.info("%s: was interrupted", name)
        return None
    if changed := environment.changed_versions(metrics.get("versions")):
        log.warning("%s: made with other versions: %s", name, "; ".join(changed))
    if metrics.get("status") == "diverged":
        raise DivergedError(f"{metrics.get('stop_reason')}; so it did before, not tried again")
    log.info("%s: done before", name)
    return metrics


def load_checkpoint(
    directory: Path, config: ExperimentConfig, inputs: Inputs, *, anew: bool = True
) -> State | None:
    """The checkpoint to continue from; None if none can be used.

    A checkpoint that is damaged or of another identity is an InputError without ``anew``.
    """
    path = directory / run_directory.CHECKPOINT
    if not path.exists():
        return None
    try:
        identity = identity_of(config, inputs.provenance, with_end=False)
        saved = checkpoint.read(path, FACTS, identity)
        names = {"coefficients", "gradient", *saved.arrays}
        scales, number = scales_of(config, inputs.content), saved.facts["scale"][0]
        shape = (1, 3, *scales[min(number, len(scales) - 1)].size)
        checkpoint.check_arrays(path, saved, dict.fromkeys(names, shape))
        losses, epoch = saved.facts["losses"], saved.facts["epoch"]
        same = losses.keys() == saved.facts["at_start"].keys() and "total" in losses
        same = same and number < len(scales)
        optimizer = minimize.OPTIMIZERS[config.optimizer.name]
        if not (same and optimizer.fits(saved.part("optimizer"), config.optimizer)):
            raise InputError(f"{path}: is no checkpoint of this run; remove it to begin anew")
        curve, scaled = directory / run_directory.CURVE, config.scales is not None
        if rows_upto(curve, epoch, losses, scaled) <= epoch:
            raise InputError(f"{path}: is of epoch {epoch}, {run_directory.CURVE} ends before")
    except InputError as error:
        if not anew:
            raise
        log.warning("%s; run again from the start", error)
        return None
    log.info("%s: goes on at epoch %d", directory.name, epoch)
    changes = environment.changed_versions(saved.facts["versions"])
    for change in (*changes, *environment.changed_threads(saved.facts["threads"])):
        log.warning("%s: begun with %s: the last digits may differ", directory.name, change)
    return saved
