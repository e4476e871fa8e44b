import numpy as np
import pytest

from nstrep.config import schema
from nstrep.images import color
from nstrep.optim.basis import make_basis

ROOTS = {"histogram": color.symmetric_root, "cholesky": color.cholesky_root}


@pytest.fixture
def picture(rng):
    """Make a picture (H, W, 3) with colours that hang together, float32."""

    def make(height, width):
        mix = rng.uniform(-0.5, 1, (3, 3))
        x = rng.uniform(0, 1, (height, width, 3)) @ mix
        return ((x - x.min()) / (x.max() - x.min())).astype(np.float32)

    return make


def moments(rgb):
    """Mean and covariance, from their definitions."""
    pixels = rgb.reshape(-1, 3).astype(np.float64)
    centred = pixels - pixels.mean(0)
    return pixels.mean(0), centred.T @ centred / len(pixels)


def test_every_mode_is_in_the_schema():
    assert tuple(color.MODES) == schema.COLORS


@pytest.mark.parametrize("mode", ROOTS)
@pytest.mark.parametrize("sizes", [((20, 30), (31, 17)), ((7, 5), (64, 48))])
def test_the_painting_gets_the_photos_mean_and_covariance(picture, mode, sizes):
    photo, painting = picture(*sizes[0]), picture(*sizes[1])
    found = color.MODES[mode].style(painting, photo)
    assert found.dtype == np.float32
    for ours, theirs in zip(moments(found), moments(photo)):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert np.abs(moments(painting)[1] - moments(photo)[1]).max() > 1e-3


def test_the_symmetric_form_is_that_of_image_analogies(picture):
    """A = C^(1/2) S^(-1/2), the roots by Denman and Beavers' iteration."""

    def root(matrix):
        y, z = matrix, np.eye(3)
        for _ in range(60):
            y, z = (y + np.linalg.inv(z)) / 2, (z + np.linalg.inv(y)) / 2
        return y

    photo, painting = picture(20, 30), picture(31, 17)
    (mean_c, c), (mean_s, s) = moments(photo), moments(painting)
    expected = (painting - mean_s) @ (root(c) @ np.linalg.inv(root(s))).T + mean_c
    np.testing.assert_allclose(
        color.matched(painting, photo, color.symmetric_root), expected, atol=1e-5
    )


def test_the_triangular_form_is_cholesky(picture):
    photo, painting = picture(20, 30), picture(31, 17)
    (mean_c, c), (mean_s, s) = moments(photo), moments(painting)
    a = np.linalg.cholesky(c) @ np.linalg.inv(np.linalg.cholesky(s))
    np.testing.assert_allclose(
        color.matched(painting, photo, color.cholesky_root),
        (painting - mean_s) @ a.T + mean_c,
        atol=1e-5,
    )


@pytest.mark.parametrize("mode", ROOTS)
def test_a_painting_in_the_photos_colours_stays_itself(picture, mode):
    photo = picture(20, 30)
    np.testing.assert_allclose(color.MODES[mode].style(photo, photo), photo, atol=1e-6)


@pytest.mark.parametrize("mode", ROOTS)
def test_a_drawing_in_ink_gets_the_photos_mean_and_no_false_colours(picture, rng, mode, caplog):
    photo = picture(20, 30)
    ink = np.repeat(rng.uniform(size=(16, 16, 1)), 3, axis=2)
    ink += rng.uniform(-0.5, 0.5, ink.shape) / 255  # the rounding of a JPEG's colours
    found = color.MODES[mode].style(ink.astype(np.float32), photo)
    mean, covariance = moments(found)
    np.testing.assert_allclose(mean, moments(photo)[0], atol=1e-6)
    values = np.linalg.eigvalsh(covariance)
    assert values[1] < 1e-6 < values[2]  # one direction, as in the drawing
    assert "no colour in 2 of 3 directions" in caplog.text
    flat = color.MODES[mode].style(np.full((4, 4, 3), 0.3, np.float32), photo)
    np.testing.assert_allclose(flat - moments(photo)[0], 0, atol=1e-6)


def luminance(rgb):
    """Y of YIQ."""
    return rgb.astype(np.float64) @ [0.299, 0.587, 0.114]


def test_the_painting_gets_the_photos_luminance(picture):
    photo, painting = picture(20, 30), picture(31, 17)
    found = color.MODES["luminance"].style(painting, photo)
    assert np.ptp(found, axis=2).max() == 0
    y, target = luminance(found), luminance(photo)
    assert y.mean() == pytest.approx(target.mean(), abs=1e-6)
    assert y.std() == pytest.approx(target.std(), abs=1e-6)
    correlation = np.corrcoef(y.ravel(), luminance(painting).ravel())[0, 1]
    assert correlation == pytest.approx(1, abs=1e-6)
    flat = color.grey_matched(np.full((4, 4, 3), 0.3, np.float32), photo)
    np.testing.assert_allclose(flat, target.mean(), atol=1e-6)


def test_the_photos_chrominance_is_put_back(picture):
    photo, result = picture(20, 30), picture(20, 30) * 1.4 - 0.2  # beyond [0, 1] too
    mode = color.MODES["luminance"]
    found = mode.result(result, photo)
    np.testing.assert_allclose(luminance(found), luminance(result), atol=1e-3)
    # What is left without luminance is the photo's: differences of channels to Y.
    np.testing.assert_allclose(
        found - luminance(found)[..., None], photo - luminance(photo)[..., None], atol=1e-3
    )
    np.testing.assert_allclose(mode.result(mode.content(photo), photo), photo, atol=1e-5)


@pytest.mark.parametrize("name", ["pixels", "dct"])
def test_the_gradient_is_that_of_the_luminance(rng, name):
    """Along grey directions the slope is that of the whole gradient, along others it is 0."""
    basis = make_basis(name, 0.5, 5, 7, luminance=True)
    whole = make_basis(name, 0.5, 5, 7)
    gradient = rng.normal(size=(1, 3, 5, 7))
    found = basis.pull_back(gradient)
    along = np.repeat(rng.normal(size=(1, 1, 5, 7)), 3, axis=1)
    assert np.sum(found * along) == pytest.approx(np.sum(whole.pull_back(gradient) * along))
    across = rng.normal(size=(1, 3, 5, 7))
    across -= across.mean(axis=1, keepdims=True)
    assert np.sum(found * across) == pytest.approx(0, abs=1e-9)
    image = rng.normal(size=(1, 3, 5, 7))
    np.testing.assert_allclose(basis.to_image(basis.to_coefficients(image)), image)
