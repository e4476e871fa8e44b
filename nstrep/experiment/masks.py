"""Mask files: read, checked against their images, and scaled."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from nstrep.base.errors import InputError
from nstrep.base.text import shown
from nstrep.config.schema import ExperimentConfig
from nstrep.images import io
from nstrep.images.io import Picture
from nstrep.losses.regions import pooled

log = logging.getLogger(__name__)

Image = TypeVar("Image", Picture, np.ndarray)


def load_masks(
    config: ExperimentConfig, content: Picture, styles: Sequence[Picture]
) -> dict[str, list[Picture]]:
    """The masks that the configuration names, by key, at full size."""
    return {
        key: [load_mask(file, image, key=key) for file, image in zip(getattr(config, key), images)]
        for key, images in _masked_images(len(config.content_masks), content, styles).items()
    }


def load_mask(path: str, image: Picture, *, key: str) -> Picture:
    """Read a mask: any image file with the shape of the image that it belongs to.

    Its size may differ; its shape may differ by one pixel of rounding. The mean of the channels
    counts. Transparent pixels count as white, as in every image.
    """
    mask = io.load_picture(path, key=key)
    if abs(mask.height * image.width - image.height * mask.width) > image.width + image.height:
        raise InputError(
            f"{key}={shown(path)}: is {mask.width} x {mask.height} pixels; allowed:"
            f" {image.width} x {image.height}, the size of {image.name}, or this shape in another"
            " size"
        )
    grey = mask.rgb.mean(axis=2)
    if grey.max() < 0.5:
        raise InputError(f"{key}={shown(path)}: has no white; white is what belongs to the region")
    if grey.min() > 0.99:
        log.warning("%s=%s: is white all over, so that nothing is left out", key, shown(path))
    return mask


def scaled_masks(
    masks: dict[str, list[Picture]], content: np.ndarray, styles: Sequence[np.ndarray], stride: int
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Masks of the content image and of the style images, each (H, W) float32 in [0, 1].

    They get the sizes of the images ``content`` and ``styles``, (H, W, 3). The interpolation is
    bilinear (over the area when shrinking), whatever that of the images: the others overshoot at
    edges, so that the style would leave the region.

    Raises:
        InputError: a thin mask at a border has no white left at the deepest style layer, which has
            this stride.

    """

    def scaled(key: str, mask: Picture, image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        small = io.resize_to(mask.rgb, height, width, method="bilinear").mean(axis=2)
        if not pooled(small, stride).any():
            raise InputError(
                f"{key}={shown(mask.source)}: nothing white is left of it at {width} x {height}"
                f" pixels in the deepest of the style_layers, which has one position for"
                f" {stride} x {stride}"
            )
        return small

    by_key = _masked_images(len(masks["content_masks"]), content, styles)
    return tuple([scaled(key, *pair) for pair in zip(masks[key], by_key[key])] for key in by_key)


def _masked_images(count: int, content: Image, styles: Sequence[Image]) -> dict[str, list[Image]]:
    """The image that each mask belongs to."""
    own = [*styles] if len(styles) > 1 else [*styles] * count
    return {"content_masks": [content] * count, "style_masks": own}
