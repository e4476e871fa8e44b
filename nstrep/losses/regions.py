"""What the style loss compares where: style images, blends of them, and masks.

A region is a part of the image with the style images that it is to look like (spatial guidance:
Gatys, Ecker, Bethge, Hertzmann, Shechtman 2017, Controlling Perceptual Factors in Neural Style
Transfer, section 4). Without masks there is one region, the whole image.

A mask is an array (H, W), float32, 0 (out) to 1 (in). A position of a layer counts as much as the
pixels under it are in, on average; so T^2 of the paper's guidance channels T is what is averaged
here, and masks of any size give Gram matrices per position that compare.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Source:
    """A style image, or the part of it in a mask, with its share of the blend."""

    image: np.ndarray  # vgg_input, (1, 3, H, W)
    mask: np.ndarray | None = None  # (H, W) of the image; None for all of it
    share: float = 1.0  # those of a region's sources are 1 together


@dataclass(frozen=True, eq=False)
class Region:
    """A part of the image, and what it is to look like."""

    sources: tuple[Source, ...]
    mask: np.ndarray | None = None  # (H, W) of the content image; None for all of it


def whole(image: np.ndarray) -> tuple[Region, ...]:
    """The whole image in the style of one whole style image, ``vgg_input``."""
    return (Region((Source(image),)),)


def pooled(mask: np.ndarray, stride: int) -> np.ndarray:
    """The mean of a mask under each position of a layer, (H // stride, W // stride), float64.

    2 x 2 poolings bring the pixels there: an odd last row or column drops out.
    """
    height, width = (side // stride for side in mask.shape)
    cut = mask[: height * stride, : width * stride].astype(np.float64)
    return cut.reshape(height, stride, width, stride).mean(axis=(1, 3))


def shares(blend: Sequence[float], count: int) -> list[float]:
    """The weights of ``count`` style images, 1 together; an empty blend is an equal one."""
    weights = list(blend) or [1.0] * count
    return [weight / sum(weights) for weight in weights]


def assemble(
    styles: Sequence[np.ndarray], blend: Sequence[float],
    masks: Sequence[np.ndarray], style_masks: Sequence[np.ndarray],
) -> tuple[Region, ...]:  # fmt: skip
    """The regions of an experiment; the arguments are those of its keys, ``vgg_input`` and masks.

    Without masks or with one, all style images are blended in it. With several masks there is one
    region for each: of its own style image if there are several, else of the one.
    """
    parts = [*style_masks] or [None] * max(1, len(masks))
    if len(masks) <= 1:
        mixed = shares(blend, len(styles))
        sources = (Source(image, parts[0], share) for image, share in zip(styles, mixed))
        return (Region(tuple(sources), masks[0] if masks else None),)
    own = [*styles] if len(styles) > 1 else [*styles] * len(masks)
    return tuple(Region((Source(*of),), mask) for *of, mask in zip(own, parts, masks))
