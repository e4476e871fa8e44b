"""Gram matrices of features, as MXNet symbols, and masks at the positions of a layer."""

from __future__ import annotations

from collections.abc import Mapping

import mxnet as mx
import numpy as np


def gram_sums(
    features: mx.sym.Symbol,
    channels: int,
    root: mx.sym.Symbol | None = None,
    *,
    mean: bool = True,
) -> dict[str, mx.sym.Symbol]:
    """The sums over positions that a Gram matrix is made of.

    Args:
        features: shape (1, N, H, W).
        channels: N.
        root: square roots of the weights that positions count with, shape (1, 1, H, W); None
            where all count as one.
        mean: whether the sum of the features is needed.

    Returns:
        ``products``, sum(w f f^T), (N, N), and with ``mean`` the ``features``, sum(w f), (N, 1).

    """
    flat = mx.sym.reshape(features, shape=(channels, -1))
    if root is not None:
        root = mx.sym.reshape(root, shape=(1, -1))
        flat = mx.sym.broadcast_mul(flat, root)
    sums = {"products": self_product(flat, channels)}
    if mean:
        # As a product it takes a tenth of the time of MXNet's mean.
        if root is None:
            root = mx.sym.ones_like(mx.sym.slice_axis(flat, axis=0, begin=0, end=1))
        sums["features"] = mx.sym.dot(flat, root, transpose_b=True)
    return sums


def gram(
    sums: Mapping[str, mx.sym.Symbol], channels: int, positions: float, mean_share: float = 1.0
) -> mx.sym.Symbol:
    """Gram matrix F F^T / M (Gatys, Ecker, Bethge 2015, eq. 3, per position), shape (N, N).

    Args:
        sums: from :func:`gram_sums`.
        channels: N.
        positions: M = H * W; with weights their sum.
        mean_share: F F^T / M is the covariance plus the outer product of the means; this is the
            weight of the latter.

    """
    products = sums["products"] * (1.0 / positions)
    if mean_share == 1:
        return products
    mean = sums["features"] * (1.0 / positions)
    return products - self_product(mean, channels) * (1 - mean_share)


def self_product(x: mx.sym.Symbol, rows: int) -> mx.sym.Symbol:
    """The product x x^T of a matrix with so many rows, for a symmetric use of the result.

    The second factor is held constant, which saves a matrix product in the backward pass. That
    gives half of the gradient, if the gradient to the result is symmetric; so it is doubled.
    """
    # The fastest of MXNet's five ways to write x x^T, forward and backward.
    product = mx.sym.FullyConnected(x, mx.sym.BlockGrad(x), num_hidden=rows, no_bias=True)
    return mx.sym.contrib.gradientmultiplier(product, scalar=2.0)


def pooled(mask: np.ndarray, stride: int) -> np.ndarray:
    """The mean of a mask (H, W) under each position of a layer, (H // stride, W // stride).

    The pixels under a position are those that 2 x 2 poolings bring there: an odd last row or
    column drops out. Float64.
    """
    height, width = (side // stride for side in mask.shape)
    cut = mask[: height * stride, : width * stride].astype(np.float64)
    return cut.reshape(height, stride, width, stride).mean(axis=(1, 3))
