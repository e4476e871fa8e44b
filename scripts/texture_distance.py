"""Distance of two textures, a measure to compare networks with: none was trained for it.

The texture statistics follow Portilla and Simoncelli, A Parametric Texture Model Based on Joint
Statistics of Complex Wavelet Coefficients (IJCV 40, 2000): the marginals of oriented bands and the
correlations of their magnitudes. The bands come from complex Gabor filters an octave wide, at four
scales an octave apart and in six orientations, on lightness and two opponent colours (CIE L*a*b*).
All functions take ``rgb01`` pictures, (H, W, 3).
"""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations

import numpy as np
from scipy import ndimage, signal
from skimage import filters

from nstrep.images import io
from nstrep.images.texture import FLOOR, lab

SCALES = 4
ORIENTATIONS = 6
FREQUENCY = 0.25
"""Of the finest filters, in cycles per pixel: a wavelength of 4 pixels; the coarsest have 32."""

MIN_SIDE = 4 * 2**SCALES
"""Pixels: a smaller picture has less than two wavelengths of the coarsest band."""

QUANTILES = np.linspace(0.05, 0.95, 19)

UNIT_EDGE = 256  # pixels


def statistics(rgb01: np.ndarray) -> dict[str, np.ndarray]:
    """The texture statistics of a picture, in groups.

    Entries are scaled so that their differences are comparable, and are means over the picture, so
    that its size hardly matters. In the shapes, C = 3 is L*, a*, b*, S = 4 the scales from fine to
    coarse and K = 6 the orientations.

    Args:
        rgb01: (H, W, 3); values beyond [0, 1] are clipped. Each side has at least
            :data:`MIN_SIDE` pixels.

    Returns:
        ``palette`` (C, 19): quantiles of the pixels, in hundredths of L*, a* and b*.
        ``energy`` (S, C, K): log2 of the mean magnitude of a band.
        ``sparsity`` (S, C, K): deviation over mean of the magnitudes, about 0.5 for noise, more
        for sparse strokes.
        ``kurtosis`` (S, C, K): log2 of the real part's kurtosis over that of a normal one (3).
        ``orientations`` (S, C, K, K), ``scales`` (S - 1, C, K, K) and ``colours`` (S, K, C, C):
        correlations, -1 to 1, of the magnitudes of two orientations, of a band and one at the
        next coarser scale, and of two channels; in the diagonals, the band's share of the variance
        that includes FLOOR.

    Raises:
        ValueError: the picture is too small.

    """
    if min(rgb01.shape[:2]) < MIN_SIDE:
        raise ValueError(f"a side of {min(rgb01.shape[:2])} pixels is below {MIN_SIDE}")
    level = lab(rgb01)
    groups: dict[str, list[np.ndarray]] = {}
    finer = None
    for _ in range(SCALES):
        bands = _bands(level)
        magnitude = np.abs(bands)
        one_scale = {
            **_marginals(bands.real, magnitude),
            "orientations": _correlations(magnitude, magnitude),
            "colours": _correlations(*[magnitude.swapaxes(0, 1)] * 2),
        }
        if finer is not None:
            one_scale["scales"] = _correlations(finer[..., ::2, ::2], magnitude)
        for name, values in one_scale.items():
            groups.setdefault(name, []).append(values)
        level, finer = _half(level), magnitude
    palette = np.quantile(lab(rgb01), QUANTILES, axis=(1, 2)).T
    return {"palette": palette, **{name: np.stack(values) for name, values in groups.items()}}


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """The mean of the :func:`differences` of two pictures: 0 for equal ones, about 1 for two
    unrelated photographs. Symmetric.
    """
    return float(np.mean(list(differences(a, b).values())))


def differences(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
    """The differences of two pictures' :func:`statistics`, by group.

    The difference of a group is the mean absolute difference of its entries, divided by the median
    of this difference over all pairs of ``io.PHOTOGRAPHS``. So all groups have the same weight.

    Args:
        a: ``rgb01``, as for :func:`statistics`. The pictures may differ in size, but their strokes
            should be of the same size in pixels.
        b: likewise.

    """
    units = _units()
    return {name: value / units[name] for name, value in _gaps(*map(statistics, (a, b))).items()}


def _bands(level: np.ndarray) -> np.ndarray:
    """Filter (C, h, w) in every orientation: complex (C, K, h, w).

    The magnitude is the amplitude of a wave at the filter's frequency and orientation.
    """
    kernels = _kernels()
    margin = kernels.shape[-1] // 2
    # Mirrored, so that the border makes no edge.
    padded = np.pad(level, ((0, 0), (margin, margin), (margin, margin)), mode="symmetric")
    return signal.oaconvolve(padded[:, None], kernels[None], mode="valid", axes=(-2, -1))


@lru_cache(maxsize=1)
def _kernels() -> np.ndarray:
    """The Gabor filters of one scale, complex (K, k, k)."""
    angles = np.arange(ORIENTATIONS) * np.pi / ORIENTATIONS
    kernels = [filters.gabor_kernel(FREQUENCY, theta=angle, bandwidth=1) for angle in angles]
    side = max(max(kernel.shape) for kernel in kernels)
    return np.stack([_normalised(kernel, side) for kernel in kernels])


def _normalised(kernel: np.ndarray, side: int) -> np.ndarray:
    """Zero response to uniform areas, unit response to the filter's wave; padded to a square."""
    envelope = np.abs(kernel) / np.abs(kernel).sum()
    zero_mean = kernel - kernel.sum() * envelope
    scaled = 2 * zero_mean / np.abs(zero_mean).sum()
    return np.pad(scaled, [((side - length) // 2,) * 2 for length in kernel.shape])


def _half(level: np.ndarray) -> np.ndarray:
    """The next level of a Gaussian pyramid: (C, h, w) smoothed, then every second pixel."""
    return ndimage.gaussian_filter(level, sigma=(0, 1, 1), mode="reflect")[:, ::2, ::2]


def _marginals(real: np.ndarray, magnitude: np.ndarray) -> dict[str, np.ndarray]:
    """Energy, sparsity and kurtosis of bands (C, K, h, w), each (C, K)."""
    over = (-2, -1)
    mean = magnitude.mean(axis=over) + FLOOR
    second = (real**2).mean(axis=over)
    # The fourth moment and variance of the band and independent normal noise of deviation FLOOR.
    fourth = (real**4).mean(axis=over) + 6 * second * FLOOR**2 + 3 * FLOOR**4
    return {
        "energy": np.log2(mean),
        "sparsity": magnitude.std(axis=over) / mean,
        "kurtosis": np.log2(fourth / (3 * (second + FLOOR**2) ** 2)),
    }


def _correlations(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Correlations of (G, A, h, w) with (G, B, h, w) over positions, in each group: (G, A, B)."""
    a, b = (x.reshape(*x.shape[:2], -1) for x in (a, b))
    a, b = (x - x.mean(axis=-1, keepdims=True) for x in (a, b))
    covariance = a @ b.swapaxes(1, 2) / a.shape[-1]
    deviations = [np.sqrt((x**2).mean(axis=-1) + FLOOR**2) for x in (a, b)]
    return covariance / (deviations[0][:, :, None] * deviations[1][:, None, :])


def _gaps(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> dict[str, float]:
    """The mean absolute difference of each group."""
    return {name: float(np.abs(a[name] - b[name]).mean()) for name in a}


@lru_cache(maxsize=1)
def _units() -> dict[str, float]:
    """The median difference of each group between unrelated photographs."""
    pictures = [io.resize_long_edge(io.builtin(n).rgb, UNIT_EDGE) for n in io.PHOTOGRAPHS]
    gaps = [_gaps(a, b) for a, b in combinations(map(statistics, pictures), 2)]
    return {name: float(np.median([gap[name] for gap in gaps])) for name in gaps[0]}
