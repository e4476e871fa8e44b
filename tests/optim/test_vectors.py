import numpy as np
import pytest

from nstrep.optim.float32 import BLOCK, add, dot, norm

SHAPE = 1, 3, 150, 170
"""Two blocks and a part of a third."""


@pytest.fixture(scope="module")
def pair():
    rng = np.random.Generator(np.random.PCG64(11))
    assert np.prod(SHAPE) > 2 * BLOCK
    return rng.normal(0, 1, SHAPE).astype(np.float32), rng.normal(1, 2, SHAPE).astype(np.float32)


def exactly(left, right):
    return float(np.sum(left.astype(np.float64) * right))


@pytest.mark.parametrize("unit", [1e-30, 1e-20, 1.0, 1e18, 1e30])
def test_products_are_exact_to_rounding_whatever_their_size(pair, unit):
    left, right = (array * np.float32(unit) for array in pair)
    allowed = 1e-7 * np.sqrt(exactly(left, left) * exactly(right, right))
    assert abs(dot(left, right) - exactly(left, right)) < allowed
    assert norm(left) == pytest.approx(np.sqrt(exactly(left, left)), rel=1e-7)


def test_one_large_number_among_small_ones(pair):
    left = pair[0].copy()
    left[0, 0, 0, 0] = 3e38
    assert norm(left) == pytest.approx(np.sqrt(exactly(left, left)), rel=1e-7)


def test_products_that_cancel():
    left = np.ones(BLOCK, np.float32)
    right = np.where(np.arange(BLOCK) % 2, 1e-22, -1e-22).astype(np.float32)
    right[0] = 1e-30
    assert dot(left, right) == pytest.approx(exactly(left, right), rel=1e-6)


def test_nothing_at_all():
    assert dot(np.zeros(0, np.float32), np.zeros(0, np.float32)) == 0
    assert norm(np.zeros(SHAPE, np.float32)) == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_shows(pair, bad):
    left = pair[0].copy()
    left[0, 1, 7, 7] = bad
    assert not np.isfinite(norm(left))


def test_add_changes_its_first_argument(pair):
    to, what = pair[0].copy(), pair[1]
    add(to, -0.5, what)
    np.testing.assert_allclose(to, pair[0] - 0.5 * what, rtol=1e-5, atol=1e-6)
