"""Keeping the content's colours: Gatys, Bethge, Hertzmann, Shechtman 2016 (arXiv 1606.05897).

Either the style image gets the content's colours before the transfer, by a linear map that gives
its pixels the content's mean and covariance (their section 3), or the luminances alone are
transferred and the content's chrominance is added afterwards (their section 4).

All pictures are ``rgb01``, (H, W, 3). Results may leave [0, 1]: clipping would change the
statistics.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

log = logging.getLogger(__name__)

NO_COLOUR = 5e-3
"""A direction of colour space counts as absent if its deviation is below this share of the largest:
about the rounding of an 8-bit picture, which must not be amplified to a colour."""


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
    style: np.ndarray, content: np.ndarray, root: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """The style image with the mean and covariance of the content's colours, float32.

    x becomes A (x - mean of style) + mean of content, A = R(content) R(style)^-1. R is
    :func:`symmetric_root` as in Image Analogies, or :func:`cholesky_root`, the paper's other form
    (section 3). A style image without colour, such as an ink drawing, spans fewer directions of
    colour space than the content; in the missing ones it stays without colour.
    """
    content_mean, content_covariance = statistics(content)
    mean, covariance = statistics(style)
    inverse = np.linalg.pinv(root(covariance), rcond=NO_COLOUR)
    missing = 3 - np.linalg.matrix_rank(inverse)
    if missing:
        log.warning(
            "color: the style image has no colour in %d of 3 directions; they stay absent", missing
        )
    mapped = (style - mean) @ (root(content_covariance) @ inverse).T + content_mean
    return mapped.astype(np.float32)


def grey(rgb01: np.ndarray) -> np.ndarray:
    """The luminance (Y of NTSC's YIQ) in all three channels, float32."""
    from skimage.color import rgb2yiq  # imports scipy, slowly

    luminance = rgb2yiq(rgb01)[..., :1]
    return np.repeat(luminance, 3, axis=2).astype(np.float32)


def grey_matched(style: np.ndarray, content: np.ndarray) -> np.ndarray:
    """The style's luminance with the mean and deviation of the content's (section 4, eq. 7)."""
    luminance, target = (grey(picture).astype(np.float64) for picture in (style, content))
    spread = luminance.std()
    gain = target.std() / spread if spread > 1e-6 else 0.0
    return ((luminance - luminance.mean()) * gain + target.mean()).astype(np.float32)


def with_chrominance(rgb01: np.ndarray, content: np.ndarray) -> np.ndarray:
    """The luminance of ``rgb01`` with the chrominance (I and Q) of the content, float32."""
    from skimage.color import rgb2yiq, yiq2rgb

    yiq = rgb2yiq(content)
    yiq[..., 0] = rgb2yiq(rgb01)[..., 0]
    return yiq2rgb(yiq).astype(np.float32)


@dataclass(frozen=True)
class Mode:
    """How one value of ``color`` changes the network's inputs and the result."""

    # Style and content image to the style image that the network gets.
    style: Callable[[np.ndarray, np.ndarray], np.ndarray]
    # Content image to the content image that the network gets.
    content: Callable[[np.ndarray], np.ndarray] = lambda content: content
    # Result of the optimisation and content image to the picture that is saved.
    result: Callable[[np.ndarray, np.ndarray], np.ndarray] = lambda result, content: result
    luminance: bool = False  # only the luminance is optimised


MODES = {
    "style": Mode(lambda style, content: style),
    "histogram": Mode(lambda style, content: matched(style, content, symmetric_root)),
    "cholesky": Mode(lambda style, content: matched(style, content, cholesky_root)),
    "luminance": Mode(grey_matched, grey, with_chrominance, luminance=True),
}
