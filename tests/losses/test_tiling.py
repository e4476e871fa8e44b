import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nstrep.base import process_memory
from nstrep.base.errors import InputError
from nstrep.config.schema import LossesConfig, LossForm, StyleForm, TvForm
from nstrep.losses import objective, tiling
from nstrep.losses.objective import Objective
from nstrep.losses.regions import Region, Source, whole
from nstrep.losses.style import source_grams
from nstrep.losses.tiling import Scene
from nstrep.networks.features import Network
from nstrep.networks.vgg import ARCHITECTURES
from tests import reference
from tests.conftest import TINY, by_kind

GATYS = StyleForm(0.25, 2, 2, "size", 1.0, False), LossForm(0.5, 0, 0, "size")
# The default recipe: covariances, few means, every filter alike.
NSTREP = StyleForm(1.0, 0, 0, "energy", 0.1, True), LossForm(0.005, 0, 0, "energy")
KERAS = StyleForm(0.25, 2, 2, "image_size", 1.0, False), LossForm(1.0, 0, 0, "size")
DIFFERENCE = StyleForm(1.0, 0, 0, "difference", 1.0, False), LossForm(1.0, 0, 0, "difference")
FORMS = {"gatys": GATYS, "nstrep": NSTREP, "keras": KERAS, "difference": DIFFERENCE}
STYLE = {"relu1_1": 1.0, "conv2_1": 0.25, "pool2": 2.0, "relu3_1": 1.5}
CONTENT = {"relu2_2": 3.0, "conv1_2": 0.5}
LEAST = 28  # pixels: what the deepest layer of TINY reaches, twice, and its stride


def both(
    tiny, content, parts, forms, side, *, pooling="avg", padding="zero", tv=("squared", "full")
):
    """The objective untiled and tiled."""
    network = Network(*tiny, pooling, padding)
    formulas = LossesConfig(forms[1], forms[0], TvForm(*tv, "mean", 1e-3), 1.0)
    common = (network, content, parts, by_kind(CONTENT, STYLE, 0.3), formulas)
    return Objective(*common), Objective(*common, side)


def check_same_bytes(tiled, x, other):
    """Evaluating somewhere else in between changes nothing."""
    first = tiled(x)
    gradient = first.gradient.asnumpy()
    tiled(other)
    again = tiled(x)
    assert again.losses == first.losses
    np.testing.assert_array_equal(again.gradient.asnumpy(), gradient)


def check_equal(plain, tiled, x):
    found, expected = tiled(x), plain(x)
    assert list(found.losses) == list(expected.losses)
    assert found.losses == pytest.approx(expected.losses, rel=1e-5)
    ours, theirs = found.gradient.asnumpy(), expected.gradient.asnumpy()
    assert np.linalg.norm(ours - theirs) < 1e-5 * np.linalg.norm(theirs)
    assert np.abs(ours - theirs).max() < 1e-4 * np.abs(theirs).max()


@pytest.fixture
def painting(image):
    """Of more contrast than the pictures, or G - A would nearly cancel and show rounding alone."""
    return lambda height, width: 1.6 * image(height, width)


@pytest.fixture
def mask(rng):
    """Make a mask with soft edges, all of black, white and between in it."""

    def make(height, width):
        noise = rng.normal(size=(height // 9 + 1, width // 9 + 1)).repeat(9, 0).repeat(9, 1)
        x = noise[:height, :width] + 0.2 * rng.normal(size=(height, width))
        return np.clip(x + 0.3, 0, 1).astype(np.float32)

    return make


@pytest.mark.parametrize(
    ("pooling", "padding"), [("avg", "replicate"), ("max", "zero"), ("blur", "zero")]
)
@pytest.mark.parametrize("forms", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize(("size", "side"), [((61, 83), 36), ((45, 62), 61)])
def test_tiles_come_to_the_whole(tiny, image, painting, pooling, padding, forms, size, side):
    parts = whole(painting(50, 71))
    plain, tiled = both(tiny, image(*size), parts, forms, side, pooling=pooling, padding=padding)
    check_equal(plain, tiled, image(*size))


@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(height=st.integers(4, 90), width=st.integers(4, 90), side=st.integers(LEAST, 64))
def test_any_size_and_any_tile(tiny, image, painting, height, width, side):
    plain, tiled = both(tiny, image(height, width), whole(painting(33, 47)), NSTREP, side)
    check_equal(plain, tiled, image(height, width))


@pytest.mark.parametrize("forms", [GATYS, NSTREP], ids=["gatys", "nstrep"])
def test_masks_and_blends(tiny, image, painting, mask, forms):
    size = (59, 74)
    half = np.zeros(size, dtype=np.float32)
    half[:20] = 1  # nothing of it in most tiles
    parts = (
        Region(
            (Source(painting(40, 33), None, 0.3), Source(painting(*size), None, 0.7)), mask(*size)
        ),
        Region((Source(painting(50, 60), mask(50, 60)),), half),
        Region((Source(painting(30, 30)),)),
    )
    check_equal(*both(tiny, image(*size), parts, forms, 32), image(*size))


@pytest.mark.parametrize(
    "tv", [(form, grid) for form in ("squared", "absolute") for grid in ("full", "zero_padded")]
    + [("squared", "crop"), ("power", "crop")],
)  # fmt: skip
@pytest.mark.parametrize("size", [(37, 66), (5, 70)])
def test_total_variation(tiny, image, painting, tv, size):
    check_equal(*both(tiny, image(*size), whole(painting(20, 20)), GATYS, 28, tv=tv), image(*size))


def test_content_targets_that_are_not_kept(tiny, image, painting, monkeypatch):
    content, x, parts = image(50, 65), image(50, 65), whole(painting(30, 30))
    _, kept = both(tiny, content, parts, NSTREP, 32)
    monkeypatch.setattr(objective, "KEPT_FLOATS", 0)
    plain, computed = both(tiny, content, parts, NSTREP, 32)
    check_equal(plain, computed, x)
    assert computed(x).losses == kept(x).losses


@pytest.mark.parametrize("layers", [(CONTENT, {}), ({}, STYLE), ({}, {"conv1_1": 1.0})])
def test_content_or_style_alone(tiny, image, painting, layers):
    weights = by_kind(*layers, 0.0)
    forms = LossesConfig(NSTREP[1], NSTREP[0], TvForm("squared", "full", "sum", 1.0), 1.0)
    common = (Network(*tiny), image(40, 57), whole(painting(30, 30)), weights, forms)
    plain, tiled = Objective(*common), Objective(*common, 28)
    check_equal(plain, tiled, image(40, 57))


def test_the_gradient_is_that_of_float64_numpy(tiny, image, painting):
    """Style alone, relative: through the reference's own backward pass."""
    content, style, x = image(52, 61), painting(40, 40), image(52, 61)
    layers = {"relu1_1": 1.0, "conv2_1": 0.25, "relu3_1": 1.5}
    forms = LossesConfig(NSTREP[1], GATYS[0], TvForm("squared", "full", "sum", 1.0), 1.0)
    tiled = Objective(Network(*tiny), content, whole(style), by_kind({}, layers, 0.0), forms, 28)
    arrays = tiny[1].arrays
    fx, fs = (reference.features(TINY.depths, arrays, y[0].astype(float)) for y in (x, style))
    loss, wanted = 0.0, {}
    for layer, weight in layers.items():
        n, m = len(fx[layer]), fx[layer][0].size
        flat = fx[layer].reshape(n, -1)
        target = reference.raw_gram(fs[layer]) * (m / fs[layer][0].size)
        difference = reference.raw_gram(fx[layer]) - target
        loss += weight * np.sum(difference**2) / (4 * n**2 * m**2)
        wanted[layer] = weight * (difference @ flat / (n**2 * m**2)).reshape(fx[layer].shape)
    expected = reference.pull_back(TINY.depths, arrays, fx, wanted)
    found = tiled(x)
    assert found.total == pytest.approx(loss, rel=1e-5)
    ours = found.gradient.asnumpy()[0]
    assert np.linalg.norm(ours - expected) < 1e-5 * np.linalg.norm(expected)


def test_the_targets_are_those_of_the_network(tiny, image, mask):
    x, m = image(71, 58), mask(71, 58)
    for share, inside in ((1.0, None), (0.1, None), (0.0, m)):
        style = StyleForm(1.0, 0, 0, "energy", share, False)
        forms = LossesConfig(GATYS[1], style, TvForm("squared", "full", "sum", 1.0), 1.0)
        common = (Network(*tiny), x, whole(x), forms)
        plain, tiled = (
            source_grams(Scene(*common, side), Source(x, inside), tuple(STYLE))
            for side in (None, 32)
        )
        for layer, expected in plain.items():
            np.testing.assert_allclose(
                tiled[layer], expected, rtol=1e-4, atol=1e-5 * expected.max()
            )


@given(
    length=st.integers(1, 900),
    stride=st.sampled_from([1, 2, 4, 16]),
    reach=st.integers(1, 90),
    more=st.integers(0, 200),
)
def test_spans_own_everything_once(length, stride, reach, more):
    margin = -(-reach // stride) * stride
    tile = 2 * margin + stride + more
    found = tiling.spans(length, tile, margin, stride)
    assert [span.own_start for span in found[1:]] == [span.own_stop for span in found[:-1]]
    assert (found[0].own_start, found[-1].own_stop) == (0, length)
    for span in found:
        assert 0 < span.stop - span.start <= tile
        assert span.start % stride == span.own_start % stride == 0
        assert span.own_stop == length or span.own_stop % stride == 0
        assert span.start == 0 or span.own_start - span.start >= reach
        assert span.stop == length or span.stop - span.own_stop >= reach
        assert span.own_stop // stride > span.own_start // stride or length < stride


@pytest.mark.parametrize("pooling", ["avg", "blur"])
def test_the_receptive_margin_is_what_changes(tiny, image, pooling):
    network = Network(*tiny, pooling)
    x = image(64, 64)
    y = x.copy()
    y[:, :, 32:] = 0  # as if it ended there
    for layer, stride in TINY.layers.items():
        a, b = (network.features(z, [layer])[layer] for z in (x, y))
        differing = np.flatnonzero(np.abs(a - b).max(axis=(0, 1, 3)) > 1e-4)
        assert 32 - differing.min() * stride == TINY.receptive_margin([layer], pooling)


@pytest.mark.parametrize(
    ("layer", "pixels"), [("conv1_1", 1), ("relu2_2", 6), ("relu4_2", 40), ("relu5_1", 80)]
)
def test_the_receptive_margin_in_vgg19(layer, pixels):
    assert ARCHITECTURES["vgg19"].receptive_margin([layer]) == pixels


def test_too_small_a_tile_is_refused(tiny, image, painting):
    with pytest.raises(InputError, match="tile=27: must be at least 28 pixels"):
        both(tiny, image(40, 40), whole(painting(20, 20)), GATYS, 27)
    both(tiny, image(20, 26), whole(painting(20, 20)), GATYS, 27)  # one tile is enough


def test_malloc_keeps_blocks_from_the_second_evaluation_on(tiny, image, painting, monkeypatch):
    settings = []
    monkeypatch.setattr(process_memory, "settle_malloc", lambda *, keep: settings.append(keep))
    _, tiled = both(tiny, image(50, 65), whole(painting(30, 30)), NSTREP, 32)
    tiled(image(50, 65))
    assert (settings, tiled._slot) == ([], {})  # and no graph is left
    tiled(image(50, 65))
    assert (settings, tiled._slot) == ([True, False], {})


def test_the_same_bytes_again(tiny, image, painting):
    x = image(50, 65)
    _, tiled = both(tiny, image(50, 65), whole(painting(30, 30)), NSTREP, 32)
    check_same_bytes(tiled, x, image(50, 65))
