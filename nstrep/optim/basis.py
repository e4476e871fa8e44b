"""The coordinates that the optimiser sees: pixels, or frequencies scaled to equal curvature.

Losses of a picture are far steeper along its coarse structures than along its fine ones. Pixels
hide that from an optimiser; in the discrete cosine transform, with each coefficient scaled by its
frequency, a few L-BFGS corrections go much further, and fine noise grows last.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy import fft

OFFSET = 0.02
"""Coefficients are scaled by (frequency + OFFSET)^-power; 1 is the Nyquist frequency of a side."""


@dataclass(frozen=True)
class Pixels:
    """The image itself."""

    def to_image(self, coefficients: np.ndarray) -> np.ndarray:
        """Coefficients to the image, same shape."""
        return coefficients

    def to_coefficients(self, image: np.ndarray) -> np.ndarray:
        """Inverse of :meth:`to_image`."""
        return image

    def pull_back(self, gradient: np.ndarray) -> np.ndarray:
        """Gradient to the image into the gradient to the coefficients."""
        return gradient


@dataclass(frozen=True)
class Dct:
    """Orthonormal 2-D cosine coefficients, each times (frequency + OFFSET)^-power."""

    height: int
    width: int
    power: float = 0.5
    scale: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        rows = np.arange(self.height)[:, None] / self.height
        columns = np.arange(self.width)[None, :] / self.width
        scale = (np.hypot(rows, columns) + OFFSET) ** -self.power
        object.__setattr__(self, "scale", scale.astype(np.float32))

    def to_image(self, coefficients: np.ndarray) -> np.ndarray:
        """Coefficients (..., H, W) to the image, same shape."""
        return fft.idctn(coefficients * self.scale, axes=(-2, -1), norm="ortho")

    def to_coefficients(self, image: np.ndarray) -> np.ndarray:
        """Inverse of :meth:`to_image`."""
        return fft.dctn(image, axes=(-2, -1), norm="ortho") / self.scale

    def pull_back(self, gradient: np.ndarray) -> np.ndarray:
        """Gradient to the image into the gradient to the coefficients."""
        return fft.dctn(gradient, axes=(-2, -1), norm="ortho") * self.scale


@dataclass(frozen=True)
class Luminance:
    """Another basis with the gradient's mean over the channels in each: grey pictures stay grey."""

    inner: Pixels | Dct

    def to_image(self, coefficients: np.ndarray) -> np.ndarray:
        """Coefficients to the image, same shape."""
        return self.inner.to_image(coefficients)

    def to_coefficients(self, image: np.ndarray) -> np.ndarray:
        """Inverse of :meth:`to_image`."""
        return self.inner.to_coefficients(image)

    def pull_back(self, gradient: np.ndarray) -> np.ndarray:
        """Gradient to the image (1, 3, H, W) into its part along grey, to the coefficients."""
        along = np.broadcast_to(gradient.mean(axis=1, keepdims=True), gradient.shape)
        return self.inner.pull_back(along)


Basis = Pixels | Dct | Luminance


def make_basis(
    name: str, power: float, height: int, width: int, *, luminance: bool = False
) -> Basis:
    """Build the basis called ``name``, pixels or dct; with ``luminance`` steps have no colour."""
    basis = Pixels() if name == "pixels" else Dct(height, width, power)
    return Luminance(basis) if luminance else basis
