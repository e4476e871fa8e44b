"""Products and sums of float32 arrays, without copies of whole images."""

from __future__ import annotations

import math

import numpy as np
from scipy.linalg import blas

BLOCK = 2**15  # numbers summed in single precision; the blocks' sums are added in double
FAINT = 1e-25  # a smaller sum of a block may have lost products that are too small for float32


def dot(left: np.ndarray, right: np.ndarray) -> float:
    """Sum of the products of two float32 arrays of one shape.

    The error is about 1e-8 of the product of their norms. Blocks whose products are too large or
    too small for single precision are computed in double.
    """
    left, right, total = left.ravel(), right.ravel(), 0.0
    for begin in range(0, left.size, BLOCK):
        a, b = left[begin : begin + BLOCK], right[begin : begin + BLOCK]
        product = float(np.dot(a, b))
        if not FAINT < abs(product) < math.inf:
            product = float(np.dot(a.astype(np.float64), b.astype(np.float64)))
        total += product
    return total


def norm(array: np.ndarray) -> float:
    """Euclidean norm."""
    return math.sqrt(dot(array, array))


def add(to: np.ndarray, factor: float, array: np.ndarray) -> None:
    """``to`` += ``factor`` * ``array`` in place; both contiguous float32 of one shape."""
    blas.saxpy(array.ravel(), to.ravel(), a=factor)
