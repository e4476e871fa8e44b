"""Single images: read by name or file, resized as the settings say, and as the network's input."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
from cachetools import LRUCache, cached
from omegaconf import OmegaConf

from nstrep import assets
from nstrep.base.errors import InputError
from nstrep.base.files import stamp
from nstrep.config.folder import config_folder, group_options
from nstrep.config.messages import one_of
from nstrep.config.schema import SIDES, ExperimentConfig, ObjectiveConfig, PictureConfig
from nstrep.images import io
from nstrep.images.io import Picture
from nstrep.networks.vgg import RGB_MEAN, Architecture

log = logging.getLogger(__name__)


def load_pictures(
    config: ExperimentConfig, given: Mapping[str, Picture] = MappingProxyType({})
) -> tuple[Picture, ...]:
    """The content image, then the style images, at full size.

    Those in ``given``, by ``content``, ``style`` or ``styles[0]``, are in memory. An image of the
    content or style group whose file has not been downloaded is replaced by its built-in stand-in;
    the log says so, and so does ``stand_in_for``.
    """
    roles = ("content",) if config.styles else ("content", "style")
    pictures = [given[role] if role in given else load_role(config, role) for role in roles]
    for place, name in enumerate(config.styles):
        picture = given.get(f"styles[{place}]")
        pictures.append(picture or load_style(name, config.assets.download))
    return tuple(pictures)


def load_role(config: ObjectiveConfig, role: str) -> Picture:
    """The content or style image that a configuration names: a file, or one of the group."""
    file = getattr(config, f"{role}_image")
    if file is not None:
        return load_file(file, key=f"{role}_image")
    return load_named(getattr(config, role), key=role, download=config.assets.download)


def load_style(name: str, download: str) -> Picture:
    """One of several style images: a name of the style group, else a file."""
    if name in (options := group_options("style")):
        values = OmegaConf.load(config_folder() / "style" / f"{name}.yaml")
        return load_named(PictureConfig(**values), key="styles", download=download)
    if not os.path.exists(name) and not Path(name).suffix:  # rather a misspelt name
        word = Path(name).name
        raise InputError(f"styles={word}: must be a file, or {one_of(word, options)}")
    return load_file(name, key="styles")


_KEPT: LRUCache = LRUCache(2**29, getsizeof=lambda picture: picture.rgb.nbytes)
"""Images of earlier runs of this process, which are read-only."""


@cached(_KEPT, key=lambda path, *, key: (path, key, stamp(path)))
def load_file(path: str, *, key: str) -> Picture:
    """An image file, decoded once in a process unless it changes."""
    return io.load_picture(path, key=key)


@cached(_KEPT, key=lambda name, *, key: (name, key))
def _builtin(name: str, *, key: str) -> Picture:
    """A picture of the packages, decoded once in a process."""
    return io.builtin(name, key=key)


def load_named(named: PictureConfig, *, key: str, download: str = "never") -> Picture:
    """An image of the content or style group: its file, or its stand-in."""
    if named.asset is None:
        if named.builtin is None:
            raise InputError(f"{key}={named.name}: names neither an asset nor a built-in picture")
        return replace(_builtin(named.builtin, key=key), name=named.name)
    asset = Path(named.asset).name
    path = assets.ensure(asset, download)
    if path is not None:
        return replace(load_file(str(path), key=key), name=named.name)
    if named.builtin is None:
        raise InputError(
            f"{key}={named.name}: {named.asset} is not on disk; "
            f"fetch it with  python -m nstrep.assets {asset}"
        )
    log.warning(
        "%s=%s: %s is not on disk, so the built-in %s stands in for it;"
        " fetch the real one with  python -m nstrep.assets %s",
        key, named.name, named.title, named.builtin, asset,
    )  # fmt: skip
    stand_in = _builtin(named.builtin, key=key)
    return replace(stand_in, name=named.name, stand_in_for=named.title)


def scaled(loaded: Sequence[Picture], config: ExperimentConfig) -> list[np.ndarray]:
    """Content and style images at the sizes that the experiment uses, ``rgb01``, (H, W, 3)."""
    (content, *styles), rules, scale = loaded, config.preprocess, config.style_scale
    size = working_size(content, config)
    if rules.style_shape == "squash":
        sizes = [tuple(max(1, round(side * scale)) for side in size)] * len(styles)
    else:
        sizes = [working_size(style, config, scale) for style in styles]
    return [
        io.resize_to(picture.rgb, *size, method=rules.resize)
        for picture, size in zip(loaded, [size, *sizes])
    ]


def working_size(picture: Picture, config: ExperimentConfig, scale: float = 1.0) -> tuple[int, int]:
    """Height and width that an image is resized to, ``scale`` times the configured size."""
    rules = config.preprocess
    width, height = rules.shape or (picture.width, picture.height)
    longest, limit = max(height, width), config.max_long_edge
    if rules.short_edge is not None:
        side, pixels = min(height, width), rules.short_edge
    elif rules.height is not None:
        side, pixels = height, rules.height
    else:
        side, pixels = longest, limit if rules.shape is None else longest
    if pixels * longest > limit * side:
        side, pixels = longest, limit
    edge, key = max(1, round(pixels * scale)), size_keys(config, scale != 1)
    return io.resized_size(height, width, edge, rounding=rules.rounding, side=side, key=key)


def size_keys(config: ExperimentConfig, scaled: bool = False) -> str:
    """The keys that decide a size, with their values, for messages."""
    rules = {f"preprocess.{name}": getattr(config.preprocess, name) for name in SIDES}
    given = [f"{key}={value}" for key, value in rules.items() if value is not None]
    given.append(f"max_long_edge={config.max_long_edge}")
    if scaled:
        given.append(f"style_scale={config.style_scale:g}")
    return ", ".join(given)


def check_size(rgb01: np.ndarray, architecture: Architecture, layers: list[str], key: str) -> None:
    """Raise :class:`InputError` if the deepest layer would have no position left."""
    deepest, (height, width) = architecture.deepest(layers), rgb01.shape[:2]
    least = architecture.layers[deepest]
    if min(height, width) < least:
        raise InputError(
            f"{key}: {deepest} needs a picture of at least {least} x {least} pixels,"
            f" this one would be {width} x {height}"
        )


def to_vgg_input(rgb01: np.ndarray, pixel_scale: float) -> np.ndarray:
    """``rgb01`` (H, W, 3) to ``vgg_input`` (1, 3, H, W), float32: scaled, minus the mean."""
    pixels = rgb01 * pixel_scale - np.array(RGB_MEAN)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], dtype=np.float32)


def to_rgb01(vgg_input: np.ndarray, pixel_scale: float) -> np.ndarray:
    """Inverse of :func:`to_vgg_input`; values outside [0, 1] are kept."""
    pixels = vgg_input[0].transpose(1, 2, 0) + np.array(RGB_MEAN, dtype=np.float32)
    return pixels / np.float32(pixel_scale)


def bounds(config: ExperimentConfig) -> tuple[np.ndarray, np.ndarray] | None:
    """The ``vgg_input`` of black and of white, each (1, 3, 1, 1); None without bounds."""
    if not config.bounds:
        return None
    black = -np.array(RGB_MEAN).reshape(1, 3, 1, 1)
    return black, black + config.preprocess.pixel_scale


def start_image(
    config: ExperimentConfig, content: np.ndarray, style: np.ndarray, guess: Picture | None
) -> np.ndarray:
    """The ``vgg_input`` image that the optimisation starts from; ``guess`` is the file of ``init``.

    Content and style image are ``rgb01`` at working size.
    """
    rules = config.preprocess
    base = to_vgg_input(content, rules.pixel_scale)
    if config.init == "content":
        return base
    if config.init == "noise":
        noise, rng = config.init_noise, np.random.Generator(np.random.PCG64(config.seed))
        if noise.distribution == "uniform":
            drawn = rng.uniform(-noise.scale, noise.scale, base.shape)
        else:
            drawn = rng.normal(0.0, noise.scale, base.shape)
        return (noise.blend * drawn + (1 - noise.blend) * base).astype(np.float32)
    image = style if config.init == "style" else guess.rgb
    image = io.resize_to(image, *content.shape[:2], method=rules.resize)
    return to_vgg_input(image, rules.pixel_scale)
