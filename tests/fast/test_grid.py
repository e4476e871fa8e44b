"""The loss for patterns that repeat in every cell of 4 x 4 pixels."""

import mxnet as mx
import numpy as np
import pytest

from nstrep.fast.grid import PERIOD, WINDOW, grid_loss


def reference(pixels):
    """The same loss in float64, window by window."""
    squares = []
    side = min(WINDOW, *pixels.shape[2:]) // PERIOD * PERIOD
    rows, columns = (length // side for length in pixels.shape[2:])
    for channel in pixels[0].astype(np.float64):
        for top in range(0, rows * side, side):
            for left in range(0, columns * side, side):
                window = channel[top : top + side, left : left + side]
                cells = [
                    [window[y::PERIOD, x::PERIOD].mean() for x in range(PERIOD)]
                    for y in range(PERIOD)
                ]
                squares.append((np.array(cells) - window.mean()) ** 2)
    return np.mean(squares)


@pytest.fixture(params=[(130, 200), (37, 90)], ids=str)
def pixels(request, rng):
    return (rng.random((1, 3, *request.param)) * 255).astype(np.float32)


def test_the_loss_is_that_of_the_definition(pixels):
    found, _ = grid_loss(mx.nd.array(pixels))
    assert found == pytest.approx(reference(pixels), rel=1e-4)


def test_the_gradient_is_that_of_finite_differences(pixels, rng):
    _, gradient = grid_loss(mx.nd.array(pixels))
    direction = rng.standard_normal(pixels.shape)
    ahead, behind = (reference(pixels + step * direction) for step in (1e-3, -1e-3))
    slope = np.sum(gradient.asnumpy() * direction)
    assert slope == pytest.approx((ahead - behind) / 2e-3, rel=1e-3)


def test_only_a_pattern_that_repeats_counts(rng):
    x = np.arange(128)
    for period, expected in ((2, 100.0), (4, 50.0), (8, 0.0), (16, 0.0)):
        wave = 10 * np.cos(2 * np.pi * x / period)
        loss, _ = grid_loss(mx.nd.array(np.broadcast_to(100 + wave, (1, 3, 128, 128))))
        assert loss == pytest.approx(expected, abs=1e-3), period
    noise = 10 * rng.standard_normal((1, 3, 128, 128))
    assert grid_loss(mx.nd.array(100 + noise))[0] < 1.0
