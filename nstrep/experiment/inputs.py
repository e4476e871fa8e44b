"""What an experiment reads, checked and scaled, before any work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from nstrep.config.schema import ExperimentConfig
from nstrep.experiment import image_inputs as pictures
from nstrep.experiment import network_input
from nstrep.experiment.masks import load_masks, scaled_masks
from nstrep.images.color import MODES, grey
from nstrep.images.io import Picture
from nstrep.losses import regions, tiling
from nstrep.losses.extra import extra_layers, extra_settings
from nstrep.losses.regions import Region
from nstrep.networks.features import Network


@dataclass(frozen=True)
class Prepared:
    """Everything that can be refused has been read and checked; nothing has been optimised."""

    content: Picture
    styles: tuple[Picture, ...]
    masks: dict[str, list[Picture]]
    """By key: content_masks and style_masks."""
    photo: np.ndarray
    """``rgb01`` at working size; the result has its shape."""
    seen: np.ndarray
    """What the network sees of the photo, ``rgb01``: all of it, or its luminance."""
    paintings: list[np.ndarray]
    """As the network sees them, ``rgb01``: in the photo's colours if those are kept."""
    regions: tuple[Region, ...]
    start: np.ndarray
    """``vgg_input`` that the optimisation starts from."""
    network: Network
    first_guess: Picture | None
    """The file that ``start`` comes from, if one was named."""
    given: Mapping[str, Picture]
    """Pictures that came from memory."""

    @property
    def inputs(self) -> dict[str, dict[str, Any]]:
        """What the run reads, with its hashes."""
        guess = {} if self.first_guess is None else {"init": _about(self.first_guess)}
        return {
            "content": _about(self.content),
            **_numbered("style", self.styles),
            **_numbered("content_mask", self.masks["content_masks"]),
            **_numbered("style_mask", self.masks["style_masks"]),
            "model": {
                "name": self.network.architecture.name,
                "source": self.network.weights.source,
                "sha256": self.network.weights.sha256,
            },
            **guess,
        }


def _numbered(role: str, pictures: Sequence[Picture]) -> dict[str, dict[str, Any]]:
    """What is known of each: style, style2, style3, ..."""
    return {
        f"{role}{number if number > 1 else ''}": _about(picture)
        for number, picture in enumerate(pictures, start=1)
    }


def _about(picture: Picture) -> dict[str, Any]:
    return {
        "name": picture.name,
        "source": picture.source,
        "sha256": picture.sha256,
        "stand_in_for": picture.stand_in_for,
    }


def prepare(
    config: ExperimentConfig, given: Mapping[str, Picture] = MappingProxyType({})
) -> Prepared:
    """Read pictures and weights and scale them.

    Args:
        config: the experiment.
        given: pictures in memory; see :func:`nstrep.experiment.image_inputs.load_pictures`.

    Raises:
        InputError: whatever cannot be used, before any work.

    """
    content, *styles = loaded = pictures.load_pictures(config, given)
    masks = load_masks(config, content, styles)
    network = network_input.load_network(config)
    photo, *paintings = pictures.scaled(loaded, config)
    extra = extra_layers(extra_settings(config.extra_losses, network.architecture))
    layers = [*config.content_layers, *config.style_layers, *extra]
    edge = f"max_long_edge={config.max_long_edge}"
    pictures.check_size(photo, network.architecture, layers, edge)
    if config.multiscale:
        half = f"max_long_edge={max(photo.shape[:2]) // 2}, half the size for multiscale"
        pictures.check_size(photo[::2, ::2], network.architecture, layers, half)
    if config.style_layers or extra:
        scale = f"{edge}, style_scale={config.style_scale:g}"
        for painting in paintings:
            pictures.check_size(
                painting, network.architecture, [*config.style_layers, *extra], scale
            )
    if config.tile not in (None, "auto"):
        tiling.check(network, layers, *photo.shape[:2], config.tile)
    mode, pixel_scale = MODES[config.color], config.preprocess.pixel_scale
    paintings = [mode.style(painting, photo) for painting in paintings]
    seen = mode.content(photo)
    rng = np.random.Generator(np.random.PCG64(config.seed))
    guess = pictures.first_guess(config)
    start = pictures.start_image(config, seen, paintings[0], guess, rng)
    if mode.luminance:
        start = pictures.to_vgg_input(grey(pictures.to_rgb01(start, pixel_scale)), pixel_scale)
    targets = regions.assemble(
        [pictures.to_vgg_input(painting, pixel_scale) for painting in paintings],
        config.style_blend,
        *scaled_masks(masks, photo, paintings, network.architecture.stride(config.style_layers)),
    )
    return Prepared(
        content, tuple(styles), masks, photo, seen, paintings, targets, start, network, guess, given
    )
