"""Mask files: read, checked against the pictures that they belong to, and brought to size."""

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
from nstrep.networks.gram import pooled

log = logging.getLogger(__name__)

P = TypeVar("P", Picture, np.ndarray)


def load_masks(
    config: ExperimentConfig, content: Picture, styles: Sequence[Picture]
) -> dict[str, list[Picture]]:
    """The masks that the configuration names, by their keys, at full size.

    Raises:
        InputError: see :func:`load_mask`.

    """
    return {
        key: [load_mask(file, of, key=key) for file, of in zip(getattr(config, key), owners)]
        for key, owners in _owners(len(config.content_masks), content, styles).items()
    }


def load_mask(path: str, of: Picture, *, key: str) -> Picture:
    """Read a mask: any picture file, of the shape of the picture that it belongs to.

    It may be smaller or larger, to the pixel that rounding takes. Colours count by the mean of
    their channels. What is transparent counts as white, as in every picture.

    Raises:
        InputError: the file cannot be read, has another shape, or nothing in it is white.

    """
    mask = io.load_picture(path, key=key)
    if abs(mask.height * of.width - of.height * mask.width) > of.width + of.height:
        raise InputError(
            f"{key}={shown(path)}: is {mask.width} x {mask.height} pixels; allowed:"
            f" {of.width} x {of.height}, the size of {of.name}, or this shape in another size"
        )
    grey = mask.rgb.mean(axis=2)
    if grey.max() < 0.5:
        raise InputError(f"{key}={shown(path)}: has no white; white is what belongs to the region")
    if grey.min() > 0.99:
        log.warning("%s=%s: is white all over, so that nothing is left out", key, shown(path))
    return mask


def scaled_masks(
    masks: dict[str, list[Picture]],
    photo: np.ndarray,
    paintings: Sequence[np.ndarray],
    stride: int,
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Masks of photo and paintings at their working sizes, each (H, W) float32 in [0, 1].

    Bilinear (over the area when shrinking), whatever the pictures' interpolation: the others
    swing over at edges and would let the style out.

    Args:
        masks: from :func:`load_masks`.
        photo: (H, W, 3).
        paintings: likewise.
        stride: of the deepest style layer.

    Raises:
        InputError: nothing of a mask is left at the deepest layer, for being thin and at a border.

    """
    found: dict[str, list[np.ndarray]] = {}
    for key, owners in _owners(len(masks["content_masks"]), photo, paintings).items():
        found[key] = []
        for mask, of in zip(masks[key], owners):
            height, width = of.shape[:2]
            small = io.resize_to(mask.rgb, height, width, method="bilinear").mean(axis=2)
            if not pooled(small, stride).any():
                raise InputError(
                    f"{key}={shown(mask.source)}: nothing white is left of it at {width} x {height}"
                    f" pixels in the deepest of the style_layers, which has one position for"
                    f" {stride} x {stride}"
                )
            found[key].append(small)
    return found["content_masks"], found["style_masks"]


def _owners(count: int, photo: P, paintings: Sequence[P]) -> dict[str, list[P]]:
    """The picture that each mask belongs to."""
    own = [*paintings] if len(paintings) > 1 else [*paintings] * count
    return {"content_masks": [photo] * count, "style_masks": own}
