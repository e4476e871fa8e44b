"""Products of pictures in single precision, summed in double, without copies of whole pictures."""

from __future__ import annotations

import math

import numpy as np
from scipy.linalg import blas

BLOCK = 2**15
"""Numbers that are converted at once: they stay in the processor's cache."""


def dot(left: np.ndarray, right: np.ndarray) -> float:
    """Sum of the products of two arrays of one shape, in double precision."""
    left, right = left.ravel(), right.ravel()
    parts = (slice(begin, begin + BLOCK) for begin in range(0, left.size, BLOCK))
    return sum(
        float(np.dot(left[part].astype(np.float64), right[part].astype(np.float64)))
        for part in parts
    )


def norm(array: np.ndarray) -> float:
    """Euclidean norm, in double precision."""
    return math.sqrt(dot(array, array))


def add(to: np.ndarray, factor: float, what: np.ndarray) -> None:
    """``to`` += ``factor`` x ``what`` in place; both contiguous float32 of one shape."""
    blas.saxpy(what.ravel(), to.ravel(), a=factor)
