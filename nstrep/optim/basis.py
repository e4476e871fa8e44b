"""The coordinates that the optimiser works in: pixels, or frequencies scaled to equal curvature.

Losses are far steeper along the coarse structures of an image than along its fine ones. Pixels
hide that from an optimiser. In the discrete cosine transform, with each coefficient scaled by its
frequency, a few L-BFGS corrections go much further, and fine noise grows last.
"""

from __future__ import annotations

import numpy as np
from scipy import fft

# Coefficients are scaled by (frequency + OFFSET)^-power; 1 is the Nyquist frequency of a side.
OFFSET = 0.02


class Pixels:
    """The image itself; with ``luminance`` gradients have no colour, so that grey stays grey."""

    def __init__(self, *, luminance: bool = False) -> None:
        self._luminance = luminance

    def to_image(self, coefficients: np.ndarray) -> np.ndarray:
        """Coefficients (..., H, W) to the image, same shape."""
        return coefficients

    def to_coefficients(self, image: np.ndarray) -> np.ndarray:
        """Inverse of :meth:`to_image`."""
        return image

    def pull_back(self, gradient: np.ndarray) -> np.ndarray:
        """Gradient with respect to the image (1, 3, H, W) to that to the coefficients."""
        if self._luminance:
            gradient = np.broadcast_to(gradient.mean(axis=1, keepdims=True), gradient.shape)
        return gradient


class Dct(Pixels):
    """Orthonormal 2-D cosine coefficients, each divided by (frequency + OFFSET)^-power."""

    def __init__(
        self, height: int, width: int, power: float = 0.5, *, luminance: bool = False
    ) -> None:
        super().__init__(luminance=luminance)
        rows = np.arange(height)[:, None] / height
        columns = np.arange(width)[None, :] / width
        self.scale = ((np.hypot(rows, columns) + OFFSET) ** -power).astype(np.float32)

    def to_image(self, coefficients: np.ndarray) -> np.ndarray:
        """Coefficients (..., H, W) to the image, same shape."""
        return fft.idctn(coefficients * self.scale, axes=(-2, -1), norm="ortho")

    def to_coefficients(self, image: np.ndarray) -> np.ndarray:
        """Inverse of :meth:`to_image`."""
        return fft.dctn(image, axes=(-2, -1), norm="ortho") / self.scale

    def pull_back(self, gradient: np.ndarray) -> np.ndarray:
        """Gradient with respect to the image to that to the coefficients."""
        return fft.dctn(super().pull_back(gradient), axes=(-2, -1), norm="ortho") * self.scale


def make_basis(
    name: str, power: float, height: int, width: int, *, luminance: bool = False
) -> Pixels:
    """The basis called ``name``, pixels or dct, for images of a size."""
    if name == "pixels":
        return Pixels(luminance=luminance)
    return Dct(height, width, power, luminance=luminance)
