"""Coarse to fine: the scales of a run, and the start at each.

The large structures of a painting are set where an iteration is cheap. What is enlarged is the
*change* against the content image, not the picture: the fine structures of the photo, which the
coarser scale cannot hold, are there in the first step of the finer one. From every kind of start
the loss is then lower (docs/large.md).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import fft

from nstrep.config.schema import ExperimentConfig
from nstrep.experiment import image_inputs
from nstrep.images.io import Picture

if TYPE_CHECKING:
    from nstrep.experiment.inputs import Inputs

# Between two scales, and the fewest pixels on the long edge of the coarsest, by the word for it.
STEPS = {"auto": (2, 256), "sqrt2": (math.sqrt(2), 128)}


class Scale(NamedTuple):
    """One size at which a run optimises."""

    config: ExperimentConfig  # of a run at this scale alone
    size: tuple[int, int]  # height and width of the picture
    epochs: int  # most updates
    title: str  # size and place among the scales; empty if there is one
    after: float  # most updates of the later scales, counted by their area as some at this one

    @property
    def is_last(self) -> bool:
        """Whether the result has this size."""
        return not self.after


def scales_of(config: ExperimentConfig, content: Picture) -> list[Scale]:
    """The scales of a run on a content image, the coarsest first; without ``scales`` the only one.

    The words of :data:`STEPS` divide the long edge as long as enough pixels are left.
    """
    edges = config.scales or [config.max_long_edge]
    if isinstance(edges, str):
        (step, least), full = STEPS[edges], max(image_inputs.working_size(content, config))
        number = int(math.log(max(full / least, 1), step) + 1e-9)
        edges = [*(round(full / step**n) for n in range(number, 0, -1)), config.max_long_edge]
    below, most = config.coarse_epochs, len(edges) - 1
    below = below if isinstance(below, list) else [below]
    epochs = [*(below + below[-1:] * most)[:most], config.max_num_epochs]
    scales: list[Scale] = []
    for number in range(most, -1, -1):
        one = replace(config, scales=None, max_long_edge=edges[number])
        height, width = size = image_inputs.working_size(content, one)
        work = sum(each.epochs * math.prod(each.size) for each in scales)
        title = f"{width} x {height} ({number + 1} of {most + 1})" if most else ""
        scales.insert(0, Scale(one, size, epochs[number], title, work / math.prod(size)))
    return scales


def resized(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The image with its lowest frequencies, (..., H, W) to (..., height, width).

    Frequencies of the cosine transform are removed or left zero: both ways are inverse.
    """
    before = fft.dctn(image, axes=(-2, -1), norm="ortho")
    rows, columns = min(height, image.shape[-2]), min(width, image.shape[-1])
    after = np.zeros((*image.shape[:-2], height, width), image.dtype)
    after[..., :rows, :columns] = before[..., :rows, :columns]
    after *= math.sqrt(height * width / math.prod(image.shape[-2:]))
    return fft.idctn(after, axes=(-2, -1), norm="ortho")


def start_from(
    image: np.ndarray, coarse: Inputs, fine: Inputs, config: ExperimentConfig
) -> np.ndarray:
    """The ``vgg_input`` start of a scale from the result ``image`` of the scale below.

    Each scale has its inputs; the bounds of ``config`` are kept.
    """
    scale, bounds = config.preprocess.pixel_scale, image_inputs.bounds(config)
    photo, target = (
        image_inputs.to_vgg_input(each.content_target, scale) for each in (fine, coarse)
    )
    start = photo + resized(image - target, *photo.shape[2:])
    return start if bounds is None else np.clip(start, *bounds, dtype=np.float32)
