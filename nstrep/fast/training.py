"""A training with its run directory: it can be killed at any time and resumed.

Row 0 of curve.csv is the untrained network; row t has the losses of batch t after t updates.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import cached_property, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mxnet as mx
import numpy as np
import pandas as pd
from tqdm.contrib.logging import logging_redirect_tqdm

from nstrep.base import process_memory
from nstrep.base.errors import DivergedError, InputError
from nstrep.experiment import checkpoint, image_inputs, network_input, run_directory
from nstrep.experiment.identity import digest, settings_of
from nstrep.experiment.recorders import Recorders
from nstrep.experiment.run_directory import CHECKPOINT
from nstrep.fast import layouts
from nstrep.fast.architectures import choose
from nstrep.fast.config import TrainConfig
from nstrep.fast.data import Photos, center
from nstrep.fast.network import Transformer, initial, to_pixels
from nstrep.images import io
from nstrep.losses import regions
from nstrep.losses.objective import Objective, term_settings
from nstrep.networks.vgg import RGB_MEAN
from nstrep.optim import state
from nstrep.optim.minimize import Step
from nstrep.optim.state import State
from nstrep.plots import curves
from nstrep.plots import style as plot_style

log = logging.getLogger(__name__)

SAMPLES, SAMPLE = "samples", "sample.png"
# What is removed before a training continues from its checkpoint, and before another one starts.
AT_THE_END = (run_directory.METRICS, run_directory.FAILED)
ALL = (*run_directory.ALL, layouts.PARAMETERS, SAMPLES, SAMPLE)
FACTS = {  # in a checkpoint, and what each may be
    "step": state.is_count,
    "seconds": state.is_number,
    "skipped": lambda value: isinstance(value, dict) and state.is_list([*value.values()], (str,)),
}


class Trainer:
    """A network in training: its parameters, Adam's moments, and the number of updates."""

    def __init__(self, config: TrainConfig) -> None:
        """Read and check all inputs. Raises InputError if one of them cannot be used."""
        self.config = config
        self.photos = Photos(config.data, config.seed)
        self.style = image_inputs.load_role(config, "style")
        style = io.resize_long_edge(self.style.rgb, config.style_size)
        self.network = network_input.load_network(config)
        size, layers = config.data.size, config.style_layers
        crop = np.zeros((1, 3, size, size), np.float32)
        check = partial(image_inputs.check_size, architecture=self.network.architecture)
        check(crop[0, 0], layers=[*config.content_layers, *layers], key=f"data.size={size}")
        check(style, layers=layers, key=f"style_size={config.style_size}")
        target = regions.whole(image_inputs.to_vgg_input(style, 255.0))
        terms = term_settings(config)
        self._objective = Objective(self.network, crop, target, terms, config.losses)
        net = choose(config.net.name, config.net.border, config.net.padding)
        self.transformer = Transformer(net, initial(net, config.seed), self.network.context)
        self.transformer.check_size(size, size, f"data.size={size}")
        parameters = self.transformer.parameters
        self._gradients, self._means, self._variances = (
            {name: mx.nd.zeros_like(array) for name, array in parameters.items()} for _ in range(3)
        )
        self._executor = self.transformer.bind(size, size, self._gradients)
        self.step, self.seconds = 0, 0.0

    @cached_property
    def identity(self) -> str:
        """SHA-256 over everything that decides the updates."""
        photos = [Path(name).name for name in self.photos.names]
        held_out = [picture.sha256 for picture in self.photos.held_out]
        inputs = [self.network.weights.sha256, self.style.sha256, photos, held_out]
        return digest([settings_of(self.config), inputs])

    def losses(
        self, content: np.ndarray, pixels: mx.nd.NDArray | np.ndarray
    ) -> tuple[dict[str, float], mx.nd.NDArray]:
        """The losses of a result by name, and the gradient of their total to the result.

        ``content`` is ``rgb01`` (size, size, 3), the result (1, 3, size, size) from 0 to 255.
        """
        self._objective.aim(image_inputs.to_vgg_input(content, 255.0))
        mean = mx.nd.array(np.reshape(RGB_MEAN, (1, 3, 1, 1)), ctx=self.network.context)
        pixels = mx.nd.array(pixels, ctx=self.network.context)
        evaluation = self._objective(mx.nd.broadcast_sub(pixels, mean))
        return evaluation.losses, evaluation.gradient

    def batch(self) -> tuple[dict[str, float], float]:
        """Compute the gradient of this step's batch; the mean losses and its norm, both finite."""
        for gradient in self._gradients.values():
            gradient[:] = 0
        each, count = [], self.config.batch_size
        for crop in self.photos.crops(self.step, count):
            (pixels,) = self._executor.forward(is_train=True, image=to_pixels(crop))
            losses, gradient = self.losses(crop, pixels)
            self._executor.backward([gradient])
            each.append(losses)
        losses = average(each)
        flat = mx.nd.concat(*[array.reshape(-1) for array in self._gradients.values()], dim=0)
        norm = float(flat.norm().asscalar()) / count
        if not (math.isfinite(losses["total"]) and math.isfinite(norm)):
            bad = [name for name, value in losses.items() if not math.isfinite(value)]
            raise DivergedError(
                f"step {self.step}: {', '.join(bad) or 'the gradient'} became NaN or infinite"
            )
        return losses, norm

    def update(self) -> None:
        """Take one step of Adam along the gradient of :meth:`batch`."""
        config, adam = self.config, self.config.adam
        self.step += 1
        # Adam's correction for moments that begin at zero, as one factor of the learning rate.
        lr = config.lr * math.sqrt(1 - adam.beta2**self.step) / (1 - adam.beta1**self.step)
        for name, parameter in self.transformer.parameters.items():
            mx.nd.adam_update(
                parameter, self._gradients[name], self._means[name], self._variances[name],
                out=parameter, lr=lr, beta1=adam.beta1, beta2=adam.beta2, epsilon=adam.epsilon,
                rescale_grad=1 / config.batch_size,
            )  # fmt: skip

    def validate(self, network: Callable | None = None) -> dict[str, float]:
        """Mean losses on the held-out images' centers, of this network or of another one."""
        network, size = network or self.transformer, self.config.data.size
        crops = [center(picture.rgb, size) for picture in self.photos.held_out]
        return average([self.losses(crop, to_pixels(network(crop)))[0] for crop in crops])

    def sample(self) -> np.ndarray:
        """The first three held-out images side by side, stylised; ``rgb01``."""
        least, shown = self.transformer.net.least_side, []
        height = max(192, least)  # pixels
        for picture in self.photos.held_out[:3]:
            width = max(least, height * picture.width // picture.height)
            shown.append(self.transformer(io.resize_to(picture.rgb, height, width)))
        return np.clip(np.concatenate(shown, axis=1), 0, 1)

    def _arrays(self) -> dict[str, mx.nd.NDArray]:
        """Parameters and Adam's moments, by their names in a checkpoint."""
        names = ("parameter", "mean", "variance")
        groups = zip(names, (self.transformer.parameters, self._means, self._variances))
        return {f"{group}.{name}": arrays[name] for group, arrays in groups for name in arrays}

    def save(self, path: Path) -> None:
        """Write a checkpoint, atomically."""
        facts = {"step": self.step, "seconds": self.seconds, "skipped": self.photos.skipped}
        arrays = {name: array.asnumpy() for name, array in self._arrays().items()}
        checkpoint.write(path, State({"identity": self.identity, **facts}, arrays))

    def restore(self, path: Path) -> None:
        """Take up the state in a checkpoint; InputError for another training's or more steps."""
        arrays = self._arrays()
        state = checkpoint.read(path, FACTS, self.identity)
        checkpoint.check_arrays(path, state, {name: array.shape for name, array in arrays.items()})
        step, steps = state.facts["step"], self.config.steps
        if step > steps:
            raise InputError(f"steps={steps}: {path.parent} has {step} already")
        for name, array in arrays.items():
            array[:] = state.arrays[name]
        self.step, self.seconds = step, state.facts["seconds"]
        self.photos.skipped.update(state.facts["skipped"])


def average(each: list[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each named loss."""
    return {name: float(np.mean([losses[name] for losses in each])) for name in each[0]}


def run(config: TrainConfig, directory: Path, *, replace: bool = False) -> dict[str, Any]:
    """Train a network, or resume its training from the last checkpoint in ``directory``.

    The directory gets config.yaml, curve.csv, checkpoint.npz, samples/, and at the end net.npz,
    sample.png, loss.png and, last of all, metrics.json, whose content is returned. Another
    training in it is an InputError or, with ``replace``, removed; the log says so. Raises
    DivergedError when a loss became NaN or infinite (the last checkpoint is kept), BusyError if
    another process works in the directory, and ResultsError if it cannot be written.
    """
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
        "%s: network %s, loss network %s, %d images, %d held out", trainer.style.name,
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
        except KeyboardInterrupt:
            log.warning("interrupted at step %d; the same command resumes", trainer.step)
            raise
    trainer.save(directory / CHECKPOINT)
    network = directory / layouts.PARAMETERS
    layouts.save(network, trainer.transformer.net, trainer.transformer.arrays())
    io.save_png(directory / SAMPLE, trainer.sample())
    curve = pd.read_csv(directory / run_directory.CURVE)
    _plot(curve, directory / run_directory.LOSS, trainer.style.name)
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
            trainer.seconds = time.perf_counter() - start
            if step % config.save_steps == 0:
                trainer.save(checkpoint)
        losses, norm = trainer.batch()
        due = step % config.validate_steps == 0 or step == config.steps
        validation = trainer.validate() if due else dict.fromkeys(losses, math.nan)
        losses |= {f"validation.{name}": value for name, value in validation.items()}
        trainer.seconds = time.perf_counter() - start
        record(Step(
            epoch=step, evaluations=(step + 1) * config.batch_size, seconds=trainer.seconds,
            lr=config.lr, gradient_norm=norm, losses=losses,
        ))  # fmt: skip


def _metrics(trainer: Trainer, first_row: pd.Series) -> dict[str, Any]:
    config, photos, style = trainer.config, trainer.photos, trainer.style
    weights = trainer.network.weights
    validation = trainer.validate()
    return {
        "status": "finished", "identity": trainer.identity,
        "recipe": config.recipe.name, "net": config.net.name, "seed": config.seed,
        "style": {n: getattr(style, n) for n in ("name", "source", "sha256", "stand_in_for")},
        "model": {
            "name": trainer.network.architecture.name,
            "source": weights.source, "sha256": weights.sha256,
        },
        "data": {
            "pictures": len(photos.names),
            "held_out": [picture.name for picture in photos.held_out],
            "skipped": len(photos.skipped),
        },
        "steps": trainer.step, "crops": trainer.step * config.batch_size,
        "seconds": trainer.seconds,
        "validation": validation,
        "validation_at_start": {name: first_row[f"validation.{name}"] for name in validation},
        "validation_of_identity": trainer.validate(lambda crop: crop),
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
    runs = [SimpleNamespace(curve=part, value={"images": name}.get) for name, part in parts.items()]
    figure = curves.overlaid(runs, "images", names, title=title)
    for axes in figure.axes:
        axes.set_xlabel("step")
    plot_style.save(figure, target.with_suffix(""), kinds=("png",))
