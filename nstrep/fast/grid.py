"""The loss of a training for regular patterns.

Upsampling makes it easy for a network to draw the same pattern into every cell of 4 x 4 pixels,
which style losses take for texture.
"""

from __future__ import annotations

import mxnet as mx

PERIOD = 4  # pixels: by how much the transform networks enlarge their coarsest features
WINDOW = 64  # pixels: side of a window, of which a pattern is the mean cell; less in a small image


def grid_loss(pixels: mx.nd.NDArray) -> tuple[float, mx.nd.NDArray]:
    """Mean square of the pattern that repeats every :data:`PERIOD` pixels, and its gradient.

    The pattern of a window is the mean of its cells, minus the mean of the window. ``pixels`` is
    (1, 3, H, W), of at least :data:`PERIOD` pixels on a side; rows and columns beyond the last
    whole window are ignored. The loss has the square of the unit of the pixels.
    """
    cells = min(WINDOW, *pixels.shape[2:]) // PERIOD
    rows, columns = (side // (cells * PERIOD) for side in pixels.shape[2:])
    pixels.attach_grad()
    with mx.autograd.record():
        whole = pixels[:, :, : rows * cells * PERIOD, : columns * cells * PERIOD]
        split = whole.reshape((3 * rows, cells, PERIOD, columns, cells, PERIOD))
        pattern = split.mean(axis=(1, 4))  # (3 rows, PERIOD, columns, PERIOD)
        offset = mx.nd.broadcast_sub(pattern, pattern.mean(axis=(1, 3), keepdims=True))
        loss = offset.square().mean()
    loss.backward()
    return float(loss.asscalar()), pixels.grad
