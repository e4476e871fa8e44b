"""A transform network in training: its losses, gradients, updates, and checkpoints."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import Any

import mxnet as mx
import numpy as np

from nstrep.base.errors import DivergedError, InputError
from nstrep.base.files import sha256_of
from nstrep.experiment import checkpoint, image_inputs, network_input
from nstrep.experiment.identity import digest, settings_of
from nstrep.fast import layouts
from nstrep.fast.architectures import TransformNet, choose
from nstrep.fast.config import TrainConfig
from nstrep.fast.data import Photos, center, paintings
from nstrep.fast.graph import check_size, noise, style_weights, to_pixels
from nstrep.fast.grid import grid_loss
from nstrep.fast.network import Transformer, initial
from nstrep.images import io
from nstrep.losses import regions
from nstrep.losses.objective import Objective, term_settings
from nstrep.networks.vgg import RGB_MEAN
from nstrep.optim import state
from nstrep.optim.problem import not_finite
from nstrep.optim.state import State

Stylize = Callable[[np.ndarray, str], np.ndarray]  # from an image and a style to an image

SAMPLED_STYLES = 8  # most rows of a sample
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
        self.paintings = paintings(config)
        _check_weights(config.content_weights, self.paintings)
        self.network = network_input.load_network(config)
        size, layers = config.data.size, config.style_layers
        crop = np.zeros((1, 3, size, size), np.float32)
        check = partial(image_inputs.check_size, architecture=self.network.architecture)
        check(crop[0, 0], layers=[*config.content_layers, *layers], key=f"data.size={size}")
        targets = {}
        for name, painting in self.paintings.items():
            style = io.resize_long_edge(painting.rgb, config.style_size)
            check(style, layers=layers, key=f"style_size={config.style_size}")
            targets[name] = regions.whole(image_inputs.to_vgg_input(style, 255.0))
        settings = {name: term_settings(self._of_style(name)) for name in targets}
        first = next(iter(targets))
        self._objective = Objective(
            self.network, crop, targets[first], settings[first], config.losses
        )
        self._terms = {
            name: self._objective.terms_for(targets[name], settings[name])
            for name in (targets if len(targets) > 1 else ())
        }
        net, parameters = self._initial()
        self.transformer = Transformer(net, parameters, self.network.context)
        check_size(self.transformer.net, size, size, f"data.size={size}")
        trained = {
            name: array
            for name, array in self.transformer.parameters.items()
            if config.train == "all" or name.endswith(("_gamma", "_beta"))
        }
        self._gradients, self._means, self._variances = (
            {name: mx.nd.zeros_like(array) for name, array in trained.items()} for _ in range(3)
        )
        self._executor = self.transformer.bind(size, size, self._gradients)
        self.step, self.seconds = 0, 0.0
        self._last = self._state()  # after the last whole update

    @property
    def title(self) -> str:
        """The names of the styles, which tell stand-ins."""
        return ", ".join(each.label for each in self.paintings.values())

    def _of_style(self, name: str) -> TrainConfig:
        """The settings with the content weight of a style."""
        config, weights = self.config, self.config.content_weights or {}
        return replace(config, content_weight=weights.get(name, config.content_weight))

    def _initial(self) -> tuple[TransformNet, dict[str, np.ndarray]]:
        """The network and its parameters at the start: random, or those of ``init_from``."""
        config, names = self.config, [*self.paintings] if self.config.styles else []
        given = config.net.name, config.net.border, config.net.padding
        if config.init_from is None:
            net = choose(*given, styles=names)
            return net, initial(net, config.seed)
        stored, parameters = layouts.load(config.init_from, key="init_from")
        if (stored.name, stored.border, stored.padding) != given:
            raise InputError(
                f"init_from={config.init_from}: must be a network like net, has"
                f" net.name={stored.name} net.border={stored.border} net.padding={stored.padding}"
            )
        if stored.styles:
            names = list(dict.fromkeys([*stored.styles, *self.paintings]))
        net = choose(*given, styles=names)
        return net, with_styles(parameters, stored, net)

    def style_of(self, number: int) -> str:
        """The style of a crop, counted from the first: each style once in a random order, again."""
        names = list(self.paintings)
        epoch, position = divmod(number, len(names))
        rng = np.random.Generator(np.random.PCG64([self.config.seed, epoch, 2**32 + 1]))
        return names[rng.permutation(len(names))[position]]

    def stylize(self, rgb01: np.ndarray, style: str) -> np.ndarray:
        """An image in one of the trained styles, ``rgb01``, not clipped."""
        return self.transformer(rgb01, style)

    @cached_property
    def identity(self) -> str:
        """SHA-256 over everything that decides the updates."""
        photos = [Path(name).name for name in self.photos.names]
        held_out = [picture.sha256 for picture in self.photos.held_out]
        styles = [painting.sha256 for painting in self.paintings.values()]
        if self.config.styles:
            styles = [[*self.paintings], styles]
        inputs = [self.network.weights.sha256, *styles, photos, held_out]
        if self.config.init_from is not None:
            inputs.append(sha256_of(layouts.file_of(self.config.init_from)))
        return digest([settings_of(self.config), inputs])

    def losses(
        self, content: np.ndarray, pixels: mx.nd.NDArray | np.ndarray, style: str | None = None
    ) -> tuple[dict[str, float], mx.nd.NDArray]:
        """The losses of a result by name, and the gradient of their total to the result.

        ``content`` is ``rgb01`` (size, size, 3), the result (1, 3, size, size) from 0 to 255, and
        ``style`` the name of its style, which may be None if there is one.
        """
        if self._terms:
            self._objective.imitate(self._terms[style])
        self._objective.aim(image_inputs.to_vgg_input(content, 255.0))
        mean = mx.nd.array(np.reshape(RGB_MEAN, (1, 3, 1, 1)), ctx=self.network.context)
        pixels = mx.nd.array(pixels, ctx=self.network.context)
        evaluation = self._objective(mx.nd.broadcast_sub(pixels, mean))
        losses, gradient = evaluation.losses, evaluation.gradient
        if weight := self.config.grid_weight:
            grid, slope = grid_loss(pixels)
            losses |= {"total": losses["total"] + weight * grid, "grid_loss": weight * grid}
            gradient = gradient + weight * slope
        return losses, gradient

    def batch(self) -> tuple[dict[str, float], float]:
        """Compute the gradient of this step's batch; the mean losses and its norm, both finite."""
        for gradient in self._gradients.values():
            gradient[:] = 0
        each, count = [], self.config.batch_size
        for number, crop in enumerate(self.photos.crops(self.step, count)):
            style = self.style_of(self.step * count + number)
            net, inputs = self.transformer.net, {"image": to_pixels(crop)}
            if net.noise:
                inputs["noise"] = noise(net, *crop.shape[:2], self.step * count + number + 1)
            if net.styles:
                inputs["style"] = style_weights(net, style)[None]
            (pixels,) = self._executor.forward(is_train=True, **inputs)
            losses, gradient = self.losses(crop, pixels, style)
            self._executor.backward([gradient])
            each.append(losses)
        losses = average(each)
        flat = mx.nd.concat(*[array.reshape(-1) for array in self._gradients.values()], dim=0)
        norm = float(flat.norm().asscalar()) / count
        if not (math.isfinite(losses["total"]) and math.isfinite(norm)):
            raise DivergedError(f"step {self.step}: {not_finite(losses)} became NaN or infinite")
        return losses, norm

    @property
    def lr(self) -> float:
        """The learning rate of the next update: half a cosine over ``lr_steps``, or constant."""
        config = self.config
        if config.lr_steps is None:
            return config.lr
        done = min(self.step / config.lr_steps, 1.0)
        return config.lr * (1 + math.cos(math.pi * done)) / 2

    def update(self) -> None:
        """Take one step of Adam along the gradient of :meth:`batch`."""
        config, adam, lr = self.config, self.config.adam, self.lr
        self.step += 1
        # Adam's correction for moments that begin at zero, as one factor of the learning rate.
        lr *= math.sqrt(1 - adam.beta2**self.step) / (1 - adam.beta1**self.step)
        for name, gradient in self._gradients.items():
            parameter = self.transformer.parameters[name]
            mx.nd.adam_update(
                parameter, gradient, self._means[name], self._variances[name],
                out=parameter, lr=lr, beta1=adam.beta1, beta2=adam.beta2, epsilon=adam.epsilon,
                rescale_grad=1 / config.batch_size,
            )  # fmt: skip
        self._last = self._state()  # an interrupt in the next update leaves that half done

    def validate(self, network: Stylize | None = None) -> dict[str, dict[str, float]]:
        """Mean losses on the held-out images' centers by style, of this network or another one."""
        network, size = network or self.stylize, self.config.data.size
        crops = [center(picture.rgb, size) for picture in self.photos.held_out]
        return {
            style: average(
                [self.losses(crop, to_pixels(network(crop, style)), style)[0] for crop in crops]
            )
            for style in self.paintings
        }

    def sample(self) -> np.ndarray:
        """The first three held-out images side by side, stylised, a row a style; ``rgb01``."""
        least, rows = self.transformer.net.least_side, []
        height = max(192, least)  # pixels
        for style in islice(self.paintings, SAMPLED_STYLES):
            shown = []
            for picture in self.photos.held_out[:3]:
                width = max(least, height * picture.width // picture.height)
                photo = io.resize_to(picture.rgb, height, width)
                shown.append(self.stylize(photo, style))
            rows.append(np.concatenate(shown, axis=1))
        return np.clip(np.concatenate(rows), 0, 1)

    def _arrays(self) -> dict[str, mx.nd.NDArray]:
        """Parameters and Adam's moments, by their names in a checkpoint."""
        names = ("parameter", "mean", "variance")
        groups = zip(names, (self.transformer.parameters, self._means, self._variances))
        return {f"{group}.{name}": arrays[name] for group, arrays in groups for name in arrays}

    def _state(self) -> State:
        """What a checkpoint holds, which later updates do not change."""
        facts = {"step": self.step, "seconds": self.seconds, "skipped": self.photos.skipped}
        arrays = {name: array.asnumpy() for name, array in self._arrays().items()}
        return State({"identity": self.identity, **facts}, arrays)

    def save(self, path: Path) -> None:
        """Write a checkpoint of the last whole update, atomically."""
        checkpoint.write(path, self._last)

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
        self._last = state


def _check_weights(weights: Any, names: Iterable[str]) -> None:
    """Raise InputError unless ``content_weights`` maps names of the styles to weights."""
    if weights is not None and not (
        isinstance(weights, dict)
        and weights.keys() <= {*names}
        and all(isinstance(w, (int, float)) and 0 <= w < math.inf for w in weights.values())
    ):
        raise InputError(
            f"content_weights={weights}: must be weights of at least 0 for {', '.join(names)}"
        )


def average(each: list[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each named loss."""
    return {name: float(np.mean([losses[name] for losses in each])) for name in each[0]}


def with_styles(
    parameters: Mapping[str, np.ndarray], before: TransformNet, after: TransformNet
) -> dict[str, np.ndarray]:
    """The parameters of the same network with styles added after its own, if it has any.

    The scales and shifts of a new style are the mean of those that are there.
    """
    changed = dict(parameters)
    for name, shape in after.shapes.items():
        if shape != (old := changed[name]).shape:
            rows = old.reshape(-1, shape[1])
            kept = rows[: len(before.styles)]
            new = np.tile(rows.mean(axis=0), (shape[0] - len(kept), 1))
            changed[name] = np.concatenate([kept, new])
    return changed
