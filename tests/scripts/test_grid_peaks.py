"""The peaks of grids on noise, strokes and grids that are drawn here."""

import numpy as np
import pytest

from scripts.grid_peaks import PERIODS, grid_peaks
from tests.images.test_texture import strokes


def test_white_noise_has_no_grid(rng):
    noise = np.repeat(rng.random((320, 480, 1)), 3, axis=-1)
    assert max(grid_peaks(noise).values()) < 1.5


@pytest.mark.parametrize("period", PERIODS)
@pytest.mark.parametrize("axis", [0, 1])
def test_a_faint_grid_stands_out_at_its_period(rng, period, axis):
    picture = 0.5 + 0.02 * rng.normal(size=(256, 320, 1)).repeat(3, axis=-1)
    position = np.arange(picture.shape[axis])
    grid = 0.01 * np.cos(2 * np.pi * position / period)
    marked = picture + (grid[:, None, None] if axis == 0 else grid[:, None])
    before = grid_peaks(picture)
    after = grid_peaks(marked, picture)
    assert after[period] > 2 * before[period]
    others = [p for p in PERIODS if p != period]
    assert max(after[p] / before[p] for p in others) < 1.2


def test_strokes_of_one_direction_are_no_grid():
    assert max(grid_peaks(strokes(320, 480, noise=0.005)).values()) < 1.5


def test_a_checkerboard_is_a_grid_too():
    y, x = np.mgrid[:256, :256]
    picture = strokes(256, 256, noise=0.01) + 0.02 * ((-1.0) ** (x + y))[..., None]
    assert grid_peaks(picture)[2] > 3


def test_only_the_flat_areas_count():
    content = np.full((192, 320, 3), 0.5)
    content[:, 160:] = strokes(192, 160)
    picture = strokes(192, 320, noise=0.01)
    picture[:, 224:] += 0.1 * np.cos(np.pi / 2 * np.arange(96))[:, None]
    assert grid_peaks(picture, content)[4] < 1.5 < grid_peaks(picture, picture)[4]


def test_grid_peaks_refuses_what_it_cannot_measure():
    with pytest.raises(ValueError, match="a side of 40 pixels is below 64"):
        grid_peaks(np.zeros((40, 100, 3)))
    with pytest.raises(ValueError, match="differ in size"):
        grid_peaks(np.zeros((64, 64, 3)), np.zeros((64, 65, 3)))
    assert set(grid_peaks(np.full((64, 64, 3), 0.5)).values()) == {1.0}
