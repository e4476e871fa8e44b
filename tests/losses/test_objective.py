import numpy as np
import pytest

from nstrep.config.schema import LossesConfig, LossForm, StyleForm, TvForm
from nstrep.losses.objective import Objective
from nstrep.losses.regions import whole
from nstrep.losses.term import LossTerm
from nstrep.losses.tiling import order
from nstrep.networks.features import Network
from tests import reference
from tests.conftest import TINY, by_kind

GATYS = StyleForm(0.25, 2, 2, "size", 1.0, False), LossForm(0.5, 0, 0, "size")
RELATIVE = StyleForm(1.0, 0, 0, "energy", 1.0, False), LossForm(1.0, 0, 0, "energy")
# This project's own: relative, the means down-weighted, every filter alike.
NSTREP = StyleForm(1.0, 0, 0, "energy", 0.1, True), LossForm(0.005, 0, 0, "energy")
# ||G - A||^2 / (N^2 M) and the plain sum: the MXNet example of 2016.
MXNET = StyleForm(1.0, 2, 1, "size", 1.0, False), LossForm(1.0, 0, 0, "size")
# Mean squared error of G / (N M), and of the features: jcjohnson/neural-style.
JOHNSON = StyleForm(1.0, 4, 2, "size", 1.0, False), LossForm(1.0, 1, 1, "size")
# fchollet's Keras example: 3 channels and the image's area instead of the layer's.
KERAS = StyleForm(0.25, 2, 2, "image_size", 1.0, False), LossForm(1.0, 0, 0, "size")


def expected_losses(arrays, x, content, style, weights, forms, pooling):
    """The same objective, from the formulas, in float64."""
    of = lambda picture: reference.features(TINY.depths, arrays, picture[0].astype(float), pooling)  # noqa: E731
    fx, fc, fs = of(x), of(content), of(style)
    found = {}
    for layer, weight in weights["content_loss"].items():
        difference = np.sum((fx[layer] - fc[layer]) ** 2)
        form, n, m = forms.content, len(fx[layer]), fx[layer][0].size
        scale = (
            1 / np.sum(fc[layer] ** 2)
            if form.divide_by == "energy"
            else 1 / (n**form.channels_power * m**form.positions_power)
        )
        found[f"content_loss.{layer}"] = weight * form.factor * scale * difference
    for layer, weight in weights["style_loss"].items():
        form, n, m = forms.style, len(fx[layer]), fx[layer][0].size
        if form.divide_by == "energy":
            value = reference.relative_style(
                fx[layer], fs[layer], form.mean_share, form.equal_filters
            )
        else:
            if form.divide_by == "image_size":
                n, m = 3, x[0, 0].size
            gram = reference.raw_gram(fs[layer]) * (fx[layer][0].size / fs[layer][0].size)
            value = np.sum((reference.raw_gram(fx[layer]) - gram) ** 2)
            value /= n**form.channels_power * m**form.positions_power
        found[f"style_loss.{layer}"] = weight * form.factor * value
    tv = reference.tv(x[0].astype(float), forms.tv.form, forms.tv.grid)
    if forms.tv.reduction == "mean":
        raise NotImplementedError
    return found, weights["tv_loss"] * forms.tv.factor * tv


def make(tiny, content, style, forms, pooling, tv="squared", grid="full"):
    weights = by_kind(
        {"relu2_2": 3.0, "conv1_2": 0.5},
        {"relu1_1": 1.0, "conv2_1": 0.25, "pool2": 2.0, "relu3_1": 1.5},
        tv=0.3,
    )
    losses = LossesConfig(forms[1], forms[0], TvForm(tv, grid, "sum", 1e-3), 1.0)
    architecture, parameters = tiny
    network = Network(architecture, parameters, pooling)
    return Objective(network, content, whole(style), weights, losses), weights, losses


@pytest.mark.parametrize("pooling", ["avg", "max", "blur"])
@pytest.mark.parametrize("forms", [GATYS, RELATIVE, NSTREP, MXNET, JOHNSON, KERAS])
@pytest.mark.parametrize("sizes", [((12, 16), (12, 16)), ((13, 17), (21, 10))])
def test_losses_equal_float64_numpy(tiny, image, pooling, forms, sizes):
    content, style, x = image(*sizes[0]), image(*sizes[1]), image(*sizes[0])
    objective, weights, losses = make(tiny, content, style, forms, pooling)
    found = objective(x).losses
    terms, tv = expected_losses(tiny[1].arrays, x, content, style, weights, losses, pooling)
    for name, value in terms.items():
        assert found[name] == pytest.approx(value, rel=1e-5), name
    assert found["tv_loss"] == pytest.approx(tv, rel=1e-5)
    assert found["total"] == pytest.approx(sum(terms.values()) + tv, rel=1e-5)
    assert found["style_loss"] == pytest.approx(
        sum(value for name, value in terms.items() if name.startswith("style")), rel=1e-5
    )


def test_gatys_equation_4(tiny, image):
    content, style, x = image(12, 16), image(12, 16), image(12, 16)
    objective, weights, _ = make(tiny, content, style, GATYS, "avg")
    arrays = tiny[1].arrays
    fx, fs = (reference.features(TINY.depths, arrays, y[0].astype(float)) for y in (x, style))
    found = objective(x).losses
    for layer, weight in weights["style_loss"].items():
        expected = weight * reference.gatys_style(fx[layer], fs[layer])
        assert found[f"style_loss.{layer}"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("pooling", ["avg", "max", "blur"])
@pytest.mark.parametrize("forms", [GATYS, RELATIVE, NSTREP])
def test_the_gradient_equals_finite_differences(tiny, image, rng, pooling, forms):
    content, style, x = image(12, 16), image(9, 14), image(12, 16)
    objective, weights, losses = make(tiny, content, style, forms, pooling)
    gradient = objective(x).gradient.asnumpy().astype(float)

    def total(y):
        terms, tv = expected_losses(tiny[1].arrays, y, content, style, weights, losses, pooling)
        return sum(terms.values()) + tv

    x = x.astype(float)
    step = 1e-4  # the reference is float64, so that this is neither too coarse nor too fine
    directions = [rng.normal(size=x.shape) for _ in range(4)]
    for index in ((0, 0, 0, 0), (0, 1, 5, 7), (0, 2, 11, 15)):  # corners and inside
        one = np.zeros_like(x)
        one[index] = 1
        directions.append(one)
    for direction in directions:
        slope = (total(x + step * direction) - total(x - step * direction)) / (2 * step)
        norm = np.linalg.norm(gradient) * np.linalg.norm(direction)
        assert np.sum(gradient * direction) == pytest.approx(slope, abs=1e-5 * norm)


@pytest.mark.parametrize("form", ["squared", "absolute", "power"])
@pytest.mark.parametrize("grid", ["full", "crop", "zero_padded"])
def test_total_variation_and_its_gradient(tiny, image, form, grid):
    if form == "power" and grid != "crop":
        pytest.skip("not defined: the joint power needs one grid")
    x = image(7, 9)
    weights = by_kind({}, {"relu1_1": 0.0}, tv=1.0)
    forms = LossesConfig(GATYS[1], GATYS[0], TvForm(form, grid, "sum", 1.0), 1.0)
    found = Objective(Network(*tiny), x, whole(x), weights, forms)(x)
    assert found.losses["tv_loss"] == pytest.approx(
        reference.tv(x[0].astype(float), form, grid), rel=1e-5
    )
    gradient, y, step = found.gradient.asnumpy(), x[0].astype(float), 1e-4
    for index in np.ndindex(y.shape):
        up, down = y.copy(), y.copy()
        up[index] += step
        down[index] -= step
        slope = (reference.tv(up, form, grid) - reference.tv(down, form, grid)) / (2 * step)
        assert gradient[0][index] == pytest.approx(slope, rel=1e-4, abs=1e-3)


def test_the_upstream_laplacian_is_the_gradient_of_a_sixteenth(tiny, image):
    """The MXNet example adds weight * Laplacian / 8 (zeros beyond the border) to the gradient."""
    x = image(8, 11)
    weights = by_kind({}, {"relu1_1": 0.0}, tv=1.0)
    forms = LossesConfig(GATYS[1], GATYS[0], TvForm("squared", "zero_padded", "sum", 1 / 16), 1.0)
    gradient = Objective(Network(*tiny), x, whole(x), weights, forms)(x).gradient.asnumpy()[0]
    padded = np.pad(x[0], ((0, 0), (1, 1), (1, 1)))
    around = padded[:, 2:, 1:-1] + padded[:, :-2, 1:-1] + padded[:, 1:-1, 2:] + padded[:, 1:-1, :-2]
    np.testing.assert_allclose(gradient, (4 * x[0] - around) / 8, rtol=1e-4, atol=1e-3)


def test_mean_total_variation_is_the_same_at_any_size(tiny, image):
    forms = LossesConfig(GATYS[1], GATYS[0], TvForm("squared", "full", "mean", 1.0), 1.0)
    weights = by_kind({}, {"relu1_1": 0.0}, tv=1.0)
    x = np.zeros((1, 3, 6, 8), dtype=np.float32)
    x[..., ::2] = 10  # every horizontal difference is 10, every vertical one 0
    assert Objective(Network(*tiny), x, whole(x), weights, forms)(x).losses[
        "tv_loss"
    ] == pytest.approx(100)


def test_the_content_itself_has_no_content_loss(tiny, image):
    x = image(12, 16)
    objective, _, _ = make(tiny, x, image(12, 16), GATYS, "avg")
    found = objective(x).losses
    assert found["content_loss"] <= 1e-9 * found["total"]


def test_the_style_of_its_own_picture_is_matched(tiny, image):
    x = image(12, 16)
    objective, _, _ = make(tiny, image(12, 16), x, RELATIVE, "avg")
    assert objective(x).losses["style_loss"] < 1e-9


class TestOrder:
    LAYERS = ("conv1_1", "relu1_1", "relu1_2", "pool1", "relu2_1", "pool2", "relu3_1")

    def of(self, *layers):
        terms = [LossTerm("any", layer) for layer in layers]
        return [term.layer for term in order(terms, self.LAYERS)]

    def test_the_deepest_last(self):
        assert self.of("relu3_1", None, "conv1_1") == [None, "conv1_1", "relu3_1"]

    def test_a_layer_before_a_pooling_waits_for_a_deeper_one(self):
        assert self.of("relu1_2", "relu1_1", "relu3_1", "relu1_2") == (
            ["relu1_1", "relu3_1", "relu1_2", "relu1_2"]
        )

    def test_several_such_layers_all_wait(self):
        found = self.of("relu1_2", "relu2_1", "relu3_1")
        assert found[0] == "relu3_1"

    def test_it_does_not_wait_where_nothing_is_deeper(self):
        assert self.of("relu2_1", "relu1_1") == ["relu1_1", "relu2_1"]
