"""Everything that an experiment reads: images, masks and network, checked and scaled."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np

from nstrep.base.errors import InputError
from nstrep.base.text import shown
from nstrep.config.schema import INITS, ExperimentConfig
from nstrep.experiment import image_inputs as images
from nstrep.experiment import network_input
from nstrep.experiment.scales import scales_of
from nstrep.images import io
from nstrep.images.color import MODES, grey
from nstrep.images.io import Picture
from nstrep.losses import regions, tiling
from nstrep.losses.regions import Region
from nstrep.losses.term import extra_layers, extra_settings
from nstrep.networks.features import Network
from nstrep.optim import minimize

log = logging.getLogger(__name__)

Image = TypeVar("Image", Picture, np.ndarray)


@dataclass(frozen=True, kw_only=True)
class Files:
    """What an experiment reads, at full size."""

    content: Picture
    styles: tuple[Picture, ...]
    masks: dict[str, list[Picture]]  # by key: content_masks and style_masks
    first_guess: Picture | None  # the image that init names, if it names one
    network: Network

    def at(self, config: ExperimentConfig) -> Inputs:
        """Scale the images as a configuration says, check the sizes, and make the start."""
        content_rgb01, *styles_rgb01 = images.scaled([self.content, *self.styles], config)
        _check_sizes(config, self.network, content_rgb01, styles_rgb01)
        mode, pixel_scale = MODES[config.color], config.preprocess.pixel_scale
        styles_rgb01 = [mode.style(style, content_rgb01) for style in styles_rgb01]
        content_target = mode.content(content_rgb01)
        start = images.start_image(config, content_target, styles_rgb01[0], self.first_guess)
        if mode.luminance:
            start = images.to_vgg_input(grey(images.to_rgb01(start, pixel_scale)), pixel_scale)
        stride = self.network.architecture.stride(config.style_layers)
        style_regions = regions.assemble(
            [images.to_vgg_input(style, pixel_scale) for style in styles_rgb01],
            config.style_blend,
            *scaled_masks(self.masks, content_rgb01, styles_rgb01, stride),
        )
        return Inputs(
            **{each.name: getattr(self, each.name) for each in fields(Files)},
            content_rgb01=content_rgb01, content_target=content_target, styles_rgb01=styles_rgb01,
            regions=style_regions, start=start,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Inputs(Files):
    """The files of an experiment, and the arrays made of them, all of it checked."""

    content_rgb01: np.ndarray  # at working size; the result has its shape
    content_target: np.ndarray  # the same as the network sees it: all of it, or its luminance
    styles_rgb01: list[np.ndarray]  # as the network sees them
    regions: tuple[Region, ...]
    start: np.ndarray  # vgg_input, where the optimisation starts

    @property
    def provenance(self) -> dict[str, dict[str, Any]]:
        """Names, sources and hashes of all files, as metrics.json has them."""
        return {
            **_numbered("content", [self.content]),
            **_numbered("style", self.styles),
            **_numbered("content_mask", self.masks["content_masks"]),
            **_numbered("style_mask", self.masks["style_masks"]),
            "model": self.network.facts,
            **_numbered("init", [self.first_guess] if self.first_guess else []),
        }


def _numbered(role: str, pictures: Sequence[Picture]) -> dict[str, dict[str, Any]]:
    """The images of a role as style, style2, style3, ..."""
    return {
        f"{role}{number if number > 1 else ''}": picture.facts
        for number, picture in enumerate(pictures, start=1)
    }


def load_inputs(
    config: ExperimentConfig, given: Mapping[str, Picture] = MappingProxyType({})
) -> Inputs:
    """Read images and weights, and check them against the settings.

    Images that are in memory are ``given``: ``content``, ``style``, ``init``, ``styles[0]``, ...
    """
    minimize.check(config.optimizer, config.lr)
    content, *styles = images.load_pictures(config, given)
    masks = {
        key: [
            load_mask(file, image, key=key, given=given.get(f"{key}[{place}]"))
            for place, (file, image) in enumerate(zip(getattr(config, key), masked))
        ]
        for key, masked in _masked_images(content, styles).items()
    }
    network = network_input.load_network(config)
    guess = given.get("init")
    if guess is None and config.init not in INITS:
        guess = images.load_file(config.init, key="init")
    files = Files(
        content=content, styles=tuple(styles), masks=masks, first_guess=guess, network=network
    )
    inputs = files.at(config)
    if config.scales:  # the coarsest may be too small: say so before any work
        files.at(scales_of(config, content)[0].config)
    return inputs


def _check_sizes(
    config: ExperimentConfig, network: Network, content: np.ndarray, styles: list[np.ndarray]
) -> None:
    """Refuse images that are too small for the layers, and tiles that are too small."""
    architecture = network.architecture
    extra = extra_layers(extra_settings(config.extra_losses, architecture))
    style_layers = [*config.style_layers, *extra]
    layers = [*config.content_layers, *style_layers]
    edge = images.size_keys(config)
    images.check_size(content, architecture, layers, edge)
    if style_layers:
        scale = images.size_keys(config, scaled=True)
        for style in styles:
            images.check_size(style, architecture, style_layers, scale)
    if config.tile not in (None, "auto"):
        tiling.check(network, layers, *content.shape[:2], config.tile)


def load_mask(path: str, image: Picture, *, key: str, given: Picture | None = None) -> Picture:
    """Read a mask, if it is not ``given``: any image file with the shape of its image.

    Its size may differ; its shape may differ by one pixel of rounding. The mean of the channels
    counts. Transparent pixels count as white, as in every image.
    """
    mask = given or io.load_picture(path, key=key)
    if abs(mask.height * image.width - image.height * mask.width) > image.width + image.height:
        raise InputError(
            f"{key}={shown(path)}: is {mask.width} x {mask.height} pixels; allowed:"
            f" {image.width} x {image.height}, the size of {image.name}, or this shape in another"
            " size"
        )
    white = mask.rgb.mean(axis=2)
    if white.max() < 0.5:
        raise InputError(f"{key}={shown(path)}: has no white; white is what belongs to the region")
    if white.min() > 0.99:
        log.warning("%s=%s: is white all over, so that nothing is left out", key, shown(path))
    return mask


def scaled_masks(
    masks: dict[str, list[Picture]], content: np.ndarray, styles: Sequence[np.ndarray], stride: int
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Masks at the sizes of the images (H, W, 3) that they belong to, (H, W) float32 in [0, 1].

    The interpolation is bilinear (over the area when shrinking), whatever that of the images: the
    others overshoot at edges, so that the style would leave the region. InputError if a thin mask
    has no white left at the deepest style layer, which has this stride.
    """

    def scaled(key: str, mask: Picture, image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        small = io.resize_to(mask.rgb, height, width, method="bilinear").mean(axis=2)
        if not regions.pooled(small, stride).any():
            raise InputError(
                f"{key}={shown(mask.source)}: nothing white is left of it at {width} x {height}"
                f" pixels in the deepest of the style_layers, which has one position for"
                f" {stride} x {stride}"
            )
        return small

    by_key = _masked_images(content, styles)
    return tuple([scaled(key, *pair) for pair in zip(masks[key], by_key[key])] for key in by_key)


def _masked_images(content: Image, styles: Sequence[Image]) -> dict[str, Iterable[Image]]:
    """The images that the masks of a key belong to, in order; a single style image has them all."""
    return {"content_masks": itertools.repeat(content), "style_masks": itertools.cycle(styles)}
