"""Artefacts of a picture: noise finer than strokes, a regular grid, a border unlike the rest.

All functions take ``rgb01`` pictures, (H, W, 3).
"""

from __future__ import annotations

import math

import numpy as np
from scipy import fft
from skimage import color, filters

FLOOR = 0.005  # about a grey level, on a scale from black 0 to white 1: less is no contrast
FINE = 0.7 * 0.5  # of the Nyquist frequency, in cycles per pixel: above it is grain, not strokes
PERIODS = (2, 4, 8, 16)  # strides of VGG's layers in pixels, at which a network can produce a grid
WINDOW, STEP = 64, 16  # pixels, of grid_peaks: side of a window, distance between two windows
BAND, STRIPS = 8, 5  # of border_error: width of a strip in pixels, number of strips at each side


def speckle(rgb01: np.ndarray) -> float:
    """The share, 0 to 1, of a picture's luminance contrast that is finer than strokes.

    This is the share of :func:`spectrum` above :data:`FINE`. White noise has 0.62, a photograph of
    a few hundred pixels 0.005 to 0.05, a uniform picture 0.
    """
    power, radius = spectrum(rgb01)
    total = power.sum()
    # Below this the contrast is rounding error.
    return float(power[radius > FINE].sum() / total) if total > 1e-12 * power.size else 0.0


def spectrum(rgb01: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Power spectrum of a picture's luminance minus its mean, and its frequencies, both (H, W).

    Frequencies are in cycles per pixel. A Hann window removes the jump between opposite borders.
    """
    luminance = color.rgb2gray(np.asarray(rgb01, dtype=np.float64))
    window = filters.window("hann", luminance.shape)
    centred = luminance - np.average(luminance, weights=window)
    power = np.abs(fft.fft2(centred * window)) ** 2
    radius = np.hypot(*np.meshgrid(*map(fft.fftfreq, luminance.shape), indexing="ij"))
    return power, radius


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


def border_error(rgb01: np.ndarray, band: int = BAND) -> float:
    """How much the border differs from the picture next to it.

    Along each side the picture is cut into strips. The jump between two neighbouring strips is the
    Euclidean distance of their means and deviations of L*, a* and b*. The result is the root mean
    square of the outermost jumps divided by that of the inner jumps: about 1 without an artefact,
    several if the border is darker, smoother or of another hue.

    Raises ValueError unless each side has at least twice :data:`STRIPS` times ``band`` pixels.
    """
    if min(rgb01.shape[:2]) < 2 * STRIPS * band:
        raise ValueError(f"a side of {min(rgb01.shape[:2])} pixels is below {2 * STRIPS * band}")
    channels = lab(rgb01)
    jumps = np.array([_jumps(np.rot90(channels, turn, axes=(1, 2)), band) for turn in range(4)])
    outer, inner = (np.sqrt(np.mean(part**2)) for part in (jumps[:, 0], jumps[:, 1:]))
    return float((outer + FLOOR) / (inner + FLOOR))


def _jumps(channels: np.ndarray, band: int) -> np.ndarray:
    """Jumps from the top inwards, (STRIPS - 1,), without the corners, which the sides include."""
    strips = channels[:, : STRIPS * band, band:-band].reshape(3, STRIPS, -1)
    look = np.concatenate([strips.mean(axis=2), strips.std(axis=2)])
    return np.linalg.norm(np.diff(look, axis=1), axis=0)


def lab(rgb01: np.ndarray) -> np.ndarray:
    """L*, a*, b* (C, H, W) divided by 100, so that lightness is from 0 to 1."""
    clipped = np.clip(np.asarray(rgb01, dtype=np.float64), 0, 1)
    return color.rgb2lab(clipped).transpose(2, 0, 1) / 100
