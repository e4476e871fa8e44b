"""What the style loss compares where: paintings, blends of them, and masks.

A region is a part of the picture with the paintings that it is to look like (spatial guidance:
Gatys, Ecker, Bethge, Hertzmann, Shechtman 2017, Controlling Perceptual Factors in Neural Style
Transfer, section 4). Without masks there is one region, the whole picture.

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
    """A painting, or the part of it in a mask, with its share of the blend."""

    image: np.ndarray
    """``vgg_input``, (1, 3, H, W)."""
    mask: np.ndarray | None = None
    """(H, W) of the image; None for all of it."""
    share: float = 1.0
    """The shares of a region's sources are 1 together."""


@dataclass(frozen=True, eq=False)
class Region:
    """A part of the picture, and what it is to look like."""

    sources: tuple[Source, ...]
    mask: np.ndarray | None = None
    """(H, W) of the photo; None for all of it."""


def whole(image: np.ndarray) -> tuple[Region, ...]:
    """The whole picture in the style of one whole painting, ``vgg_input``."""
    return (Region((Source(image),)),)


def shares(blend: Sequence[float], count: int) -> list[float]:
    """The weights of ``count`` paintings, 1 together; an empty blend is an equal one."""
    weights = list(blend) or [1.0] * count
    return [weight / sum(weights) for weight in weights]


def assemble(
    paintings: Sequence[np.ndarray],
    blend: Sequence[float],
    masks: Sequence[np.ndarray],
    style_masks: Sequence[np.ndarray],
) -> tuple[Region, ...]:
    """The regions of an experiment.

    Without masks or with one, all paintings are blended in it. With several masks there is one
    region for each: of its own painting if there are several, else of the one painting.

    Args:
        paintings: ``vgg_input`` each.
        blend: their weights, empty for equal ones.
        masks: of the photo, (H, W).
        style_masks: empty, or one of a painting for each mask.

    """
    parts = [*style_masks] or [None] * max(1, len(masks))
    if len(masks) <= 1:
        mixed = shares(blend, len(paintings))
        sources = (Source(image, parts[0], share) for image, share in zip(paintings, mixed))
        return (Region(tuple(sources), masks[0] if masks else None),)
    own = [*paintings] if len(paintings) > 1 else [*paintings] * len(masks)
    return tuple(
        Region((Source(image, part),), mask) for image, part, mask in zip(own, parts, masks)
    )
