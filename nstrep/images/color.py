"""Keeping the photo's colours: Gatys, Bethge, Hertzmann, Shechtman 2016 (arXiv 1606.05897).

Either the painting gets the photo's colours before the transfer, by a linear map that gives its
pixels the photo's mean and covariance (their section 3), or the transfer sees the luminances
alone and the photo's chrominance is put back afterwards (their section 4).

All pictures are ``rgb01``, (H, W, 3). What comes out may leave [0, 1]: cutting it there would
change the statistics that were asked for.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from skimage.color import rgb2yiq, yiq2rgb

log = logging.getLogger(__name__)

NO_COLOUR = 5e-3
"""A deviation, as a share of the largest, at which a direction of colour space counts as absent:
about the rounding of an 8-bit picture, which must not be blown up to a colour."""


def statistics(rgb01: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (3,) and covariance (3, 3) of the pixels, float64."""
    pixels = rgb01.reshape(-1, 3).astype(np.float64)
    return pixels.mean(axis=0), np.cov(pixels, rowvar=False, bias=True)


def symmetric_root(covariance: np.ndarray) -> np.ndarray:
    """The symmetric R with R R = covariance; it does not depend on the order of the channels."""
    values, vectors = np.linalg.eigh(covariance)
    rounding = 1e-10  # of float32 pixels, as a variance
    return (vectors * np.sqrt(np.where(values > rounding, values, 0))) @ vectors.T


def cholesky_root(covariance: np.ndarray) -> np.ndarray:
    """The lower triangular L with L L^T = covariance, which may be singular."""
    upper = np.linalg.qr(symmetric_root(covariance), mode="r")
    return upper.T * np.where(np.diag(upper) < 0, -1.0, 1.0)


def matched(
    painting: np.ndarray, photo: np.ndarray, root: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """The painting with the mean and the covariance of the photo's colours, float32.

    x becomes A (x - mean of the painting) + mean of the photo, A = R(photo) R(painting)^-1.
    With :func:`symmetric_root` this is the form of Image Analogies, with :func:`cholesky_root`
    the other one of the paper (section 3). A painting without colour, such as a drawing in ink,
    spans fewer directions than the photo: what it lacks cannot be matched and stays absent.
    """
    photo_mean, photo_covariance = statistics(photo)
    mean, covariance = statistics(painting)
    inverse = np.linalg.pinv(root(covariance), rcond=NO_COLOUR)
    missing = 3 - np.linalg.matrix_rank(inverse)
    if missing:
        log.warning(
            "color: the painting has no colour in %d of 3 directions; they stay absent", missing
        )
    mapped = (painting - mean) @ (root(photo_covariance) @ inverse).T + photo_mean
    return mapped.astype(np.float32)


def grey(rgb01: np.ndarray) -> np.ndarray:
    """The luminance (Y of NTSC's YIQ) in all three channels, float32."""
    luminance = rgb2yiq(rgb01)[..., :1]
    return np.repeat(luminance, 3, axis=2).astype(np.float32)


def grey_matched(painting: np.ndarray, photo: np.ndarray) -> np.ndarray:
    """The painting's luminance with the mean and deviation of the photo's (section 4, eq. 7)."""
    luminance, target = (grey(picture).astype(np.float64) for picture in (painting, photo))
    spread = luminance.std()
    gain = target.std() / spread if spread > 1e-6 else 0.0
    return ((luminance - luminance.mean()) * gain + target.mean()).astype(np.float32)


def with_chrominance(rgb01: np.ndarray, photo: np.ndarray) -> np.ndarray:
    """The luminance of one picture with the chrominance (I and Q) of another, float32."""
    yiq = rgb2yiq(photo)
    yiq[..., 0] = rgb2yiq(rgb01)[..., 0]
    return yiq2rgb(yiq).astype(np.float32)


@dataclass(frozen=True)
class Mode:
    """What one value of ``color`` does on the way to the network and back."""

    painting: Callable[[np.ndarray, np.ndarray], np.ndarray]
    """Painting and photo to the painting that the network sees."""
    photo: Callable[[np.ndarray], np.ndarray] = lambda photo: photo
    """The photo to what the network sees of it."""
    result: Callable[[np.ndarray, np.ndarray], np.ndarray] = lambda result, photo: result
    """What the optimisation reached, and the photo, to the picture that is saved."""
    luminance: bool = False
    """Only the luminance is optimised."""


MODES = {
    "style": Mode(lambda painting, photo: painting),
    "histogram": Mode(lambda painting, photo: matched(painting, photo, symmetric_root)),
    "cholesky": Mode(lambda painting, photo: matched(painting, photo, cholesky_root)),
    "luminance": Mode(grey_matched, grey, with_chrominance, luminance=True),
}
