"""Texture distance on textures of known orientation, scale and noise."""

import numpy as np
import pytest

from nstrep.images import io
from scripts import texture_distance as texture
from scripts.texture_distance import differences, distance, statistics
from tests.images.test_texture import strokes


def waves(period, angle, size=128, amplitude=0.3):
    """Grey waves whose normal has ``angle`` (radians from the x axis to the y axis, down)."""
    y, x = np.mgrid[:size, :size]
    phase = 2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period
    return np.repeat((0.5 + amplitude * np.sin(phase))[..., None], 3, axis=-1)


def test_the_groups_have_the_documented_shapes():
    found = {name: values.shape for name, values in statistics(strokes(96, 130)).items()}
    assert found == {
        "palette": (3, 19),
        "energy": (4, 3, 6),
        "sparsity": (4, 3, 6),
        "kurtosis": (4, 3, 6),
        "orientations": (4, 3, 6, 6),
        "colours": (4, 6, 3, 3),
        "scales": (3, 3, 6, 6),
    }


@pytest.mark.parametrize("scale", range(4))
@pytest.mark.parametrize("orientation", [0, 1, 3, 5])
def test_a_wave_is_in_the_band_of_its_scale_and_orientation(scale, orientation):
    picture = waves(4 * 2**scale, orientation * np.pi / 6)
    lightness = statistics(picture)["energy"][:, 0, :]
    assert np.unravel_index(lightness.argmax(), lightness.shape) == (scale, orientation)


def test_energy_is_log2_of_the_amplitude():
    fainter, stronger = (
        statistics(waves(8, 0, amplitude=amplitude))["energy"][1, 0, 0] for amplitude in (0.1, 0.2)
    )
    assert stronger - fainter == pytest.approx(1, abs=0.1)  # L* is not quite linear in sRGB


def test_grey_waves_leave_the_colour_bands_empty():
    energy = statistics(waves(8, 0))["energy"]
    assert energy[:, 1:] == pytest.approx(np.log2(texture.FLOOR), abs=0.1)


def test_normal_noise_has_the_sparsity_and_kurtosis_that_theory_gives(rng):
    grey = np.clip(0.5 + 0.1 * rng.normal(size=(256, 256, 1)), 0, 1).repeat(3, axis=2)
    found = statistics(grey)
    mean = 2 ** found["energy"][0, 0]
    # Rayleigh's law for the magnitudes: sqrt(4 / pi - 1).
    without_floor = found["sparsity"][0, 0] * mean / (mean - texture.FLOOR)
    assert without_floor == pytest.approx(np.sqrt(4 / np.pi - 1), rel=0.05)
    assert found["kurtosis"][0, 0] == pytest.approx(0, abs=0.15)


def test_few_strokes_are_sparser_than_many(rng):
    few = np.full((128, 128, 3), 0.3)
    few[rng.integers(0, 128, 12), rng.integers(0, 128, 12)] = 1.0
    sparse, even = statistics(few), statistics(waves(4, 0))
    for group in ("sparsity", "kurtosis"):
        assert sparse[group][0, 0].min() > even[group][0, 0, 0] + 0.5


def test_correlations_are_correlations():
    found = statistics(strokes())
    for group in ("orientations", "colours", "scales"):
        assert np.abs(found[group]).max() <= 1
    own = np.einsum("sckk->sck", found["orientations"])
    assert own[:2, 0, 3] == pytest.approx(1, abs=0.1)  # the strokes' own bands, far above FLOOR


def test_neighbouring_scales_are_matched_at_the_same_places():
    edge = np.zeros((128, 128, 3))
    edge[:, 45:] = 1.0
    assert statistics(edge)["scales"][:, 0, 0, 0].min() > 0.6


def test_a_picture_is_at_distance_0_from_itself():
    assert distance(strokes(), strokes()) == 0


def test_distance_is_symmetric_and_the_mean_of_its_groups():
    a, b = strokes(), strokes(along=2.0)
    assert distance(a, b) == distance(b, a)
    assert distance(a, b) == pytest.approx(np.mean(list(differences(a, b).values())))


def test_unrelated_photographs_are_about_1_apart():
    pictures = [io.resize_long_edge(io.builtin(name).rgb, 160) for name in io.PHOTOGRAPHS]
    found = [distance(a, b) for a, b in zip(pictures, pictures[1:])]
    assert np.median(found) == pytest.approx(1, abs=0.25)


@pytest.mark.parametrize(
    ("other", "group"),
    [
        (np.rot90(strokes(seed=1)), "energy"),
        (strokes(seed=1, across=3, along=24), "energy"),
        (strokes(seed=1)[..., ::-1], "palette"),
        (strokes(seed=1, noise=0.1), "energy"),
    ],
    ids=["rotated", "larger strokes", "other colours", "noisy"],
)
def test_another_texture_is_further_than_another_piece_of_the_same(other, group):
    same = differences(strokes(), strokes(seed=1))
    changed = differences(strokes(), other)
    assert changed[group] > 3 * same[group]
    assert distance(strokes(), other) > 1.5 * distance(strokes(), strokes(seed=1))


def test_the_arrangement_counts_where_every_band_is_as_before(rng):
    """Strokes gathered into one half: hardly another spectrum, other correlations."""
    patches = strokes(192, 192)
    shares = np.where(np.arange(192)[:, None, None] < 96, 1.35, 0.35)
    gathered = np.clip(0.5 + shares * (patches - 0.5), 0, 1)
    found = differences(patches, gathered)
    same = differences(patches, strokes(192, 192, seed=1))
    for group in ("orientations", "scales", "sparsity"):
        assert found[group] > 2 * same[group]


def test_size_hardly_matters():
    whole = strokes(240, 320)
    assert distance(whole[:120, :160], whole) < 0.3 * distance(whole, np.rot90(whole))


def test_values_beyond_the_range_are_clipped():
    wild = 0.5 + 3 * (strokes() - 0.5)
    assert distance(wild, np.clip(wild, 0, 1)) == 0


def test_even_pictures_have_finite_statistics():
    even = np.full((64, 64, 3), 0.25)
    assert distance(even, even) == 0
    assert np.isfinite(distance(even, strokes()))


def test_too_small_a_picture_is_refused():
    with pytest.raises(ValueError, match="63 pixels is below 64"):
        statistics(np.zeros((63, 200, 3)))
    statistics(np.zeros((64, 200, 3)))
