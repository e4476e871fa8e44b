import numpy as np
import pytest
from PIL import Image

from nstrep.base.errors import InputError
from nstrep.config.schema import LossesConfig, LossForm, StyleForm, TvForm
from nstrep.experiment import inputs
from nstrep.images import io
from nstrep.losses import regions
from nstrep.losses.objective import Objective
from nstrep.losses.regions import Region, Source, pooled, whole
from nstrep.networks.features import Network
from tests import reference
from tests.conftest import TINY, by_kind

FORMS = {
    "gatys": StyleForm(0.25, 2, 2, "size", 1.0, False),
    "relative": StyleForm(1.0, 0, 0, "energy", 1.0, False),
    "nstrep": StyleForm(1.0, 0, 0, "energy", 0.1, True),
}
LAYERS = {"relu1_1": 1.0, "conv2_1": 0.25, "pool2": 2.0, "relu3_1": 1.5}
SIZES = [((12, 16), (12, 16)), ((13, 19), (23, 10))]


@pytest.fixture
def mask(rng):
    """Make a mask with soft edges, all of black, white and between in it."""

    def make(height, width):
        noise = rng.normal(size=(height // 4 + 1, width // 4 + 1)).repeat(4, 0).repeat(4, 1)
        x = noise[:height, :width] + 0.4 * rng.normal(size=(height, width))
        return np.clip(x + 0.5, 0, 1).astype(np.float32)

    return make


def objective(tiny, content, parts, form, pooling="avg", padding="zero"):
    forms = LossesConfig(
        LossForm(1.0, 0, 0, "energy"), form, TvForm("squared", "full", "sum", 1e-6), 1.0
    )
    network = Network(*tiny, pooling, padding)
    return Objective(network, content, parts, by_kind({"relu2_2": 0.01}, LAYERS, 1.0), forms)


def expected_style(arrays, x, parts, form, pooling, padding):
    """Every style loss by its name, from the formulas, in float64."""

    def of(picture):
        return reference.features(TINY.depths, arrays, picture[0].astype(float), pooling, padding)

    fx, found = of(x), {}
    for number, part in enumerate(parts, 1):
        fs = [of(source.image) for source in part.sources]
        for layer, weight in LAYERS.items():
            stride = TINY.layers[layer]

            def weights(mask, features, stride=stride):
                if mask is None:
                    return np.ones(features.shape[1:])
                return reference.pooled(mask, stride)

            target = sum(
                source.share
                * reference.guided_statistic(
                    f[layer], weights(source.mask, f[layer]), form.mean_share
                )
                for source, f in zip(part.sources, fs)
            )
            inside = weights(part.mask, fx[layer])
            n, m = len(fx[layer]), inside.size
            if form.divide_by == "energy":
                value = reference.guided_style(
                    fx[layer], target, inside, form.mean_share, form.equal_filters
                )
            else:  # on raw Gram matrices of the layer's size
                g = reference.guided_statistic(fx[layer], inside)
                value = np.sum((m * (g - target)) ** 2)
                value /= n**form.channels_power * m**form.positions_power
            suffix = f".region{number}" if len(parts) > 1 else ""
            found[f"style_loss.{layer}{suffix}"] = weight * form.factor * inside.mean() * value
    return found


def two_regions(image, mask, size, other):
    """A blend in one mask, a part of a painting in another."""
    return (
        Region((Source(image(*other), None, 0.3), Source(image(*size), None, 0.7)), mask(*size)),
        Region((Source(image(*other), mask(*other)),), mask(*size)),
    )


@pytest.mark.parametrize("pooling", ["avg", "max"])
@pytest.mark.parametrize(("padding", "sizes"), [*zip(("zero", "replicate"), SIZES)])
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_losses_equal_float64_numpy(tiny, image, mask, pooling, padding, sizes, form):
    content, x = image(*sizes[0]), image(*sizes[0])
    parts = two_regions(image, mask, *sizes)
    found = objective(tiny, content, parts, form, pooling, padding)(x).losses
    expected = expected_style(tiny[1].arrays, x, parts, form, pooling, padding)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-5), name
    assert found["style_loss"] == pytest.approx(sum(expected.values()), rel=1e-5)
    branches = found["content_loss"] + found["style_loss"] + found["tv_loss"]
    assert found["total"] == pytest.approx(branches, rel=1e-12)
    leaves = [value for name, value in found.items() if name.startswith("style_loss.")]
    assert len(leaves) == len(expected)
    assert found["style_loss"] == pytest.approx(sum(leaves), rel=1e-12)


@pytest.mark.parametrize("pooling", ["avg", "max"])
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("sizes", SIZES)
def test_the_gradient_equals_finite_differences(tiny, image, mask, rng, pooling, form, sizes):
    content, x = image(*sizes[0]), image(*sizes[0])
    parts = two_regions(image, mask, *sizes)
    whole_loss = objective(tiny, content, parts, form, pooling)
    rest = Objective(  # content and total variation alone: tested elsewhere
        whole_loss.network,
        content,
        (),
        by_kind({"relu2_2": 0.01}, {}, 1.0),
        LossesConfig(
            LossForm(1.0, 0, 0, "energy"), form, TvForm("squared", "full", "sum", 1e-6), 1.0
        ),
    )
    gradient = whole_loss(x).gradient.asnumpy() - rest(x).gradient.asnumpy().astype(float)

    def style(y):
        return sum(expected_style(tiny[1].arrays, y, parts, form, pooling, "zero").values())

    x, step = x.astype(float), 1e-4
    directions = [rng.normal(size=x.shape) for _ in range(2)]
    directions.append(np.eye(1, x.size, x.size // 2).reshape(x.shape))
    for direction in directions:
        slope = (style(x + step * direction) - style(x - step * direction)) / (2 * step)
        norm = np.linalg.norm(gradient) * np.linalg.norm(direction)
        assert np.sum(gradient * direction) == pytest.approx(slope, abs=1e-5 * norm)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("size", [(12, 16), (13, 19)])
def test_a_white_mask_is_no_mask(tiny, image, form, size):
    content, style, x = image(*size), image(*size), image(*size)
    ones = np.ones(size, dtype=np.float32)
    masked = (Region((Source(style, ones),), ones),)
    found, plain = (objective(tiny, content, part, form)(x) for part in (masked, whole(style)))
    # G - A nearly cancels, so its rounding counts against the layer's own size.
    assert found.losses == pytest.approx(plain.losses, rel=2e-6)
    ours, theirs = found.gradient.asnumpy(), plain.gradient.asnumpy()
    assert np.abs(ours - theirs).max() < 1e-5 * np.abs(theirs).max()


def test_a_blend_of_one_and_nothing_is_that_one(tiny, image):
    content, first, second, x = (image(13, 19) for _ in range(4))
    blended = regions.assemble([first, second], [1, 0], [], [])
    found, plain = (
        objective(tiny, content, part, FORMS["nstrep"])(x) for part in (blended, whole(first))
    )
    assert found.losses == plain.losses
    np.testing.assert_array_equal(found.gradient.asnumpy(), plain.gradient.asnumpy())


def test_a_blend_of_one_painting_with_itself_is_that_one(tiny, image):
    content, style, x = image(13, 19), image(9, 14), image(13, 19)
    blended = regions.assemble([style, style], [3, 5], [], [])
    found, plain = (
        objective(tiny, content, part, FORMS["nstrep"])(x) for part in (blended, whole(style))
    )
    assert found.losses == pytest.approx(plain.losses, rel=1e-5)


def test_outside_the_mask_the_style_has_no_pull(tiny, image):
    """Beyond the receptive field of the masked positions the gradient is exactly 0."""
    style, x = image(12, 16), image(40, 48)
    left = np.zeros((40, 48), dtype=np.float32)
    left[:, :8] = 1
    forms = LossesConfig(
        LossForm(1.0, 0, 0, "energy"), FORMS["nstrep"], TvForm("squared", "full", "sum", 1.0), 1.0
    )
    weights = by_kind({}, {"relu2_2": 1.0}, 0.0)
    part = Region((Source(style),), left)
    gradient = Objective(Network(*tiny), x, (part,), weights, forms)(x).gradient.asnumpy()
    # 4 positions of stride 2; two convolutions at it and two before: 8 + 2 * 2 + 2 pixels.
    assert np.abs(gradient[..., :14]).max() > 0
    assert not gradient[..., 14:].any()


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_regions_that_share_each_pixel_are_one(tiny, image, form):
    """A quarter and three quarters of every pixel: the shares add up to the plain loss."""
    content, style, x = image(13, 19), image(9, 14), image(13, 19)
    masks = [np.full((13, 19), value, dtype=np.float32) for value in (0.25, 0.75)]
    parts = regions.assemble([style], [], masks, [])
    found, plain = (objective(tiny, content, part, form)(x) for part in (parts, whole(style)))
    assert found.losses["style_loss"] == pytest.approx(plain.losses["style_loss"], rel=1e-5)
    ours, theirs = found.gradient.asnumpy(), plain.gradient.asnumpy()
    assert np.abs(ours - theirs).max() < 1e-5 * np.abs(theirs).max()


@pytest.mark.parametrize("stride", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("size", [(32, 48), (37, 53)])
def test_pooling_is_that_of_the_network(mask, stride, size):
    x = mask(*size)
    np.testing.assert_allclose(pooled(x, stride), reference.pooled(x, stride), atol=1e-12)


def test_assembling(image):
    a, b = image(8, 8), image(8, 8)
    m, n, p, q = (np.full((8, 8), value) for value in (0.1, 0.2, 0.3, 0.4))

    def plan(*given):
        return [
            (part.mask, [(source.image, source.mask, source.share) for source in part.sources])
            for part in regions.assemble(*given)
        ]

    assert plan([a], [], [], []) == [(None, [(a, None, 1)])]
    assert plan([a, b], [], [], []) == [(None, [(a, None, 0.5), (b, None, 0.5)])]
    assert plan([a, b], [3, 1], [m], []) == [(m, [(a, None, 0.75), (b, None, 0.25)])]
    assert plan([a], [], [m], [p]) == [(m, [(a, p, 1)])]
    assert plan([a], [], [m, n], [p, q]) == [(m, [(a, p, 1)]), (n, [(a, q, 1)])]
    assert plan([a, b], [], [m, n], []) == [(m, [(a, None, 1)]), (n, [(b, None, 1)])]
    assert plan([a, b], [], [m, n], [p, q]) == [(m, [(a, p, 1)]), (n, [(b, q, 1)])]


def save(path, array):
    Image.fromarray(np.asarray(array, dtype=np.uint8)).save(path)
    return str(path)


@pytest.mark.parametrize(
    ("shape", "white", "message"),
    [
        ((30, 40), 255, None),
        ((60, 80), 255, None),
        ((15, 21), 255, None),  # a pixel of rounding
        ((40, 30), 255, r"m.png: is 30 x 40 pixels; allowed: 40 x 30, the size of photo, or"),
        ((30, 30), 255, r"is 30 x 30 pixels"),
        ((30, 40), 0, r"content_masks=.*m.png: has no white"),
        ((30, 40), 90, r"has no white"),
    ],
)
def test_masks_must_fit_and_hold_something(tmp_path, shape, white, message):
    photo = io.picture_from_array("photo", np.zeros((30, 40, 3)))
    half = np.zeros(shape)
    half[:, : shape[1] // 2] = white
    path = save(tmp_path / "m.png", half)
    if message is None:
        assert inputs.load_mask(path, photo, key="content_masks").width == shape[1]
    else:
        with pytest.raises(InputError, match=message):
            inputs.load_mask(path, photo, key="content_masks")


def test_a_mask_keeps_its_edges_at_working_size(tmp_path, caplog):
    half = np.zeros((300, 400))
    half[:, :200] = 255
    photo = io.picture_from_array("photo", np.zeros((300, 400, 3)))
    read = inputs.load_mask(save(tmp_path / "m.png", half), photo, key="content_masks")
    loaded = {"content_masks": [read], "style_masks": []}
    (small,), parts = inputs.scaled_masks(loaded, np.zeros((75, 100, 3)), [np.zeros((9, 9, 3))], 8)
    assert parts == []
    assert (small[:, :49] == 1).all()
    assert (small[:, 51:] == 0).all()
    assert "white all over" not in caplog.text
    path = save(tmp_path / "w.png", np.full((300, 400), 255))
    white = inputs.load_mask(path, photo, key="content_masks")
    assert "white all over" in caplog.text
    loaded = {"content_masks": [white], "style_masks": []}
    (small,), _ = inputs.scaled_masks(loaded, np.zeros((75, 100, 3)), [np.zeros((9, 9, 3))], 8)
    np.testing.assert_allclose(small, 1, atol=1e-6)


def test_white_that_no_position_sees_is_refused(tmp_path):
    line = np.zeros((32, 47))
    line[:, -1] = 255  # 47 = 2 * 16 + 15: beyond the positions of relu5_1
    photo = io.picture_from_array("photo", np.zeros((32, 47, 3)))
    read = inputs.load_mask(save(tmp_path / "m.png", line), photo, key="content_masks")
    loaded = {"content_masks": [read], "style_masks": []}
    with pytest.raises(InputError, match="nothing white is left of it at 47 x 32 pixels"):
        inputs.scaled_masks(loaded, np.zeros((32, 47, 3)), [], 16)
    inputs.scaled_masks(loaded, np.zeros((32, 47, 3)), [], 1)
