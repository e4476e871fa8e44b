"""One experiment: a configuration in, a run directory out."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from tqdm.contrib.logging import logging_redirect_tqdm

from nstrep.base import environment, process_memory
from nstrep.base.errors import DivergedError, InputError, ResultsError
from nstrep.base.files import remove_unfinished
from nstrep.base.text import reason
from nstrep.config.checks import layer_weights
from nstrep.config.schema import ExperimentConfig
from nstrep.experiment import (
    checkpoint,
    image_inputs,
    memory_plan,
    multiscale,
    results,
    run_directory,
)
from nstrep.experiment.checkpoint import Keeper
from nstrep.experiment.identity import identity_of
from nstrep.experiment.inputs import Prepared, prepare
from nstrep.experiment.recorders import Bar, Curve, Snapshots, StopRule, rows_upto
from nstrep.experiment.results import Outcome
from nstrep.experiment.run_directory import CHECKPOINT
from nstrep.images.color import MODES
from nstrep.images.filters import remove_noise
from nstrep.images.io import Picture
from nstrep.losses import regions
from nstrep.losses.extra import extra_layers, extra_settings
from nstrep.losses.objective import LayerWeights, Objective, loss_names, with_sums
from nstrep.optim import state
from nstrep.optim.basis import make_basis
from nstrep.optim.minimize import Step, fits, minimize
from nstrep.optim.problem import Problem
from nstrep.optim.state import State

__all__ = ["Prepared", "done", "objective", "prepare", "run", "run_once"]

log = logging.getLogger(__name__)

FACTS = {
    "epoch": state.is_count,
    "evaluations": state.is_count,
    "seconds": state.is_number,
    "gradient_norm": state.is_number,
    "losses": state.is_numbers,
    "at_start": state.is_numbers,
    "changes": lambda value: state.is_list(value, (int, float)) and len(value) == 2,
    "rule": StopRule.is_state,
    "resumed": lambda value: state.is_list(value, (int,)),
    "versions": lambda value: isinstance(value, dict),
    "threads": lambda value: value is None or state.is_count(value),
}
"""Of a run's checkpoint, and what they may be."""


def run(
    config: ExperimentConfig,
    directory: Path,
    made_from: dict[str, Any] | None = None,
    *,
    given: Mapping[str, Picture] = MappingProxyType({}),
    callback: Callable[[Step], bool | None] | None = None,
) -> dict[str, Any]:
    """Run one experiment and leave its results in ``directory``.

    The directory gets config.yaml, curve.csv (row by row), snapshots/, raw.npz, final.png,
    loss.png and, last of all, metrics.json, whose presence says that the run is over. A run that
    an error ended has failed.json instead.

    Args:
        config: the experiment.
        directory: where the results go; made if missing, refused if it holds a run.
        made_from: what an earlier run of this experiment read, from
            :func:`nstrep.experiment.from_image.read_texts`; pictures
            and weights that are not the same any more are named in the log.
        given: pictures in memory; see :func:`prepare`.
        callback: sees every step, and ends the run by returning true.

    Returns:
        What metrics.json holds.

    Raises:
        InputError: the configuration, a picture or the weights cannot be used.
        DivergedError: NaN or infinity; the curve and last_good.png are kept.
        BusyError: another process is at work in the directory.
        ResultsError: the directory cannot be written.

    """
    prepared = prepare(config, given)
    with run_directory.locked(directory):
        remove_unfinished(directory)  # of a run that was killed before it had a configuration
        return _run(config, directory, prepared, made_from, callback)


def run_once(
    config: ExperimentConfig,
    directory: Path,
    made_from: dict[str, Any] | None = None,
    *,
    anew: bool = True,
    callback: Callable[[Step], bool | None] | None = None,
) -> dict[str, Any]:
    """Run one experiment unless its directory holds it already: the same call continues.

    A directory with the results of the same settings, pictures and weights is left alone. A run of
    these that did not end goes on at its checkpoint, as if it had not been stopped. What else is
    there, a failed run or one of other settings, is cleared and run again, and the log says why.
    Errors leave failed.json, those of the input too.

    Args:
        config: the experiment.
        directory: where the results go or are.
        made_from: see :func:`run`.
        anew: whether what cannot go on may be cleared.
        callback: see :func:`run`.

    Returns:
        What metrics.json holds, of this run or of the one before.

    Raises:
        DivergedError: it diverged, now or the last time: it would again.
        InputError: the run there is another one, or its checkpoint is damaged; without ``anew``.
        NstrepError: as :func:`run`.

    """
    with run_directory.locked(directory), run_directory.failures_kept(directory):
        prepared = prepare(config)
        metrics = done(directory, identity_of(config, prepared.inputs), anew=anew)
        if metrics is None:
            kept = _kept(config, directory, prepared, anew)
            whole = kept is None
            run_directory.clear(directory, run_directory.ALL if whole else run_directory.AT_THE_END)
            return _run(config, directory, prepared, made_from, callback, kept)
        # It may have been killed after its results were written.
        (directory / CHECKPOINT).unlink(missing_ok=True)
        return metrics


def _kept(
    config: ExperimentConfig, directory: Path, prepared: Prepared, anew: bool
) -> State | None:
    """The checkpoint to go on from; None, and why in the log, where there is none to use."""
    path = directory / CHECKPOINT
    if not path.exists():
        return None
    try:
        state = checkpoint.read(path, FACTS, identity_of(config, prepared.inputs))
        shape = prepared.start.shape
        checkpoint.check_arrays(path, state, dict.fromkeys(["coefficients", "gradient"], shape))
        checkpoint.check_arrays(path, state, dict.fromkeys(state.arrays, shape))
        names = set(
            with_sums(dict.fromkeys(loss_names(_weights(config), len(prepared.regions)), 0))
        )
        if not (
            all(np.isfinite(state.arrays[name]).all() for name in ("coefficients", "gradient"))
            and fits(state, config.optimizer)
            and state.facts["losses"].keys() == state.facts["at_start"].keys() == names
        ):
            raise InputError(f"{path}: is no checkpoint of this run; remove it to begin anew")
        epoch = state.facts["epoch"]
        if rows_upto(directory / run_directory.CURVE, epoch, state.facts["losses"]) <= epoch:
            raise InputError(f"{path}: is of epoch {epoch}, {run_directory.CURVE} ends before")
    except InputError as error:
        if not anew:
            raise
        log.warning("%s; run again from the start", error)
        return None
    log.info("%s: goes on at epoch %d", directory.name, epoch)
    for change in (
        *environment.changed_versions(state.facts["versions"]),
        *environment.changed_threads(state.facts["threads"]),
    ):
        log.warning("%s: begun with %s: the last digits may differ", directory.name, change)
    return state


def done(directory: Path, identity: str, *, anew: bool = True) -> dict[str, Any] | None:
    """The metrics of a run that need not be made again; otherwise None, and why in the log.

    Args:
        directory: of the run.
        identity: what it must be of.
        anew: whether the results of another run may be replaced.

    Raises:
        InputError: they are another run's; without ``anew``.
        DivergedError: it diverged the last time: it would again.

    """
    metrics = run_directory.stored(directory)
    if metrics is None:
        failure = run_directory.stored(directory, run_directory.FAILED)
        if failure is not None:
            log.info("%s: failed before, tried again (%s)", directory.name, failure.get("reason"))
        elif (directory / run_directory.CONFIG).exists():
            log.info("%s: did not end before", directory.name)
        return None
    if metrics.get("identity") != identity:
        if not anew:
            raise InputError(
                f"{directory}: was made with other pictures, weights or settings; name another"
                " folder with hydra.run.dir=..."
            )
        log.warning(
            "%s: was made with other settings, pictures or weights, run again", directory.name
        )
        return None
    if metrics.get("status") == "interrupted":
        log.info("%s: was interrupted", directory.name)
        return None
    changed = environment.changed_versions(metrics.get("versions"))
    if changed:
        log.warning("%s: made with other versions: %s", directory.name, "; ".join(changed))
    if metrics.get("status") == "diverged":
        raise DivergedError(f"{metrics.get('stop_reason')}; so it did before, not tried again")
    log.info("%s: done before", directory.name)
    return metrics


def _run(
    config: ExperimentConfig,
    directory: Path,
    prepared: Prepared,
    made_from: dict[str, Any] | None,
    callback: Callable[[Step], bool | None] | None = None,
    kept: State | None = None,
) -> dict[str, Any]:
    for name, now in prepared.inputs.items():
        then = (made_from or {}).get(name)
        if isinstance(then, dict) and then.get("sha256") != now["sha256"]:
            log.warning("from_image: %s is not the one of that run: %s", name, now["source"])
    if config.optimizer.name == "lbfgs" and config.lr is not None:
        log.warning("lr=%g has no effect: optimizer=lbfgs searches for each step", config.lr)
    run_directory.claim(directory, config, resumes=kept is not None)
    identity = identity_of(config, prepared.inputs)

    def unfiltered(image: np.ndarray) -> np.ndarray:
        rgb01 = image_inputs.to_rgb01(image, config.preprocess.pixel_scale)
        return MODES[config.color].result(rgb01, prepared.photo)

    def filtered(image: np.ndarray) -> np.ndarray:
        return remove_noise(unfiltered(image), config.remove_noise, config.denoise)

    with run_directory.failures_kept(directory):
        try:
            watch = _Watch(config, directory, filtered, callback, identity, kept)
            outcome = _optimize(config, prepared, watch, kept)
            image = None if outcome.last is None else outcome.last.image
            metrics = results.save(
                directory,
                config,
                prepared.inputs,
                outcome,
                prepared.photo,
                None if image is None else unfiltered(image),
                None if image is None else filtered(image),
            )
            if outcome.status != "interrupted":
                (directory / CHECKPOINT).unlink(missing_ok=True)
        except OSError as error:
            raise ResultsError(f"{directory}: cannot be written ({reason(error)})") from None
        _report(outcome, directory)
    return metrics


def _optimize(
    config: ExperimentConfig, prepared: Prepared, watch: _Watch, kept: State | None
) -> Outcome:
    height, width = prepared.photo.shape[:2]
    process_memory.give_memory_back()
    process_memory.reset_peak_memory()
    before = process_memory.memory_mb()["now"]
    log.info(
        "%s in the style of %s: %d x %d pixels, %s, %s, recipe %s",
        prepared.content.name,
        _blend(prepared, config),
        width,
        height,
        prepared.network.architecture.name,
        config.optimizer.name,
        config.recipe.name,
    )
    tile = None
    with logging_redirect_tqdm():
        try:
            start, seconds = prepared.start, 0.0
            if config.multiscale and kept is None:
                start, seconds = multiscale.start(config, prepared, problem)
            made = problem(config, prepared)
            tile = made.objective.tile
            process_memory.give_memory_back()  # what computing the targets took
            said = minimize(
                made,
                start,
                config.optimizer,
                config.lr or math.nan,
                watch,
                bounds=image_inputs.bounds(config),
                keep=watch.keep,
                kept=kept,
                spent=seconds,
            )
            status, why = "finished", watch.reason or f"optimizer: {said}"
        except DivergedError as error:
            status, why = "diverged", str(error)
        except KeyboardInterrupt:
            status, why = "interrupted", "by the user"
        finally:
            watch.close()
    return Outcome(status, why, watch.at_start, watch.last, before, watch.resumed, tile)


def problem(config: ExperimentConfig, prepared: Prepared) -> Problem:
    """The objective in the coordinates of the experiment's basis."""
    basis = make_basis(
        config.basis,
        config.basis_power,
        *prepared.start.shape[2:],
        luminance=MODES[config.color].luminance,
    )
    return Problem(objective(config, prepared), basis)


def objective(config: ExperimentConfig, prepared: Prepared) -> Objective:
    """What the experiment minimises, in tiles where the whole does not fit into the memory."""
    weights = _weights(config)
    layers = {
        "content": tuple(weights.content),
        "style": (*weights.style, *extra_layers(weights.extra)),
    }
    plan = memory_plan.plan(
        prepared.network,
        prepared.start.shape,
        [source.image.shape for region in prepared.regions for source in region.sources],
        layers,
        config.optimizer,
        config.basis,
        config.tile,
    )
    memory_plan.settle_malloc(plan.tile)
    content = image_inputs.to_vgg_input(prepared.seen, config.preprocess.pixel_scale)
    return Objective(prepared.network, content, prepared.regions, weights, config.losses, plan.tile)


def _weights(config: ExperimentConfig) -> LayerWeights:
    return LayerWeights(
        layer_weights(config, "content"),
        layer_weights(config, "style"),
        config.tv_weight,
        extra_settings(config.extra_losses),
    )


def _blend(prepared: Prepared, config: ExperimentConfig) -> str:
    """The paintings by name, with their shares where they are blended."""
    names = [style.name for style in prepared.styles]
    if len(names) > 1 and len(prepared.regions) == 1:
        shares = regions.shares(config.style_blend, len(names))
        names = [f"{name} ({share:.3g})" for name, share in zip(names, shares)]
    return " and ".join(names)


def _report(outcome: Outcome, directory: Path) -> None:
    """Say how the run ended, in the log or by the exception that it ended with."""
    last = outcome.last
    if outcome.status == "diverged":
        kept = "the curve and the last good picture" if last else "the configuration"
        raise DivergedError(f"{outcome.reason}; {kept} is in {directory}")
    if outcome.status == "interrupted":
        log.warning("interrupted; what was reached is in %s", directory)
        raise KeyboardInterrupt
    log.info(
        "%d epochs in %.0f s, stopped by %s, total loss %.4g: %s",
        last.epoch,
        last.seconds,
        outcome.reason,
        last.losses["total"],
        directory / run_directory.FINAL,
    )


class _Watch:
    """The observer of the optimisation: recorders, and the rule that ends it."""

    def __init__(
        self,
        config: ExperimentConfig,
        directory: Path,
        filtered: Callable[[np.ndarray], np.ndarray],
        callback: Callable[[Step], bool | None] | None,
        identity: str,
        kept: State | None,
    ) -> None:
        self._identity = identity
        self._keeper = None
        if config.checkpoint_seconds is not None:
            self._keeper = Keeper(directory / CHECKPOINT, config.checkpoint_seconds)
        self._rule = StopRule(config)
        self._callback = callback
        self.at_start: Mapping[str, float] | None = None
        """The losses of epoch 0."""
        self.resumed: list[int] = []
        """Epochs at which this run went on after a stop."""
        begun = 0
        if kept is not None:
            begun = kept.facts["epoch"]
            self._rule.restore(kept.facts["rule"])
            self.at_start = kept.facts["at_start"]
            self.resumed = [*kept.facts["resumed"], begun]
        # The step of the checkpoint is seen once more.
        self._curve = Curve(directory / run_directory.CURVE, upto=begun - 1 if begun else None)
        self._bar = Bar(config.max_num_epochs, begun=begun)
        self._recorders = [
            self._curve,
            self._bar,
            Snapshots(directory / run_directory.SNAPSHOTS, config.save_epochs, filtered),
        ]
        self._closing = [self._bar, self._curve]
        if config.logger == "tensorboard":
            from nstrep.experiment.tensorboard import TensorBoard  # takes a while to import

            board = TensorBoard(
                directory / run_directory.TENSORBOARD, config.save_epochs, filtered, begun or None
            )
            self._recorders.append(board)
            self._closing.insert(0, board)
        self.last: Step | None = None
        self.reason: str | None = None

    def __call__(self, step: Step) -> bool:
        self.at_start = self.at_start or step.losses
        self.last = step
        for record in self._recorders:
            record(step)
        self.reason = self._rule(step)
        if self._callback is not None and self._callback(step):
            self.reason = "callback"
        return self.reason is not None

    def keep(self, state: Callable[[], State]) -> None:
        """Write a checkpoint if it is time."""
        if self._keeper is None:
            return
        facts = {
            "identity": self._identity,
            "versions": environment.versions(),
            "threads": environment.threads(),
            "rule": self._rule.state(),
            "at_start": dict(self.at_start),
            "resumed": self.resumed,
        }
        self._keeper(lambda: state() | State(facts))

    def close(self) -> None:
        for recorder in self._closing:
            recorder.close()
