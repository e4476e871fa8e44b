"""The stand-in paintings: the files in the package, and the code that draws them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from scipy import ndimage

from nstrep.images import io
from scripts.paintings import BRUSHWORK, SCENES, SHEETS
from scripts.paintings.brush import emboss
from scripts.paintings.contact_sheet import drawn_styles
from scripts.paintings.plan import ASPECT
from scripts.paintings.sheet import SIZE, Sheet, finish, hook, spline
from scripts.paintings.swirls import MOONLIGHT

WIDTH, HEIGHT = 240, 190  # of the paintings that are drawn here

SHA256 = {
    "starry_swirls": "dbdd70cce80ed3eb45d3d62f7529a07d789ae9036d6c195ace88ed1f7f3d799e",
    "water_lilies": "9477850953473974a357b353dbaa187d1b7c14ddad4369cadf7116ea9a6b05bf",
    "cubist_facets": "47936f723cd4987a052ab413b320e3efa081b1a68dd2050c68a8792843386669",
    "breaking_wave": "4087a8e9b9e987972ee564f7e35f58df365a7ec577ded9117a2fc4c68943feca",
    "mosaic_peacock": "45b7de382c1e13168e8ad0956dce46cb7b861a720af89c9f7ef7a1b80275d6ba",
    "ink_mountains": "0bf2ec5c0b9763ed3971bd09901bdbc59330854791db4c861eb2e4d8902fe732",
    "dotted_river": "11641e16aa37f66012a758832bd01032db4debd744c97be30fc2a18b1e909cc1",
    "stained_glass": "1eb576b61d20ec908c1b40fb66508bd23a717fdaa04e31127b4e0f04f31b2a03",
    "woodcut_fox": "24571e4f1284218b279c380b0a6d707f49851b08c8eb97bebfb7301ce9af9de0",
}
"""Of shape and pixels. The metrics.json of every run with a stand-in holds one of these."""


class Character(NamedTuple):
    """What a scene is like; brightness and contrast in grey levels."""

    brightness: tuple[float, float]
    contrast: tuple[float, float]
    strokes: float  # the least contrast within 2 pixels
    flattest: float  # the least contrast in any 10 x 10 pixels
    coherence: float  # how much more coherent it is than noise: long strokes 0.15, dabs less


CHARACTER = {
    "starry_swirls": Character((80, 120), (55, 80), 32, 6, 0.15),
    "water_lilies": Character((115, 150), (30, 48), 14, 5, 0.06),
    "cubist_facets": Character((80, 115), (33, 50), 14, 3, 0.10),
}


@pytest.fixture(scope="module")
def pictures() -> dict[str, np.ndarray]:
    return {name: scene(WIDTH, HEIGHT) for name, scene in BRUSHWORK.items()}


@pytest.fixture(params=BRUSHWORK)
def name(request) -> str:
    return request.param


@pytest.fixture
def picture(pictures, name) -> np.ndarray:
    return pictures[name]


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


@pytest.fixture(scope="module", params=SHEETS)
def sheet(request) -> io.Picture:
    return io.builtin(request.param)


@pytest.mark.parametrize("name", SCENES)
def test_the_files_hold_the_recorded_pixels(name):
    painting = io.builtin(name)
    assert painting.sha256 == SHA256[name]
    assert painting.source == f"nstrep/images/stand_ins/{name}.webp"
    assert painting.rgb.shape == ((812, 1024, 3) if name in BRUSHWORK else (660, 832, 3))


@pytest.mark.slow
def test_the_files_are_what_the_code_draws(name):
    drawn = SCENES[name]().astype(np.float32) / 255
    np.testing.assert_array_equal(io.builtin(name).rgb, drawn)


@pytest.mark.slow
def test_the_sheets_are_what_the_code_draws(sheet):
    """Up to what the lossy file leaves out."""
    drawn = SHEETS[sheet.name]().astype(np.float32) / 255
    blurred = [ndimage.gaussian_filter(one, (1, 1, 0)) for one in (drawn, sheet.rgb)]
    assert np.abs(blurred[0] - blurred[1]).mean() < 0.02


def test_each_scene_has_a_file():
    assert [*SCENES] == [*io.STAND_INS]


def test_another_shape_stretches_the_scene(name):
    picture = SCENES[name](64, 151)
    assert picture.shape == (151, 64, 3)
    assert picture.dtype == np.uint8
    assert luminance(picture).std() > 0.7 * CHARACTER[name].contrast[0]


def test_light_and_dark_lie_side_by_side(name, picture):
    grey, character = luminance(picture), CHARACTER[name]
    assert character.brightness[0] < grey.mean() < character.brightness[1]
    assert character.contrast[0] < grey.std() < character.contrast[1]
    fine = grey - ndimage.gaussian_filter(grey, 2)
    assert fine.std() > character.strokes


def test_no_area_is_left_flat(name, picture):
    grey = luminance(picture)[: HEIGHT // 10 * 10]
    tiles = grey.reshape(HEIGHT // 10, 10, WIDTH // 10, 10).std(axis=(1, 3))
    assert tiles.min() > CHARACTER[name].flattest


def test_strokes_make_the_picture_coherent(name, picture):
    grey = luminance(picture)
    painted, _ = structure_tensor(grey)
    noise, _ = structure_tensor(same_spectrum_noise(grey))
    assert painted.mean() > noise.mean() + CHARACTER[name].coherence


def test_the_sky_is_blue_and_the_moon_is_yellow(pictures):
    picture = pictures["starry_swirls"]
    red, green, blue = (picture[..., channel].astype(float) for channel in range(3))
    upper = slice(0, HEIGHT // 2)
    assert blue[upper].mean() > red[upper].mean() + 25
    moon = moon_distance() < 0.08
    assert min(red[moon].mean(), green[moon].mean()) > blue[moon].mean() + 40
    yellow = (red > blue + 30) & (luminance(picture) > 90)
    assert 0.08 < yellow.mean() < 0.25


def test_strokes_run_around_the_moon(pictures):
    distance = moon_distance()
    ring = (distance > 0.06) & (distance < 0.115)
    rows, columns = np.nonzero(ring)
    coherence, along = structure_tensor(luminance(pictures["starry_swirls"]), sigma=1.5)
    dx = (columns + 0.5) / WIDTH * ASPECT - MOONLIGHT.x
    dy = (rows + 0.5) / HEIGHT - MOONLIGHT.y
    tangent = np.arctan2(dy, dx) + np.pi / 2
    agreement = np.cos(2 * (along[ring] - tangent))  # 1 along the ring, 0 at random, -1 across it
    assert np.average(agreement, weights=coherence[ring]) > 0.5


def test_dabs_lie_on_the_pond_and_hang_in_the_willows(pictures):
    coherence, along = structure_tensor(luminance(pictures["water_lilies"]), sigma=1.5)
    level = np.cos(2 * along)  # 1 level, -1 upright
    water = np.s_[40:75, 130:180]
    willow = np.s_[10:45, 2:20]
    assert np.average(level[water], weights=coherence[water]) > 0.5
    assert np.average(level[willow], weights=coherence[willow]) < -0.2


def test_the_pond_is_blue_and_green_and_its_blossoms_are_light(pictures):
    picture = pictures["water_lilies"]
    red, green, blue = (picture[..., channel].astype(float) for channel in range(3))
    assert blue.mean() > green.mean() > red.mean() + 10
    assert 0.1 < ((green > red) & (green > blue)).mean() < 0.5
    pale = picture.min(axis=2) > 215
    assert 0.001 < pale.mean() < 0.05


def test_facets_are_brown_and_hatched_in_many_directions(pictures):
    picture = pictures["cubist_facets"]
    mean = picture.mean(axis=(0, 1))
    assert mean[0] > mean[1] > mean[2] + 10
    assert mean[0] - mean[2] < 60  # ochre and grey, not orange
    coherence, along = structure_tensor(luminance(picture))
    directions, _ = np.histogram(along, bins=6, range=(0, np.pi), weights=coherence)
    assert directions.min() > 0.07 * directions.sum()


def test_relief_is_lit_from_the_upper_left():
    painted = np.full((9, 9, 4), 100.0)
    painted[3:6, 3:6, 3] = 180.0  # a lump of paint
    lit = emboss(painted, relief=0.42)[..., 0]
    assert lit[3, 3] > 100
    assert lit[6, 6] < 100
    assert lit[0, 0] == lit[4, 4] == lit[8, 8] == 100


def test_sheets_are_rich_in_the_scales_that_a_style_is_made_of(sheet):
    """At 512 pixels, details of 4 to 40 pixels vary everywhere, a third as much as all."""
    grey = luminance(io.resize_to(sheet.rgb, 406, 512)) * 255
    texture = ndimage.gaussian_filter(grey, 1) - ndimage.gaussian_filter(grey, 10)
    assert texture.std() > 0.35 * grey.std()
    tiles = texture[:400, :480].reshape(5, 80, 6, 80).std(axis=(1, 3))
    assert tiles.min() > 8


def test_each_painting_has_a_palette_of_its_own():
    """No two share half of their colours, in 8 x 8 x 8 boxes of RGB."""
    palettes = []
    for name in SCENES:
        boxes = (io.builtin(name).rgb.reshape(-1, 3) * 7.999).astype(int) @ (64, 8, 1)
        palettes.append(np.bincount(boxes, minlength=512) / len(boxes))
    shared = [[np.minimum(a, b).sum() for a in palettes] for b in palettes]
    assert (np.array(shared) - np.eye(len(palettes))).max() < 0.5


def test_each_drawn_painting_is_a_style():
    styles = drawn_styles()
    assert [*styles.values()] == [*SCENES]
    assert [*styles] == [
        "swirls", "lilies", "facets", "surf", "tiles", "ink", "dots", "glass", "woodcut",
    ]  # fmt: skip


def test_lines_and_dots_lie_where_the_design_says():
    sheet = Sheet((255, 255, 255))
    sheet.line(np.array([(0.1, 0.5), (0.6, 0.5), (1.1, 0.5)]), 0.1, (0, 0, 0))
    sheet.dot((0.6, 0.9), 0.05, (255, 0, 0))
    picture = finish(sheet.image, 252, 200)
    assert picture.shape == (200, 252, 3)
    assert (picture[92:108, 22:218] == 0).all()
    assert (picture[[85, 115]] == 255).all()
    assert (picture[180, 120] == (255, 0, 0)).all()
    assert finish(np.full((*SIZE[::-1], 3), 300.0), 4, 3).max() == 255


def test_curves_pass_through_their_points_and_turn():
    curve = spline([(0, 0), (1, 1), (2, 0)], 101)
    np.testing.assert_allclose(curve[[0, 50, 100]], [(0, 0), (1, 1), (2, 0)], atol=1e-9)
    path, angles = hook(np.array((0.5, 0.5)), 0.0, 1.0, np.pi / 2)
    assert tuple(path[0]) == (0.5, 0.5)
    assert angles[-1] == pytest.approx(np.pi / 2)
    assert (np.diff(angles) > 0).all()
