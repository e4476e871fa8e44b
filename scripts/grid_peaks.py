"""An artefact of networks: a regular grid over a picture.

It shows as peaks of the spectrum at the periods of the network's strides.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import fft
from skimage import color, filters

PERIODS = (2, 4, 8, 16)  # strides of VGG's layers in pixels, at which a network can produce a grid
WINDOW, STEP = 64, 16  # pixels: side of a window, distance between two windows


def grid_peaks(rgb01: np.ndarray, flat_in: np.ndarray | None = None) -> dict[int, float]:
    """How far the peaks of a regular grid rise above the luminance's spectrum, in flat areas.

    The power spectra of windows (:data:`WINDOW`, Hann) are averaged over the third of the windows
    in which ``flat_in`` varies least. A grid of period p has peaks at 1 / p cycles per pixel, along
    the rows, the columns or the diagonals. Each is divided by the geometric mean of the power on
    both sides in the same direction, just outside the window function's main lobe. So neither a
    spectrum that follows a power law nor strokes of one direction have peaks.

    Args:
        rgb01: (H, W, 3).
        flat_in: the picture that defines the flat areas, of the same size: the content image.
            None for ``rgb01`` itself.

    Returns:
        For each of :data:`PERIODS` the highest ratio of all directions: about 1 without a grid, 2
        if the grid has twice the power of its surroundings.

    Raises:
        ValueError: a side is below :data:`WINDOW` pixels, or the two differ in size.

    """
    if min(rgb01.shape[:2]) < WINDOW:
        raise ValueError(f"a side of {min(rgb01.shape[:2])} pixels is below {WINDOW}")
    flat_in = rgb01 if flat_in is None else flat_in
    if flat_in.shape != rgb01.shape:
        raise ValueError(f"the pictures differ in size: {rgb01.shape} and {flat_in.shape}")
    order = np.argsort(_windows(flat_in).std(axis=(1, 2)), kind="stable")
    flat = _windows(rgb01)[order[: math.ceil(len(order) / 3)]]
    flat = (flat - flat.mean(axis=(1, 2), keepdims=True)) * filters.window("hann", flat.shape[1:])
    power = (np.abs(fft.fft2(flat)) ** 2).mean(axis=0) + 1e-12 * WINDOW**2

    def ratio(row: int, column: int, index: int) -> float:
        sides = (power[row * k, column * k] for k in (index - 2, (index + 2) % WINDOW))
        return float(power[row * index, column * index] / np.sqrt(math.prod(sides)))

    directions = ((1, 0), (0, 1), (1, 1), (1, -1))
    return {p: max(ratio(*direction, WINDOW // p) for direction in directions) for p in PERIODS}


def _windows(rgb01: np.ndarray) -> np.ndarray:
    """Overlapping windows of the luminance, (count, WINDOW, WINDOW)."""
    luminance = color.rgb2gray(np.asarray(rgb01, dtype=np.float64))
    view = np.lib.stride_tricks.sliding_window_view(luminance, (WINDOW, WINDOW))
    return view[::STEP, ::STEP].reshape(-1, WINDOW, WINDOW)
