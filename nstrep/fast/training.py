"""A training with its run directory: it can be killed at any time and resumed.

Row 0 of curve.csv is the untrained network; row t has the losses of batch t after t updates.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
from tqdm.contrib.logging import logging_redirect_tqdm

from nstrep.base import process_memory
from nstrep.base.errors import DivergedError, InputError, ResultsError
from nstrep.experiment import run_directory
from nstrep.experiment.recorders import Recorders
from nstrep.experiment.run_directory import CHECKPOINT
from nstrep.fast import layouts
from nstrep.fast.config import TrainConfig
from nstrep.fast.trainer import Trainer, average
from nstrep.images import io
from nstrep.optim.minimize import Step
from nstrep.plots import curves
from nstrep.plots import style as plot_style

log = logging.getLogger(__name__)

SAMPLES, SAMPLE = "samples", "sample.png"
# What is removed before a training continues from its checkpoint, and before another one starts.
AT_THE_END = (run_directory.METRICS, run_directory.FAILED)
ALL = (*run_directory.ALL, layouts.PARAMETERS, SAMPLES, SAMPLE)


def run(config: TrainConfig, directory: Path, *, replace: bool = False) -> dict[str, Any]:
    """Train a network, or resume its training from the last checkpoint in ``directory``.

    The directory gets config.yaml, curve.csv, checkpoint.npz, samples/, and at the end net.npz,
    sample.png, loss.png and, last of all, metrics.json, whose content is returned. Another
    training in it is an InputError or, with ``replace``, removed; the log says so. Raises
    DivergedError when a loss became NaN or infinite (the last checkpoint is kept), BusyError if
    another process works in the directory, and ResultsError if it cannot be written.
    """
    run_directory.refuse_foreign(directory, run_directory.TRAINING)
    trainer = Trainer(config)
    with run_directory.locked(directory), run_directory.failures_kept(directory):
        try:
            if (directory / CHECKPOINT).exists():
                trainer.restore(directory / CHECKPOINT)
        except InputError as error:
            if not replace:
                raise
            log.warning("starting again: %s", error)
        metrics = run_directory.stored(directory)
        if trainer.step == config.steps and metrics and metrics.get("steps") == config.steps:
            log.info("done before: %s", directory)
            return metrics
        run_directory.clear(directory, ALL if replace and not trainer.step else AT_THE_END)
        return _run(trainer, directory)


def _run(trainer: Trainer, directory: Path) -> dict[str, Any]:
    config, photos = trainer.config, trainer.photos
    run_directory.claim(directory, config, resumes=True)
    log.info(
        "%s: network %s, loss network %s, %d images, %d held out", trainer.title,
        config.net.name, trainer.network.architecture.name, len(photos.names), len(photos.held_out),
    )  # fmt: skip
    if trainer.step:
        log.info("resuming at step %d: %s", trainer.step, directory)
    record = Recorders(
        directory, total=config.steps, begun=trainer.step, every=config.save_steps,
        finish=lambda _: trainer.sample(), logger=config.logger, unit="step", snapshots=SAMPLES,
    )  # fmt: skip
    with logging_redirect_tqdm(), closing(record):
        try:
            _loop(trainer, directory / CHECKPOINT, record)
        except DivergedError:  # the last parameters are useless: keep the checkpoint before them
            raise
        except BaseException as error:  # must not cost the steps before it
            if isinstance(error, KeyboardInterrupt):
                log.info("interrupted at step %d", trainer.step)
            with suppress(ResultsError):
                trainer.save(directory / CHECKPOINT)
            raise
    trainer.save(directory / CHECKPOINT)
    network = directory / layouts.PARAMETERS
    layouts.save(network, trainer.transformer.net, trainer.transformer.arrays())
    io.save_png(directory / SAMPLE, trainer.sample())
    curve = pd.read_csv(directory / run_directory.CURVE)
    _plot(curve, directory / run_directory.LOSS, trainer.title)
    metrics = run_directory.write_metrics(directory, _metrics(trainer, curve.iloc[0]))
    log.info(
        "%d steps in %.0f s, held-out total %.4g (identity %.4g): %s",
        trainer.step, trainer.seconds, metrics["validation"]["total"],
        metrics["validation_of_identity"]["total"], network,
    )  # fmt: skip
    if photos.skipped:
        log.warning("images that could not be read: %d", len(photos.skipped))
    return metrics


def _loop(trainer: Trainer, checkpoint: Path, record: Callable[[Step], None]) -> None:
    config, first = trainer.config, trainer.step
    start = time.perf_counter() - trainer.seconds
    for step in range(first, config.steps + 1):
        if step > first:
            trainer.update()
            if step % config.save_steps == 0:
                trainer.save(checkpoint)
        losses, norm = trainer.batch()
        due = step % config.validate_steps == 0 or step == config.steps
        if due:
            losses |= _held_out(trainer.validate())
        else:
            columns = _held_out(dict.fromkeys(trainer.paintings, losses))
            losses |= dict.fromkeys(columns, math.nan)
        trainer.seconds = time.perf_counter() - start
        record(Step(
            epoch=step, evaluations=(step + 1) * config.batch_size, seconds=trainer.seconds,
            lr=trainer.lr, gradient_norm=norm, losses=losses,
        ))  # fmt: skip


def _held_out(validation: dict[str, dict[str, float]]) -> dict[str, float]:
    """Columns for losses on the held-out images: means over the styles, and each one's total."""
    columns = average([*validation.values()])
    if len(validation) > 1:
        columns |= {f"total.{style}": each["total"] for style, each in validation.items()}
    return {f"validation.{name}": value for name, value in columns.items()}


def _metrics(trainer: Trainer, first_row: pd.Series) -> dict[str, Any]:
    config, photos = trainer.config, trainer.photos
    styles = [painting.facts for painting in trainer.paintings.values()]
    by_style = trainer.validate()
    identity = trainer.validate(lambda crop, _: crop)
    validation = average([*by_style.values()])
    several = {
        "validation_by_style": by_style,
        "validation_of_identity_by_style": {n: each["total"] for n, each in identity.items()},
    }  # fmt: skip
    return {
        "status": "finished", "identity": trainer.identity,
        "recipe": config.recipe.name, "net": config.net.name, "seed": config.seed,
        **({"styles": styles} if config.styles else {"style": styles[0]}),
        "model": trainer.network.facts,
        "data": {
            "pictures": len(photos.names),
            "held_out": [picture.name for picture in photos.held_out],
            "skipped": len(photos.skipped),
        },
        "steps": trainer.step, "crops": trainer.step * config.batch_size,
        "seconds": trainer.seconds,
        "validation": validation,
        "validation_at_start": {name: first_row[f"validation.{name}"] for name in validation},
        "validation_of_identity": average([*identity.values()]),
        **(several if config.styles else {}),
        "peak_memory_mb": process_memory.memory_mb()["peak"],
    }  # fmt: skip


def _plot(curve: pd.DataFrame, target: Path, title: str) -> None:
    """Draw the losses of the training, a running mean, and of the validation as a PNG."""
    names = ["total", "content_loss", "style_loss"]
    held_out = curve[["epoch", *(f"validation.{name}" for name in names)]].dropna()
    parts = {
        "training": curve[names].rolling(25, min_periods=1).mean().assign(epoch=curve["epoch"]),
        "held out": held_out.rename(columns=lambda name: name.removeprefix("validation.")),
    }
    runs = [
        SimpleNamespace(curve=part, metrics={}, value={"images": name}.get)
        for name, part in parts.items()
    ]
    figure = curves.overlaid(runs, "images", names, title=title)
    for axes in figure.axes:
        axes.set_xlabel("step")
    plot_style.save(figure, target.with_suffix(""), kinds=("png",))
