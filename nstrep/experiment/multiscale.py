"""A better start: the result at half the size, where an update costs a quarter.

Coarse to fine, but the *change* at half the size is enlarged and added to the full-size start, not
the small image: the fine structures of the content image or of the noise are still there in the
first full-size step. Sizes are changed in the cosine transform, by removing its high frequencies or
leaving them zero, so that enlarging and reducing are inverse.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy import fft

from nstrep.config.schema import ExperimentConfig
from nstrep.experiment import image_inputs
from nstrep.experiment.inputs import Inputs, load_inputs
from nstrep.optim.minimize import Step, minimize
from nstrep.optim.problem import Problem

log = logging.getLogger(__name__)


def resized(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The image with its lowest frequencies, (..., H, W) to (..., height, width)."""
    before = fft.dctn(image, axes=(-2, -1), norm="ortho")
    rows, columns = min(height, image.shape[-2]), min(width, image.shape[-1])
    after = np.zeros((*image.shape[:-2], height, width), image.dtype)
    after[..., :rows, :columns] = before[..., :rows, :columns]
    after *= math.sqrt(height * width / math.prod(image.shape[-2:]))
    return fft.idctn(after, axes=(-2, -1), norm="ortho")


def start(
    config: ExperimentConfig, inputs: Inputs, problem: Callable[..., Problem]
) -> tuple[np.ndarray, float]:
    """The ``vgg_input`` image after ``multiscale`` updates at half the size, and their seconds.

    ``problem`` makes the problem of a configuration and its inputs.
    """
    began = time.perf_counter()
    small = replace(config, max_long_edge=max(inputs.content_rgb01.shape[:2]) // 2)
    half = load_inputs(small, inputs.given)
    low = resized(inputs.start, *half.start.shape[2:])
    last: list[Step] = []

    def observe(step: Step) -> bool:
        last[:] = [step]
        return step.epoch >= config.multiscale

    bounds = image_inputs.bounds(config)
    minimize(problem(small, half), low, config.optimizer, config.lr, observe, bounds=bounds)
    change = resized(last[0].image - low, *inputs.start.shape[2:])
    seconds = time.perf_counter() - began
    log.info(
        "multiscale: %d updates at %d x %d pixels in %.0f s",
        last[0].epoch, *half.content_rgb01.shape[1::-1], seconds,
    )  # fmt: skip
    start = inputs.start + change
    return start if bounds is None else np.clip(start, *bounds, dtype=np.float32), seconds
