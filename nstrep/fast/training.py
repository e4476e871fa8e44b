"""Training a transform network: a run directory that can be killed and gone on with.

Row 0 of curve.csv is the untrained network; row t has the losses of batch t after t updates.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import mxnet as mx
import numpy as np
from tqdm.contrib.logging import logging_redirect_tqdm

from nstrep.base import process_memory
from nstrep.base.errors import DivergedError, InputError, ResultsError
from nstrep.base.files import remove_unfinished
from nstrep.base.text import reason
from nstrep.config.checks import layer_weights
from nstrep.experiment import (
    checkpoint,
    image_inputs,
    network_input,
    recorders,
    run_directory,
)
from nstrep.experiment.identity import digest, settings_of
from nstrep.experiment.run_directory import CHECKPOINT
from nstrep.fast import figures, layouts
from nstrep.fast.architectures import choose
from nstrep.fast.config import TrainConfig
from nstrep.fast.data import Photos
from nstrep.fast.network import Transformer, initial, to_pixels
from nstrep.images import io
from nstrep.losses import regions
from nstrep.losses.objective import LayerWeights, Objective
from nstrep.networks.vgg import RGB_MEAN
from nstrep.optim import state
from nstrep.optim.minimize import Step
from nstrep.optim.state import State

log = logging.getLogger(__name__)

PARAMETERS, SAMPLES = "net.npz", "samples"

SAMPLE, SAMPLE_HEIGHT = "sample.png", 192

LEFT_BY_A_TRAINING = (*run_directory.ALL, PARAMETERS, SAMPLES, SAMPLE)

FACTS = {
    "step": state.is_count,
    "seconds": state.is_number,
    "skipped": lambda value: (
        isinstance(value, dict) and all(isinstance(why, str) for why in value.values())
    ),
}
"""Of a checkpoint, and what they may be."""


class Losses:
    """The perceptual losses of pictures of one size, and their gradient to the picture."""

    def __init__(self, config: TrainConfig, style: np.ndarray) -> None:
        """Compute the targets of the painting and bind the loss network.

        Args:
            config: network, layers, weights and formulas.
            style: the painting, ``rgb01``, at its working size.

        """
        self.network = network_input.load_network(config)
        size = config.data.size
        image_inputs.check_size(
            np.empty((size, size, 3)),
            self.network.architecture,
            [*config.content_layers, *config.style_layers],
            f"data.size={size}",
        )
        image_inputs.check_size(
            style, self.network.architecture, config.style_layers, f"style_size={config.style_size}"
        )
        self._objective = Objective(
            self.network,
            np.zeros((1, 3, size, size), np.float32),
            regions.whole(image_inputs.to_vgg_input(style, 255.0)),
            LayerWeights(
                layer_weights(config, "content"), layer_weights(config, "style"), config.tv_weight
            ),
            config.losses,
        )
        layers = tuple(config.content_layers)
        tapped = self.network.taps(mx.sym.Variable("image"), layers)
        image = mx.nd.zeros((1, 3, size, size), ctx=self.network.context)
        self._layers = layers
        self._features = self.network.bind(mx.sym.Group(list(tapped.values())), {"image": image})

    def __call__(
        self, content: np.ndarray, pixels: mx.nd.NDArray | np.ndarray
    ) -> tuple[dict[str, float], mx.nd.NDArray]:
        """Losses and gradient of a result.

        Args:
            content: the photo, ``rgb01`` (size, size, 3).
            pixels: the result, (1, 3, size, size), 0 to 255.

        Returns:
            The losses by name, and the gradient of their total to ``pixels``, a view.

        """
        if self._layers:
            found = self._features.forward(
                is_train=False, image=mx.nd.array(image_inputs.to_vgg_input(content, 255.0))
            )
            self._objective.aim(
                {layer: array.asnumpy() for layer, array in zip(self._layers, found)}
            )
        mean = mx.nd.array(np.array(RGB_MEAN).reshape(1, 3, 1, 1), ctx=self.network.context)
        at = mx.nd.array(pixels, ctx=self.network.context)
        evaluation = self._objective(mx.nd.broadcast_sub(at, mean))
        return evaluation.losses, evaluation.gradient


class Training:
    """The state of a training: parameters, Adam's moments, and how far it is."""

    def __init__(self, config: TrainConfig) -> None:
        """Read and check everything; nothing is trained yet.

        Raises:
            InputError: a setting, a picture or the weights cannot be used.

        """
        self.config = config
        self.photos = Photos(config.data, config.seed)
        self.style = (
            image_inputs.load_file(config.style_image, key="style_image")
            if config.style_image is not None
            else image_inputs.load_named(config.style, key="style", download=config.assets.download)
        )
        painting = io.resize_long_edge(self.style.rgb, config.style_size)
        self.losses = Losses(config, painting)
        net = choose(config.net.name, config.net.border, config.net.padding)
        self.transformer = Transformer(net, initial(net, config.seed), self.losses.network.context)
        size = config.data.size
        self.transformer.check_size(size, size, f"data.size={size}")
        parameters = self.transformer.parameters
        self._moments = {
            part: {name: mx.nd.zeros_like(array) for name, array in parameters.items()}
            for part in ("mean", "variance")
        }
        self._gradients = {name: mx.nd.zeros_like(array) for name, array in parameters.items()}
        self._executor = self.transformer.bind(size, size, self._gradients)
        self.step = 0
        self.seconds = 0.0

    @cached_property
    def identity(self) -> str:
        """SHA-256 over what decides every update."""
        weights, style = self.losses.network.weights, self.style
        photos = [Path(name).name for name in self.photos.names]
        held = [picture.sha256 for picture in self.photos.held_out]
        read = [weights.sha256, style.sha256, photos, held]
        return digest([settings_of(self.config), read])

    def batch(self) -> tuple[dict[str, float], float]:
        """Compute the gradient of this step's batch.

        Returns:
            The losses, means over the batch, and the norm of the gradient to the parameters.

        Raises:
            DivergedError: a loss or the gradient is not finite.

        """
        for gradient in self._gradients.values():
            gradient[:] = 0
        count = self.config.batch_size
        found = []
        for crop in self.photos.crops(self.step, count):
            (pixels,) = self._executor.forward(is_train=True, image=to_pixels(crop))
            losses, gradient = self.losses(crop, pixels)
            self._executor.backward([gradient])
            found.append(losses)
        mean = average(found)
        norm = float(mx.nd.concat(*[g.reshape(-1) for g in self._gradients.values()], dim=0)
                     .norm().asscalar()) / count  # fmt: skip
        if not (math.isfinite(mean["total"]) and math.isfinite(norm)):
            bad = [name for name, value in mean.items() if not math.isfinite(value)]
            raise DivergedError(
                f"step {self.step}: {', '.join(bad) or 'the gradient'} became NaN or infinite"
            )
        return mean, norm

    def update(self) -> None:
        """Take one step of Adam along the gradient of :meth:`batch`."""
        config, adam = self.config, self.config.adam
        self.step += 1
        # Adam's correction for moments that begin at zero, as one factor of the learning rate.
        lr = config.lr * math.sqrt(1 - adam.beta2**self.step) / (1 - adam.beta1**self.step)
        for name, parameter in self.transformer.parameters.items():
            mx.nd.adam_update(
                parameter, self._gradients[name], self._moments["mean"][name],
                self._moments["variance"][name], out=parameter, lr=lr, beta1=adam.beta1,
                beta2=adam.beta2, epsilon=adam.epsilon, rescale_grad=1 / config.batch_size,
            )  # fmt: skip

    def validate(self) -> dict[str, float]:
        """Losses on the held-out pictures, means."""
        return average(
            [
                self.losses(crop, to_pixels(self.transformer(crop)))[0]
                for crop in self.photos.validation()
            ]
        )

    def validate_identity(self) -> dict[str, float]:
        """The same of the network that changes nothing."""
        crops = self.photos.validation()
        return average([self.losses(crop, to_pixels(crop))[0] for crop in crops])

    def sample(self) -> np.ndarray:
        """The held-out pictures side by side, stylised; ``rgb01``."""
        height = max(SAMPLE_HEIGHT, self.transformer.net.least_side)
        shown = []
        for picture in self.photos.held_out[:3]:
            width = max(self.transformer.net.least_side, height * picture.width // picture.height)
            shown.append(self.transformer(io.resize_to(picture.rgb, height, width)))
        return np.clip(np.concatenate(shown, axis=1), 0, 1)

    def save(self, path: Path) -> None:
        """Write a checkpoint, atomically: all that the next updates depend on."""
        facts = {
            "identity": self.identity, "step": self.step, "seconds": self.seconds,
            "skipped": self.photos.skipped,
        }  # fmt: skip
        arrays = {name: array.asnumpy() for name, array in self._kept().items()}
        checkpoint.write(path, State(facts, arrays))

    def _kept(self) -> dict[str, mx.nd.NDArray]:
        """Parameters and Adam's moments, by the names that they have in a checkpoint."""
        kept = {"parameter": self.transformer.parameters, **self._moments}
        return {
            f"{part}.{name}": array for part, named in kept.items() for name, array in named.items()
        }

    def goes_on(self, path: Path) -> bool:
        """Whether a checkpoint is one of this training; the log says what else it is."""
        if not path.exists():
            return False
        try:
            self.restore(path)
        except InputError as error:
            log.warning("trained anew: %s", error)
            return False
        return self.step <= self.config.steps

    def restore(self, path: Path) -> None:
        """Go on from a checkpoint.

        Raises:
            InputError: it is of another training, or damaged.

        """
        kept = self._kept()
        state = checkpoint.read(path, FACTS, self.identity)
        checkpoint.check_arrays(path, state, {name: array.shape for name, array in kept.items()})
        for name, array in kept.items():
            array[:] = state.arrays[name]
        self.step, self.seconds = state.facts["step"], state.facts["seconds"]
        self.photos.skipped.update(state.facts["skipped"])


def average(found: list[Mapping[str, float]]) -> dict[str, float]:
    """Means by name."""
    return {name: float(np.mean([losses[name] for losses in found])) for name in found[0]}


def run(config: TrainConfig, directory: Path) -> dict[str, Any]:
    """Train, and leave the results in ``directory``; the same call goes on after a kill.

    The directory gets config.yaml, curve.csv, checkpoint.npz, samples/, and at the end net.npz,
    loss.png and, last of all, metrics.json.

    Returns:
        What metrics.json holds.

    Raises:
        InputError: something cannot be used, or the directory is of another training.
        DivergedError: NaN or infinity; the last checkpoint is kept.
        BusyError: another process is at work in the directory.
        ResultsError: the directory cannot be written.

    """
    training = Training(config)
    with run_directory.locked(directory), run_directory.failures_kept(directory):
        try:
            remove_unfinished(directory)
            return _run(training, directory)
        except OSError as error:
            raise ResultsError(f"{directory}: cannot be written ({reason(error)})") from None


def run_once(config: TrainConfig, directory: Path) -> dict[str, Any]:
    """As :func:`run`, but a directory of another training is cleared, and the log says why.

    Raises:
        NstrepError: as :func:`run`.

    """
    training = Training(config)
    with run_directory.locked(directory), run_directory.failures_kept(directory):
        try:
            if not training.goes_on(directory / CHECKPOINT):
                run_directory.clear(directory, LEFT_BY_A_TRAINING)
            return _run(training, directory)
        except OSError as error:
            raise ResultsError(f"{directory}: cannot be written ({reason(error)})") from None


def _run(training: Training, directory: Path) -> dict[str, Any]:
    config = training.config
    if (directory / CHECKPOINT).exists():
        training.restore(directory / CHECKPOINT)
        if training.step > config.steps:
            raise InputError(f"steps={config.steps}: {directory} has {training.step} already")
        done = run_directory.stored(directory)
        if done is not None and done.get("steps") == config.steps:
            log.info("done before: %s", directory)
            return done
        log.info("going on at step %d: %s", training.step, directory)
    for name in (run_directory.METRICS, run_directory.FAILED):
        (directory / name).unlink(missing_ok=True)
    run_directory.claim(directory, config, resumes=True)
    log.info(
        "%s: network %s, loss network %s, %d pictures, %d held out",
        training.style.name,
        config.net.name,
        training.losses.network.architecture.name,
        len(training.photos.names),
        len(training.photos.held_out),
    )
    watch = _Watch(training, directory)
    with logging_redirect_tqdm():
        try:
            _loop(training, directory, watch)
        except KeyboardInterrupt:
            log.warning("interrupted at step %d; the same command goes on", training.step)
            raise
        finally:
            watch.close()
    training.save(directory / CHECKPOINT)
    transformer = training.transformer
    layouts.save(directory / PARAMETERS, transformer.net, transformer.arrays())
    io.save_png(directory / SAMPLE, training.sample())
    figures.curves(
        directory / run_directory.CURVE, directory / run_directory.LOSS, training.style.name
    )
    metrics = run_directory.write_metrics(directory, _metrics(training, directory))
    log.info(
        "%d steps in %.0f s, held-out total %.4g (identity %.4g): %s",
        training.step,
        training.seconds,
        metrics["validation"]["total"],
        metrics["validation_of_identity"]["total"],
        directory / PARAMETERS,
    )
    if training.photos.skipped:
        log.warning("pictures that could not be read: %d", len(training.photos.skipped))
    return metrics


def _loop(training: Training, directory: Path, watch: _Watch) -> None:
    config, began = training.config, training.step
    clock = time.perf_counter() - training.seconds
    while True:
        step = training.step
        training.seconds = time.perf_counter() - clock
        if step > began and step % config.save_steps == 0:
            training.save(directory / CHECKPOINT)
        losses, norm = training.batch()
        due = step % config.validate_steps == 0 or step == config.steps
        held = training.validate() if due else dict.fromkeys(losses, math.nan)
        losses |= {f"validation.{name}": value for name, value in held.items()}
        training.seconds = time.perf_counter() - clock
        watch(losses, norm)
        if step == config.steps:
            return
        training.update()


class _Watch:
    """What is written and shown while a network is trained: the recorders of an experiment."""

    def __init__(self, training: Training, directory: Path) -> None:
        self._training = training
        config = training.config

        def sample(_: np.ndarray) -> np.ndarray:
            return training.sample()

        curve = recorders.Curve(directory / run_directory.CURVE, upto=training.step - 1)
        bar = recorders.Bar(config.steps, begun=training.step, unit="step")
        self._closing: list[Any] = [bar, curve]
        self._recorders = [
            curve, bar, recorders.Snapshots(directory / SAMPLES, config.save_steps, sample, "step")
        ]  # fmt: skip
        if config.logger == "tensorboard":
            from nstrep.experiment.tensorboard import TensorBoard  # takes a while to import

            board = TensorBoard(
                directory / run_directory.TENSORBOARD, config.save_steps, sample, training.step
            )
            self._recorders.append(board)
            self._closing.insert(0, board)

    def __call__(self, losses: Mapping[str, float], norm: float) -> None:
        training = self._training
        step = Step(
            epoch=training.step,
            evaluations=(training.step + 1) * training.config.batch_size,
            seconds=training.seconds,
            lr=training.config.lr,
            eps=math.nan,
            loss_change=math.nan,
            gradient_norm=norm,
            losses=losses,
            image=np.empty(0),
        )
        for record in self._recorders:
            record(step)

    def close(self) -> None:
        for recorder in self._closing:
            recorder.close()


def _metrics(training: Training, directory: Path) -> dict[str, Any]:
    config, network = training.config, training.losses.network
    style = training.style
    first = figures.read_curve(directory / run_directory.CURVE).iloc[0]
    held = [name for name in first.index if name.startswith("validation.")]
    return {
        "status": "finished",
        "identity": training.identity,
        "recipe": config.recipe.name,
        "net": config.net.name,
        "seed": config.seed,
        "style": {
            "name": style.name,
            "source": style.source,
            "sha256": style.sha256,
            "stand_in_for": style.stand_in_for,
        },
        "model": {
            "name": network.architecture.name,
            "source": network.weights.source,
            "sha256": network.weights.sha256,
        },
        "data": {
            "pictures": len(training.photos.names),
            "held_out": [picture.name for picture in training.photos.held_out],
            "skipped": len(training.photos.skipped),
        },
        "steps": training.step,
        "crops": training.step * config.batch_size,
        "seconds": training.seconds,
        "validation": training.validate(),
        "validation_at_start": {
            name.removeprefix("validation."): float(first[name]) for name in held
        },
        "validation_of_identity": training.validate_identity(),
        "peak_memory_mb": process_memory.memory_mb()["peak"],
    }
