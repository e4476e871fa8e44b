"""Gram matrices and moments of features, as MXNet symbols."""

from __future__ import annotations

import mxnet as mx
import numpy as np


def gram(
    features: mx.sym.Symbol,
    channels: int,
    positions: float,
    *,
    mean_share: float = 1.0,
    constant_factor: bool = False,
    root: mx.sym.Symbol | None = None,
) -> mx.sym.Symbol:
    """Gram matrix F F^T / M (Gatys, Ecker, Bethge 2015, eq. 3, per position), shape (N, N).

    Args:
        features: shape (1, N, H, W).
        channels: N.
        positions: M = H * W; with ``root`` the sum of the weights.
        mean_share: F F^T / M is the covariance plus the outer product of the means; this is the
            latter's weight.
        constant_factor: hold the second F constant. The value is the same and the gradient of
            any symmetric use is half of the true one, for one matrix product less.
        root: square roots of the weights that positions count with, shape (1, H * W); None
            where all count as one.

    """
    flat = mx.sym.reshape(features, shape=(channels, -1))
    if root is not None:
        flat = mx.sym.broadcast_mul(flat, root)

    def product(x: mx.sym.Symbol) -> mx.sym.Symbol:
        other = mx.sym.BlockGrad(x) if constant_factor else x
        # The fastest of MXNet's five ways to write x x^T, forward and backward.
        return mx.sym.FullyConnected(x, other, num_hidden=channels, no_bias=True)

    found = product(flat) * (1.0 / positions)
    if mean_share == 1:
        return found
    # As a product it takes a tenth of the time of MXNet's mean.
    counts = mx.sym.ones((1, positions)) if root is None else root
    mean = mx.sym.dot(flat, counts, transpose_b=True) * (1.0 / positions)
    return found - product(mean) * (1 - mean_share)


def moments(
    features: mx.sym.Symbol,
    channels: int,
    inverse: mx.sym.Symbol,
    root: mx.sym.Symbol | None = None,
) -> tuple[mx.sym.Symbol, mx.sym.Symbol]:
    """Mean of features (N, 1), and the sum of their products around it (N, N).

    Args:
        features: (1, N, H, W).
        channels: N.
        inverse: 1 / (H * W), shape (1, 1); with ``root`` of the sum of the weights.
        root: see :func:`gram`.

    """
    flat = mx.sym.reshape(features, shape=(channels, -1))
    if root is None:
        counts = mx.sym.ones_like(mx.sym.slice_axis(flat, axis=0, begin=0, end=1))
    else:
        flat, counts = mx.sym.broadcast_mul(flat, root), root
    mean = mx.sym.broadcast_mul(mx.sym.dot(flat, counts, transpose_b=True), inverse)
    shift = mean if root is None else mx.sym.broadcast_mul(mean, root)
    centred = mx.sym.broadcast_sub(flat, shift)
    # Not FullyConnected, which in a forward-only graph keeps the second factor of its first run.
    return mean, mx.sym.linalg.syrk(centred)


def pooled(mask: np.ndarray, stride: int) -> np.ndarray:
    """The mean of a mask (H, W) under each position of a layer, (H // stride, W // stride).

    The pixels under a position are those that 2 x 2 poolings bring there: an odd last row or
    column drops out. Float64.
    """
    height, width = (side // stride for side in mask.shape)
    cut = mask[: height * stride, : width * stride].astype(np.float64)
    return cut.reshape(height, stride, width, stride).mean(axis=(1, 3))
