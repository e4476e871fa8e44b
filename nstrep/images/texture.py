"""Texture measures that are independent of any network.

The statistics follow Portilla and Simoncelli, A Parametric Texture Model Based on Joint
Statistics of Complex Wavelet Coefficients (IJCV 40, 2000): the marginals of oriented bands and the
correlations of their magnitudes. The bands come from complex Gabor filters an octave wide, at four
scales an octave apart and in six orientations, on lightness and two opponent colours (CIE L*a*b*).
Three more functions measure artefacts that these statistics hardly notice: fine noise, regular
grids, and a border that differs from the rest. All take ``rgb01`` pictures, (H, W, 3).
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import combinations

import numpy as np
from scipy import fft, ndimage, signal
from skimage import color, filters

from nstrep.images import io

SCALES = 4
ORIENTATIONS = 6
FREQUENCY = 0.25
"""Of the finest filters, in cycles per pixel: a wavelength of 4 pixels; the coarsest have 32."""

LEAST_SIDE = 4 * 2**SCALES
"""Pixels: a smaller picture has less than two wavelengths of the coarsest band."""

FLOOR = 0.005
"""About one grey level, on a scale from black 0 to white 1. Bands are measured as if independent
noise of this deviation was added, which defines the statistics of an empty band."""

QUANTILES = np.linspace(0.05, 0.95, 19)

YARDSTICK_EDGE = 256  # pixels

FINE = 0.7 * 0.5
"""Cycles per pixel: 0.7 of the Nyquist frequency. Higher ones are grain rather than strokes."""

PERIODS = (2, 4, 8, 16)
"""Strides of VGG's layers in pixels, at which a network can produce a grid."""

WINDOW, STEP = 64, 16
"""Of :func:`grid_peaks`, in pixels: side of a window, distance between two windows."""

BAND, STRIPS = 8, 5
"""Of :func:`border_error`: width of a strip in pixels, number of strips at each side."""


def statistics(rgb01: np.ndarray) -> dict[str, np.ndarray]:
    """The texture statistics of a picture, in groups.

    Entries are scaled so that their differences are comparable, and are means over the picture, so
    that its size hardly matters. In the shapes C = 3 is L*, a*, b*, S = 4 the scales from fine to
    coarse and K = 6 the orientations.

    Args:
        rgb01: (H, W, 3); values beyond [0, 1] are clipped. Each side has at least
            :data:`LEAST_SIDE` pixels.

    Returns:
        ``palette`` (C, 19): quantiles of the pixels, in hundredths of L*, a* and b*.
        ``energy`` (S, C, K): log2 of the mean magnitude of a band.
        ``sparsity`` (S, C, K): deviation over mean of the magnitudes, about 0.5 for noise, more
        for sparse strokes.
        ``kurtosis`` (S, C, K): log2 of the real part's kurtosis over that of a normal one (3).
        ``orientations`` (S, C, K, K), ``scales`` (S - 1, C, K, K) and ``colours`` (S, K, C, C):
        correlations, -1 to 1, of the magnitudes of two orientations, of a band and one at the
        next coarser scale, and of two channels; in the diagonals, the band's share of the variance
        that includes :data:`FLOOR`.

    Raises:
        ValueError: the picture is too small.

    """
    if min(rgb01.shape[:2]) < LEAST_SIDE:
        raise ValueError(f"a side of {min(rgb01.shape[:2])} pixels is below {LEAST_SIDE}")
    level = _lab(rgb01)
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
    palette = np.quantile(_lab(rgb01), QUANTILES, axis=(1, 2)).T
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
        rgb01: (H, W, 3), each side of at least :data:`WINDOW` pixels.
        flat_in: the picture that defines the flat areas, of the same size: the content image.
            None for ``rgb01`` itself.

    Returns:
        For each of :data:`PERIODS` the highest ratio of all directions: about 1 without a grid, 2
        if the grid has twice the power of its surroundings.

    Raises:
        ValueError: the picture is too small, or the two differ in size.

    """
    if min(rgb01.shape[:2]) < WINDOW:
        raise ValueError(f"a side of {min(rgb01.shape[:2])} pixels is below {WINDOW}")
    flat_in = rgb01 if flat_in is None else flat_in
    if flat_in.shape != rgb01.shape:
        raise ValueError(f"the pictures differ in size: {rgb01.shape} and {flat_in.shape}")
    variation = _windows(flat_in).std(axis=(1, 2))
    flat = np.argsort(variation, kind="stable")[: math.ceil(len(variation) / 3)]
    chosen = _windows(rgb01)[flat]
    chosen = chosen - chosen.mean(axis=(1, 2), keepdims=True)
    taper = filters.window("hann", (WINDOW, WINDOW))
    power = (np.abs(fft.fft2(chosen * taper)) ** 2).mean(axis=0) + 1e-12 * WINDOW**2
    return {period: _grid_peak(power, WINDOW // period) for period in PERIODS}


def _windows(rgb01: np.ndarray) -> np.ndarray:
    """Overlapping windows of the luminance, (count, WINDOW, WINDOW)."""
    luminance = color.rgb2gray(np.asarray(rgb01, dtype=np.float64))
    view = np.lib.stride_tricks.sliding_window_view(luminance, (WINDOW, WINDOW))
    return view[::STEP, ::STEP].reshape(-1, WINDOW, WINDOW)


def _grid_peak(power: np.ndarray, index: int) -> float:
    """The highest ratio at one frequency, which is bin ``index`` of the spectrum's axes."""
    peaks = []
    for row, column in ((1, 0), (0, 1), (1, 1), (1, -1)):
        below, at, above = (
            power[row * k, column * k] for k in (index - 2, index, (index + 2) % WINDOW)
        )
        peaks.append(at / np.sqrt(below * above))
    return float(max(peaks))


def border_error(rgb01: np.ndarray, band: int = BAND) -> float:
    """How much the border differs from the picture next to it.

    Along each side the picture is cut into strips. The jump between two neighbouring strips is the
    Euclidean distance of their means and deviations of L*, a* and b*. The result is the root mean
    square of the outermost jumps divided by that of the inner jumps: about 1 without an artefact,
    several if the border is darker, smoother or of another hue.

    Args:
        rgb01: (H, W, 3), each side of at least twice :data:`STRIPS` bands.
        band: width of a strip in pixels.

    Raises:
        ValueError: the picture is too small.

    """
    if min(rgb01.shape[:2]) < 2 * STRIPS * band:
        raise ValueError(f"a side of {min(rgb01.shape[:2])} pixels is below {2 * STRIPS * band}")
    lab = _lab(rgb01)
    jumps = np.array([_jumps(np.rot90(lab, turn, axes=(1, 2)), band) for turn in range(4)])
    outer, inner = (np.sqrt(np.mean(part**2)) for part in (jumps[:, 0], jumps[:, 1:]))
    return float((outer + FLOOR) / (inner + FLOOR))


def _jumps(lab: np.ndarray, band: int) -> np.ndarray:
    """Jumps from the top inwards, (STRIPS - 1,), without the corners, which the sides include."""
    strips = lab[:, : STRIPS * band, band:-band].reshape(3, STRIPS, -1)
    look = np.concatenate([strips.mean(axis=2), strips.std(axis=2)])
    return np.linalg.norm(np.diff(look, axis=1), axis=0)


def _lab(rgb01: np.ndarray) -> np.ndarray:
    """L*, a*, b* (C, H, W) divided by 100, so that lightness is from 0 to 1."""
    clipped = np.clip(np.asarray(rgb01, dtype=np.float64), 0, 1)
    return color.rgb2lab(clipped).transpose(2, 0, 1) / 100


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
    pictures = [io.resize_long_edge(io.builtin(n).rgb, YARDSTICK_EDGE) for n in io.PHOTOGRAPHS]
    gaps = [_gaps(a, b) for a, b in combinations(map(statistics, pictures), 2)]
    return {name: float(np.median([gap[name] for gap in gaps])) for name in gaps[0]}
