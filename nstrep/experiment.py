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

from nstrep import environment, memory, pictures, regions, results, resume
from nstrep.basis import make_basis
from nstrep.color import MODES
from nstrep.config import ExperimentConfig, layer_weights
from nstrep.errors import DivergedError, ResultsError
from nstrep.files import reason
from nstrep.images import Picture
from nstrep.objective import LayerWeights, Objective
from nstrep.optimize import Problem, Step, minimize
from nstrep.postfilter import remove_noise
from nstrep.preparation import Prepared, prepare
from nstrep.recorders import Bar, Curve, Snapshots, StopRule
from nstrep.results import Outcome
from nstrep.tiling import TiledObjective

__all__ = ["Prepared", "done", "objective", "prepare", "run", "run_once"]

log = logging.getLogger(__name__)


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
            :func:`nstrep.results.from_image`; pictures
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
    with resume.locked(directory):
        return _run(config, directory, prepared, made_from, callback)


def run_once(
    config: ExperimentConfig, directory: Path, made_from: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Run one experiment unless its directory holds it already: the same call continues.

    A directory with the results of the same settings, pictures and weights is left alone. One
    with other results, or with a run that failed or did not end, is cleared and run again, and
    the log says why. Errors leave failed.json, those of the input too.

    Args:
        config: the experiment.
        directory: where the results go or are.
        made_from: see :func:`run`.

    Returns:
        What metrics.json holds, of this run or of the one before.

    Raises:
        DivergedError: it diverged, now or the last time: it would again.
        NstrepError: as :func:`run`.

    """
    with resume.locked(directory), resume.failures_kept(directory):
        prepared = prepare(config)
        metrics = done(directory, resume.identity(config, prepared.inputs))
        if metrics is None:
            resume.clear(directory)
            metrics = _run(config, directory, prepared, made_from)
        return metrics


def done(directory: Path, identity: str) -> dict[str, Any] | None:
    """The metrics of a run that need not be made again; otherwise None, and why in the log.

    Raises:
        DivergedError: it diverged the last time: it would again.

    """
    metrics = resume.stored(directory)
    if metrics is None:
        failure = resume.stored(directory, resume.FAILED)
        if failure is not None:
            log.info("%s: failed before, tried again (%s)", directory.name, failure.get("reason"))
        elif (directory / results.CONFIG).exists():
            log.info("%s: did not end before, run again", directory.name)
        return None
    if metrics.get("identity") != identity:
        log.warning(
            "%s: was made with other settings, pictures or weights, run again", directory.name
        )
        return None
    if metrics.get("status") == "interrupted":
        log.info("%s: was interrupted, run again", directory.name)
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
) -> dict[str, Any]:
    for name, now in prepared.inputs.items():
        then = (made_from or {}).get(name)
        if isinstance(then, dict) and then.get("sha256") != now["sha256"]:
            log.warning("from_image: %s is not the one of that run: %s", name, now["source"])
    if config.optimizer.name == "lbfgs" and config.lr is not None:
        log.warning("lr=%g has no effect: optimizer=lbfgs searches for each step", config.lr)
    results.claim(directory, config)

    def unfiltered(image: np.ndarray) -> np.ndarray:
        rgb01 = pictures.to_rgb01(image, config.preprocess.pixel_scale)
        return MODES[config.color].result(rgb01, prepared.photo)

    def filtered(image: np.ndarray) -> np.ndarray:
        return remove_noise(unfiltered(image), config.remove_noise, config.denoise)

    with resume.failures_kept(directory):
        try:
            outcome = _optimize(config, prepared, _Watch(config, directory, filtered, callback))
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
        except OSError as error:
            raise ResultsError(f"{directory}: cannot be written ({reason(error)})") from None
        _report(outcome, directory)
    return metrics


def _optimize(config: ExperimentConfig, prepared: Prepared, watch: _Watch) -> Outcome:
    scale = config.preprocess.pixel_scale
    height, width = prepared.photo.shape[:2]
    environment.reset_peak_memory()
    before = environment.memory_mb()["now"]
    minimised = objective(config, prepared)
    luminance = MODES[config.color].luminance
    basis = make_basis(config.basis, height, width, luminance=luminance)
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
    with logging_redirect_tqdm():
        try:
            said = minimize(
                Problem(minimised, basis),
                prepared.start,
                config.optimizer,
                config.lr or math.nan,
                watch,
                bounds=pictures.pixel_bounds(scale) if config.bounds else None,
            )
            status, why = "finished", watch.reason or f"optimizer: {said}"
        except DivergedError as error:
            status, why = "diverged", str(error)
        except KeyboardInterrupt:
            status, why = "interrupted", "by the user"
        finally:
            watch.close()
    return Outcome(status, why, watch.first, watch.last, before)


def objective(config: ExperimentConfig, prepared: Prepared) -> Objective | TiledObjective:
    """What the experiment minimises, in tiles where the whole does not fit into the memory."""
    weights = LayerWeights(
        layer_weights(config, "content"), layer_weights(config, "style"), config.tv_weight
    )
    found = memory.plan(
        prepared.network,
        prepared.start.shape,
        [source.image.shape for region in prepared.regions for source in region.sources],
        {"content": tuple(weights.content), "style": tuple(weights.style)},
        config.optimizer,
        config.basis,
        config.tile,
    )
    content = pictures.to_vgg_input(prepared.seen, config.preprocess.pixel_scale)
    common = (prepared.network, content, prepared.regions, weights, config.losses)
    if found.tile is None:
        return Objective(*common)
    return TiledObjective(*common, found.tile)


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
        directory / results.FINAL,
    )


class _Watch:
    """The observer of the optimisation: recorders, and the rule that ends it."""

    def __init__(
        self,
        config: ExperimentConfig,
        directory: Path,
        filtered: Callable[[np.ndarray], np.ndarray],
        callback: Callable[[Step], bool | None] | None,
    ) -> None:
        self._rule = StopRule(config)
        self._callback = callback
        self._curve = Curve(directory / results.CURVE)
        self._bar = Bar(config.max_num_epochs)
        self._recorders = [
            self._curve,
            self._bar,
            Snapshots(directory / results.SNAPSHOTS, config.save_epochs, filtered),
        ]
        self._closing = [self._bar, self._curve]
        if config.logger == "tensorboard":
            from nstrep.tensorboard import TensorBoard  # takes a while to import

            board = TensorBoard(directory / results.TENSORBOARD, config.save_epochs, filtered)
            self._recorders.append(board)
            self._closing.insert(0, board)
        self.first: Step | None = None
        self.last: Step | None = None
        self.reason: str | None = None

    def __call__(self, step: Step) -> bool:
        self.first = self.first or step
        self.last = step
        for record in self._recorders:
            record(step)
        self.reason = self._rule(step)
        if self._callback is not None and self._callback(step):
            self.reason = "callback"
        return self.reason is not None

    def close(self) -> None:
        for recorder in self._closing:
            recorder.close()
