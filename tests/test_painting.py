from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from nstrep.painting import ASPECT, MAX_SIDE, MIN_SIDE, MOONLIGHT, _emboss, starry_swirls

WIDTH, HEIGHT = 240, 190


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return starry_swirls(WIDTH, HEIGHT)


def luminance(picture: np.ndarray) -> np.ndarray:
    return picture @ np.array([0.299, 0.587, 0.114])


def structure_tensor(image: np.ndarray, sigma: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """Coherence (0 none .. 1 all gradients parallel) and the angle along the structure, H x W."""
    smooth = ndimage.gaussian_filter(image, 0.7)
    gy, gx = np.gradient(smooth)
    xx, xy, yy = (ndimage.gaussian_filter(part, sigma) for part in (gx * gx, gx * gy, gy * gy))
    coherence = np.hypot(xx - yy, 2 * xy) / (xx + yy + 1e-9)
    return coherence, np.arctan2(2 * xy, xx - yy) / 2 + np.pi / 2


def same_spectrum_noise(image: np.ndarray) -> np.ndarray:
    """Noise with the image's power spectrum and random phases: no strokes, equal contrast."""
    phases = np.fft.fft2(np.random.default_rng(0).standard_normal(image.shape))
    spectrum = np.abs(np.fft.fft2(image)) * phases / np.abs(phases)
    return np.fft.ifft2(spectrum).real


def moon_distance() -> np.ndarray:
    """Each pixel's distance from the moon in canvas heights, H x W."""
    x, y = np.meshgrid((np.arange(WIDTH) + 0.5) / WIDTH, (np.arange(HEIGHT) + 0.5) / HEIGHT)
    return np.hypot(x * ASPECT - MOONLIGHT.x, y - MOONLIGHT.y)


def test_the_same_arguments_give_the_same_bytes(picture):
    assert starry_swirls(WIDTH, HEIGHT).tobytes() == picture.tobytes()


def test_another_seed_gives_other_strokes_in_the_same_composition(picture):
    other = starry_swirls(WIDTH, HEIGHT, seed=7)
    strokes = [luminance(p) - ndimage.gaussian_filter(luminance(p), 2) for p in (picture, other)]
    masses = [ndimage.gaussian_filter(luminance(p), 10) for p in (picture, other)]
    assert abs(np.corrcoef(strokes[0].ravel(), strokes[1].ravel())[0, 1]) < 0.25
    assert np.corrcoef(masses[0].ravel(), masses[1].ravel())[0, 1] > 0.9


@pytest.mark.parametrize(("width", "height"), [(64, 64), (130, 64), (64, 151), (np.int64(70), 65)])
def test_the_picture_has_the_size_that_was_asked_for(width, height):
    picture = starry_swirls(width, height)
    assert picture.shape == (height, width, 3)
    assert picture.dtype == np.uint8
    assert luminance(picture).std() > 40


@pytest.mark.parametrize("side", [0, -64, MIN_SIDE - 1, MAX_SIDE + 1, 100.0, "100", None, True])
@pytest.mark.parametrize("name", ["width", "height"])
def test_a_bad_side_is_refused_by_name(name, side):
    with pytest.raises(ValueError, match=f"^{name} is .*pixels"):
        starry_swirls(**{name: side})


def test_the_sky_is_blue_and_the_moon_is_yellow(picture):
    red, green, blue = (picture[..., channel].astype(float) for channel in range(3))
    upper = slice(0, HEIGHT // 2)
    assert blue[upper].mean() > red[upper].mean() + 25
    moon = moon_distance() < 0.08
    assert min(red[moon].mean(), green[moon].mean()) > blue[moon].mean() + 40
    yellow = (red > blue + 30) & (luminance(picture) > 90)
    assert 0.08 < yellow.mean() < 0.25


def test_light_and_dark_lie_side_by_side(picture):
    grey = luminance(picture)
    assert 80 < grey.mean() < 120
    assert grey.std() > 55
    fine = grey - ndimage.gaussian_filter(grey, 2)
    assert fine.std() > 32


def test_no_area_is_left_flat(picture):
    grey = luminance(picture)[: HEIGHT // 10 * 10]
    tiles = grey.reshape(HEIGHT // 10, 10, WIDTH // 10, 10).std(axis=(1, 3))
    assert tiles.min() > 6


def test_strokes_make_the_picture_coherent(picture):
    grey = luminance(picture)
    painted, _ = structure_tensor(grey)
    noise, _ = structure_tensor(same_spectrum_noise(grey))
    assert painted.mean() > noise.mean() + 0.15


def test_strokes_run_around_the_moon(picture):
    distance = moon_distance()
    ring = (distance > 0.06) & (distance < 0.115)
    rows, columns = np.nonzero(ring)
    coherence, along = structure_tensor(luminance(picture), sigma=1.5)
    dx = (columns + 0.5) / WIDTH * ASPECT - MOONLIGHT.x
    dy = (rows + 0.5) / HEIGHT - MOONLIGHT.y
    tangent = np.arctan2(dy, dx) + np.pi / 2
    agreement = np.cos(2 * (along[ring] - tangent))  # 1 along the ring, 0 at random, -1 across it
    assert np.average(agreement, weights=coherence[ring]) > 0.5


def test_relief_is_lit_from_the_upper_left():
    painted = np.full((9, 9, 4), 100.0)
    painted[3:6, 3:6, 3] = 180.0  # a lump of paint
    lit = _emboss(painted)[..., 0]
    assert lit[3, 3] > 100
    assert lit[6, 6] < 100
    assert lit[0, 0] == lit[4, 4] == lit[8, 8] == 100
