"""Products and sums of float32 arrays, without copies of whole images."""

from __future__ import annotations

import math

import numpy as np
from scipy.linalg import blas

BLOCK = 2**15
"""Numbers that are summed in single precision; the blocks' sums are added in double."""

FAINT = 1e-25
"""Below this, a block's sum may have lost products that single precision cannot hold."""


def dot(left: np.ndarray, right: np.ndarray) -> float:
    """Sum of the products of two float32 arrays of one shape.

    The error is about 1e-8 of the product of their norms. Blocks whose products are too large or
    too small for single precision are computed in double.
    """
    left, right = left.ravel(), right.ravel()
    parts = (slice(begin, begin + BLOCK) for begin in range(0, left.size, BLOCK))
    return sum(_block(left[part], right[part]) for part in parts)


def _block(left: np.ndarray, right: np.ndarray) -> float:
    product = float(np.dot(left, right))
    if FAINT < abs(product) < math.inf:
        return product
    return float(np.dot(left.astype(np.float64), right.astype(np.float64)))


def norm(array: np.ndarray) -> float:
    """Euclidean norm."""
    return math.sqrt(dot(array, array))


def add(to: np.ndarray, factor: float, array: np.ndarray) -> None:
    """``to`` += ``factor`` * ``array`` in place; both contiguous float32 of one shape."""
    blas.saxpy(array.ravel(), to.ravel(), a=factor)
