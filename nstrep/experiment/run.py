"""One experiment: a configuration in, a run directory out.

:func:`run` and :func:`run_once` read the inputs and lock the directory; :class:`Experiment` then
optimises, records every step and saves the results.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from tqdm.contrib.logging import logging_redirect_tqdm

from nstrep.base import environment, process_memory
from nstrep.base.errors import DivergedError, ResultsError
from nstrep.base.files import remove_unfinished
from nstrep.base.text import counted
from nstrep.config.schema import ExperimentConfig
from nstrep.experiment import image_inputs, results, resume, run_directory
from nstrep.experiment.checkpoint import Keeper
from nstrep.experiment.identity import identity_of
from nstrep.experiment.inputs import Inputs, load_inputs
from nstrep.experiment.problem import plan, problem
from nstrep.experiment.recorders import Recorders, StopRule
from nstrep.experiment.run_directory import CHECKPOINT
from nstrep.experiment.scales import Scale, scales_of, start_from
from nstrep.images.color import MODES
from nstrep.images.filters import remove_noise
from nstrep.images.io import Picture
from nstrep.losses import regions
from nstrep.optim.minimize import Step, minimize
from nstrep.optim.state import State

log = logging.getLogger(__name__)

Callback = Callable[[Step], bool | None]


def run(
    config: ExperimentConfig,
    directory: Path,
    made_from: Mapping[str, Any] | None = None,
    *,
    given: Mapping[str, Picture] = MappingProxyType({}),
    callback: Callback | None = None,
) -> dict[str, Any]:
    """Run one experiment and leave its results in ``directory``.

    metrics.json, whose content is returned, is written last: its presence says that the run is
    over. A run that an error ended has failed.json instead.

    ``directory`` is made if missing, and refused if it holds a run or other files. ``made_from``
    are the inputs of the run that is repeated; those that have changed are logged. ``given`` are
    images in memory, by role ``content`` or ``style``. ``callback`` sees every step, and ends the
    run by returning true.

    Raises:
        InputError: the configuration, an image or the weights cannot be used.
        DivergedError: NaN or infinity; the curve and last_good.png are kept.
        BusyError: another process is at work in the directory.
        ResultsError: the directory cannot be written.

    """
    run_directory.refuse_foreign(directory)
    inputs = load_inputs(config, given)
    with run_directory.locked(directory):
        remove_unfinished(directory)  # of a run that was killed before it had a configuration
        return Experiment(config, directory, inputs, callback).carry_out(made_from, extendable=True)


def run_once(
    config: ExperimentConfig,
    directory: Path,
    made_from: Mapping[str, Any] | None = None,
    *,
    anew: bool = True,
    callback: Callback | None = None,
) -> dict[str, Any]:
    """Run one experiment unless its directory holds it already; the same call resumes it.

    A directory with the results of the same settings, images and weights is left as it is. A run
    of these that did not end continues from its checkpoint. Anything else, a failed run or one of
    other settings, is removed and run again, and the log says why. All errors leave failed.json.

    Without ``anew`` nothing is removed: another run or a damaged checkpoint is an InputError. A run
    that diverged the last time is a DivergedError, for it would again. Otherwise see :func:`run`.
    """
    run_directory.refuse_foreign(directory)
    with run_directory.locked(directory), run_directory.failures_kept(directory):
        inputs = load_inputs(config)
        identity = identity_of(config, inputs.provenance)
        metrics = resume.earlier_metrics(directory, identity, anew=anew)
        if metrics is not None:
            if anew:  # it may have been killed after its results were written
                (directory / CHECKPOINT).unlink(missing_ok=True)
            return metrics
        state = resume.load_checkpoint(directory, config, inputs, anew=anew)
        run_directory.clear(directory, run_directory.AT_THE_END if state else run_directory.ALL)
        experiment = Experiment(config, directory, inputs, callback, state)
        return experiment.carry_out(made_from, extendable=not anew)


class Experiment:
    """One run of a configuration in a locked directory: :meth:`carry_out` does it."""

    def __init__(
        self,
        config: ExperimentConfig,
        directory: Path,
        inputs: Inputs,
        callback: Callback | None = None,
        state: State | None = None,  # the checkpoint to continue from
    ) -> None:
        self.config, self.directory = config, directory
        self.inputs = inputs  # of the last step: at the size of its scale
        self._callback, self._state = callback, state
        self.status = "finished"  # or diverged or interrupted
        self.reason: str | None = None  # what stopped it: a key such as stop_eps, or a sentence
        self.last: Step | None = None  # None if no step was evaluated
        self.losses_at_start: Mapping[str, float] | None = None
        self.memory_before_mb = math.nan  # of the process, before the network was bound
        self.tile: int | None = None  # side of the tiles in pixels; None without tiles
        self.resumed_at: list[int] = []  # epochs
        self._interrupt = KeyboardInterrupt()  # the one that ended it, if its status says so
        self._scale, self._begun = 0, 0  # number of the scale, and epoch of its start
        self._stop_rule: StopRule | None = None  # of the scale
        if state is not None:
            self._scale, self._begun = state.facts["scale"]
            self.losses_at_start = state.facts["at_start"]
            self.resumed_at = [*state.facts["resumed"], state.facts["epoch"]]
        seconds = config.checkpoint_seconds
        self._keeper = Keeper(directory / CHECKPOINT, math.inf if seconds is None else seconds)

    def carry_out(
        self, made_from: Mapping[str, Any] | None = None, *, extendable: bool = False
    ) -> dict[str, Any]:
        """Optimise and save the results; see :func:`run`.

        A run that max_num_epochs ended keeps its checkpoint if it is to be ``extendable``.
        """
        directory = self.directory
        self._warn(made_from or {})
        run_directory.claim(directory, self.config, resumes=self._state is not None)
        with run_directory.failures_kept(directory):
            try:
                self._optimise()
                keep = extendable and self.reason == "max_num_epochs"
                if keep or self.status == "interrupted":
                    self._keeper.flush()
                metrics = results.save(self)
                if not keep and self.status != "interrupted":
                    (directory / CHECKPOINT).unlink(missing_ok=True)
            except BaseException:  # an error must not cost the epochs before it
                with suppress(ResultsError):
                    self._keeper.flush()
                raise
            self._report()
        return metrics

    def _warn(self, made_from: Mapping[str, Any]) -> None:
        for name, now in self.inputs.provenance.items():
            then = made_from.get(name)
            if isinstance(then, dict) and then.get("sha256") != now["sha256"]:
                log.warning("from_image: %s is not the one of that run: %s", name, now["source"])

    def _optimise(self) -> None:
        config, inputs = self.config, self.inputs
        process_memory.give_memory_back()
        process_memory.reset_peak_memory()
        self.memory_before_mb = process_memory.memory_mb()["now"]
        log.info(
            "%s in the style of %s: %d x %d pixels, %s, %s, recipe %s",
            inputs.content.label, _blend(inputs, config), *inputs.content_rgb01.shape[1::-1],
            inputs.network.architecture.name, config.optimizer.name, config.recipe.name,
        )  # fmt: skip
        scales = scales_of(config, inputs.content)
        self._planned = plan(config, inputs)  # for the largest, to warn before the work
        with logging_redirect_tqdm():
            try:
                for number in range(self._scale, len(scales)):
                    self._scale = number
                    self._optimise_at(scales[number], inputs)
                    if not scales[number].is_last:  # what it holds would lie beside the next
                        self._keeper.flush()
                    if self.reason == "callback":
                        break
            except DivergedError as error:
                self.status, self.reason = "diverged", str(error)
            except KeyboardInterrupt as stop:
                self.status, self.reason = "interrupted", "by the user"
                self._interrupt = stop.with_traceback(None)  # whose frames would keep the arrays

    def _optimise_at(self, scale: Scale, full: Inputs) -> None:
        """Optimise at one scale, from the checkpoint or from the result of the scale below."""
        began, last, state, config = time.perf_counter(), self.last, self._state, scale.config
        inputs = full if scale.is_last else full.at(config)
        if scale.title:
            log.info("scale %s", scale.title)
        start, seconds = inputs.start, 0.0
        if last is not None:
            # In the place of the start that the scale has alone: one array of its size less.
            start[:] = start_from(last.image, self.inputs, inputs, config)
            self._begun = last.epoch + 1
        end, begun = self._begun + scale.epochs, self._begun
        self._stop_rule = StopRule(config, end)
        if state is not None:
            self._stop_rule.restore(state.facts["rule"])
            begun, self._state = state.facts["epoch"], None
        recorders = Recorders(  # not in self: a cycle of references would keep the images
            self.directory,
            total=end,
            begun=begun,  # the step of the checkpoint is seen once more
            every=config.save_epochs,
            finish=lambda image: self.filtered(self.raw(image)),
            logger=config.logger,
            title=scale.title,
            after=scale.after,
        )
        with closing(recorders):
            # MXNet keeps the work space of the largest graph so far: no scale takes a larger one
            # than the last, which needs the most memory.
            planned = self._planned
            if not scale.is_last:
                planned = plan(config, inputs, planned.pixels)
            whole = problem(config, inputs, planned)
            self.tile = whole.objective.tile
            process_memory.give_memory_back()  # what computing the targets took
            if last is not None:
                seconds = last.seconds + time.perf_counter() - began
            ended = minimize(
                whole, start, config.optimizer, config.lr,
                partial(self._observe, recorders, inputs),
                bounds=image_inputs.bounds(config), checkpoint=self._keep, resume_from=state,
                after=last, seconds=seconds,
            )  # fmt: skip
        self.reason = self.reason or f"optimizer: {ended}"

    def _observe(self, recorders: Recorders, inputs: Inputs, step: Step) -> bool:
        """Record a step, and return whether it is the last."""
        if self.config.scales:
            step = replace(step, scale=max(step.image.shape[2:]))
        self.losses_at_start = self.losses_at_start or step.losses
        self.last, self.inputs = step, inputs
        recorders(step)
        self.reason = self._stop_rule(step)
        if self._callback is not None and self._callback(step):
            self.reason = "callback"
        return self.reason is not None

    def _keep(self, state: State) -> None:
        facts = {"rule": self._stop_rule.state(), "at_start": dict(self.losses_at_start)}
        facts["scale"] = [self._scale, self._begun]
        self._keeper(state | State({**facts, **self._facts}))

    @cached_property
    def _facts(self) -> dict[str, Any]:
        """What a checkpoint says besides the state of the optimisation."""
        return {
            "identity": identity_of(self.config, self.inputs.provenance, with_end=False),
            "versions": environment.versions(),
            "threads": environment.threads(),
            "resumed": self.resumed_at,
        }

    def raw(self, image: np.ndarray) -> np.ndarray:
        """A ``vgg_input`` image as ``rgb01`` in its colours, before the filter."""
        rgb01 = image_inputs.to_rgb01(image, self.config.preprocess.pixel_scale)
        return MODES[self.config.color].result(rgb01, self.inputs.content_rgb01)

    def filtered(self, raw: np.ndarray) -> np.ndarray:
        """The result of :meth:`raw` as it is saved: filtered, and clipped to [0, 1]."""
        return remove_noise(raw, self.config.remove_noise, self.config.denoise)

    def _report(self) -> None:
        """Log how the run ended, or raise the exception that it ended with."""
        last, directory = self.last, self.directory
        if self.status == "diverged":
            saved = "the curve and the last good picture are" if last else "the configuration is"
            raise DivergedError(f"{self.reason}; {saved} in {directory}")
        if self.status == "interrupted":
            if last is not None:
                log.info("interrupted at epoch %d: %s", last.epoch, run_directory.LAST_GOOD)
            raise self._interrupt
        log.info(
            "%s in %.0f s, stopped by %s, total loss %.4g: %s",
            counted(last.epoch, "epoch"), last.seconds, self.reason, last.losses["total"],
            directory / run_directory.FINAL,
        )  # fmt: skip


def _blend(inputs: Inputs, config: ExperimentConfig) -> str:
    """The style images by name, with their shares where they are blended."""
    names = [style.label for style in inputs.styles]
    if len(names) > 1 and len(inputs.regions) == 1:
        shares = regions.shares(config.style_blend, len(names))
        names = [f"{name} ({share:.3g})" for name, share in zip(names, shares)]
    return " and ".join(names)
