"""Noise filters for the saved picture; the optimisation does not use them."""

from __future__ import annotations

import numpy as np
from skimage.filters import gaussian
from skimage.restoration import denoise_tv_chambolle

FILTERS = {
    # Chambolle 2004; the strength is the weight of smoothness against fidelity.
    "tv": lambda rgb01, strength: denoise_tv_chambolle(rgb01, weight=strength, channel_axis=-1),
    # The strength is the standard deviation in pixels.
    "gaussian": lambda rgb01, strength: gaussian(rgb01, sigma=strength, channel_axis=-1),
}


def remove_noise(rgb01: np.ndarray, strength: float, method: str) -> np.ndarray:
    """Clip an ``rgb01`` picture (H, W, 3) to [0, 1] and filter it; strength 0 only clips."""
    clipped = np.clip(rgb01, 0.0, 1.0)
    return FILTERS[method](clipped, strength) if strength else clipped
