"""Textures of known orientation, scale and noise, drawn here: nothing is read from a file."""

import numpy as np
import pytest
from scipy import ndimage

from nstrep.images import texture
from nstrep.images.texture import border_error, grid_peaks, speckle


def strokes(height=160, width=160, *, across=1.2, along=9.0, seed=0, noise=0.0):
    """Horizontal strokes of several hues on a warm ground: noise smoothed anisotropically."""
    rng = np.random.Generator(np.random.PCG64(seed))
    field = ndimage.gaussian_filter(rng.normal(size=(3, height, width)), (0, across, along))
    mixed = np.tensordot([[1, 0.4, 0.2], [1, -0.3, 0.3], [0.9, 0, -0.5]], field, axes=1)
    picture = [0.6, 0.5, 0.35] + 0.12 * mixed.transpose(1, 2, 0) / field.std()
    return np.clip(picture + noise * rng.normal(size=picture.shape), 0, 1)


def test_speckle_rises_with_noise():
    found = [speckle(strokes(across=3, noise=noise)) for noise in (0, 0.02, 0.05, 0.1)]
    assert found == sorted(found)
    assert found[0] < 0.001
    assert found[-1] > 0.1


def test_speckle_of_white_noise_is_its_share_of_the_spectrum(rng):
    grey = rng.uniform(0, 1, (128, 128, 1)).repeat(3, axis=2)
    # The square of frequencies less the disc of radius 0.35: 1 - pi 0.35^2.
    assert speckle(grey) == pytest.approx(1 - np.pi * texture.FINE**2, abs=0.02)


def test_speckle_does_not_depend_on_contrast_or_mean():
    picture = strokes(noise=0.03)
    assert speckle(0.1 + 0.5 * picture) == pytest.approx(speckle(picture), rel=1e-6)


def test_a_ramp_and_an_even_picture_have_no_speckle():
    ramp = np.linspace(0, 1, 100)[None, :, None].repeat(80, axis=0).repeat(3, axis=2)
    assert speckle(ramp) < 1e-5
    assert speckle(np.full((80, 100, 3), 0.3)) == 0


def framed(picture, width, value):
    """The picture with a frame of another brightness."""
    mask = np.ones(picture.shape[:2], dtype=bool)
    mask[width:-width, width:-width] = False
    return np.where(mask[..., None], value(picture), picture)


def test_border_error_is_about_1_without_an_artefact():
    found = [border_error(strokes(200, 260, seed=seed)) for seed in range(8)]
    assert np.median(found) == pytest.approx(1, abs=0.3)


def test_border_error_rises_with_a_darkened_frame():
    found = [
        border_error(framed(strokes(200, 260), 8, lambda inside, dark=dark: dark * inside))
        for dark in (1.0, 0.85, 0.7, 0.5)
    ]
    assert found == sorted(found)
    assert found[-1] > 4 * found[0]


def test_a_smoothed_and_a_coloured_frame_are_seen_too():
    picture = strokes(200, 260)
    plain = border_error(picture)
    smooth = framed(picture, 8, lambda inside: ndimage.gaussian_filter(inside, (8, 8, 0)))
    coloured = framed(picture, 8, lambda inside: inside * [1.0, 0.8, 0.8])
    assert border_error(smooth) > 1.5 * plain
    assert border_error(coloured) > 2 * plain


@pytest.mark.parametrize("turn", range(4))
def test_every_side_counts(turn):
    picture = strokes(200, 200)
    one_side = np.rot90(picture, turn).copy()
    one_side[:8] *= 0.5
    assert border_error(np.rot90(one_side, -turn)) > 2 * border_error(picture)


def test_border_error_of_an_even_picture_is_1():
    assert border_error(np.full((90, 90, 3), 0.7)) == pytest.approx(1)


def test_border_error_refuses_too_small_a_picture():
    with pytest.raises(ValueError, match="79 pixels is below 80"):
        border_error(np.zeros((79, 200, 3)))


def test_white_noise_has_no_grid(rng):
    noise = np.repeat(rng.random((320, 480, 1)), 3, axis=-1)
    assert max(grid_peaks(noise).values()) < 1.5


@pytest.mark.parametrize("period", texture.PERIODS)
@pytest.mark.parametrize("axis", [0, 1])
def test_a_faint_grid_stands_out_at_its_period(rng, period, axis):
    picture = 0.5 + 0.02 * rng.normal(size=(256, 320, 1)).repeat(3, axis=-1)
    position = np.arange(picture.shape[axis])
    grid = 0.01 * np.cos(2 * np.pi * position / period)
    marked = picture + (grid[:, None, None] if axis == 0 else grid[:, None])
    before = grid_peaks(picture)
    after = grid_peaks(marked, picture)
    assert after[period] > 2 * before[period]
    others = [p for p in texture.PERIODS if p != period]
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
