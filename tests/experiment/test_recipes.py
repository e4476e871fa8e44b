"""Each recipe against its source, written out again here in float64 NumPy.

The totals below are what the papers' equations and the programs' lines say, one function a source,
and know nothing of the schema's factors and powers.
"""

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest

from nstrep import cli
from nstrep.experiment import image_inputs, run
from nstrep.images.io import picture_from_array
from nstrep.losses.objective import Objective, term_settings
from nstrep.losses.regions import whole
from nstrep.networks.features import Network
from nstrep.networks.vgg import Architecture
from nstrep.networks.weights import Weights
from nstrep.optim.basis import Pixels
from nstrep.optim.minimize import minimize
from nstrep.optim.problem import Problem
from tests import reference

STYLE = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
CONTENT = "relu4_2"
# VGG-19 to relu5_2, a few filters wide.
NARROW = Architecture("narrow", depths=(2, 2, 4, 4, 2), widths=(3, 4, 5, 6, 6), last_pool=False)
DEVIATIONS = (0.229, 0.224, 0.225)  # of ImageNet's pixels, on the scale where white is 1


@pytest.fixture(scope="module")
def arrays():
    """Random filters of about unit gain, without biases: twice the input, twice the features."""
    rng = np.random.Generator(np.random.PCG64(11))
    found = {}
    for layer in NARROW.convolutions:
        weight, bias = layer.shapes.items()
        gain = np.sqrt(2 / (9 * layer.in_channels))
        found[weight[0]] = rng.normal(0, gain, weight[1]).astype(np.float32)
        found[bias[0]] = np.zeros(bias[1], np.float32)
    return found


@pytest.fixture(scope="module")
def page():
    """scripts/recipes.py."""
    path = Path(__file__).parents[2] / "scripts/recipes.py"
    spec = importlib.util.spec_from_file_location("recipes_page", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make_objective(config, arrays, photo, painting):
    network = Network(NARROW, Weights(arrays, "tests", "0" * 64), config.pooling)
    return Objective(network, photo, whole(painting), term_settings(config), config.losses)


def size(f):
    """N and M of a layer."""
    return len(f), f[0].size


def raw(f):
    return reference.raw_gram(f)


def per_position(f):
    return raw(f) / f[0].size


def per_element(f):
    return raw(f) / f.size


def mse(a, b):
    return np.mean((a - b) ** 2)


# One function a source. f, p and s: features of result, photo and painting, by layer; x: the
# result's pixels minus the mean. Each gives content, style and total variation, weights included.


def gatys(f, p, s, x):
    """Equations 1, 4, 5 and 7; alpha / beta = 1e-3, w_l = 1/5."""
    content = 0.5 * np.sum((f[CONTENT] - p[CONTENT]) ** 2)
    style = 0.0
    for layer in STYLE:
        n, m = size(f[layer])
        style += 1 / 5 * np.sum((raw(f[layer]) - raw(s[layer])) ** 2) / (4 * n**2 * m**2)
    return 1.0 * content, 1e3 * style, 0.0


def gatys_notebook(f, p, s, x):
    """GramMSELoss with weights 1e3 / n^2, MSELoss."""
    style = 0.0
    for layer in STYLE:
        n = len(f[layer])
        style += 1e3 / n**2 * mse(per_position(f[layer]), per_position(s[layer]))
    return mse(f[CONTENT], p[CONTENT]), style, 0.0


def johnson_torch(f, p, s, x):
    """neural_style.lua; its TVLoss has the gradient of half the sum of squares."""
    style = sum(1e2 * mse(per_element(f[layer]), per_element(s[layer])) for layer in STYLE)
    dx, dy = x[:, :-1, :-1] - x[:, :-1, 1:], x[:, :-1, :-1] - x[:, 1:, :-1]
    tv = 1e-3 * 0.5 * (np.sum(dx**2) + np.sum(dy**2))
    return 5e0 * mse(f[CONTENT], p[CONTENT]), style, tv


def pystiche(f, p, s, x):
    """gram_loss with layer_weights="mean", feature_reconstruction_loss."""
    style = np.mean([mse(per_position(f[layer]), per_position(s[layer])) for layer in STYLE])
    return mse(f[CONTENT], p[CONTENT]), 1e3 * style, 0.0


def gordic(f, p, s, x):
    """build_loss of neural_style_transfer.py."""
    style = sum(np.sum((per_element(f[layer]) - per_element(s[layer])) ** 2) for layer in STYLE)
    tv = np.sum(np.abs(x[:, :, :-1] - x[:, :, 1:])) + np.sum(np.abs(x[:, :-1] - x[:, 1:]))
    return 1e5 * mse(f[CONTENT], p[CONTENT]), 3e4 * style / len(STYLE), 1e0 * tv


def crowsonkb(f, p, s, x):
    """ScaledMSELoss of features and Gram matrices, and TVLoss, whose image is from 0 to 1."""

    def scaled_mse(a, b):
        return np.sum((a - b) ** 2) / (np.sum(np.abs(a - b)) + 1e-8)

    style = 0.0
    for layer, weight in zip(STYLE, (256, 64, 16, 4, 1), strict=True):
        style += weight / 341 * scaled_mse(per_position(f[layer]), per_position(s[layer]))
    padded = np.pad(x / 255, ((0, 0), (0, 1), (0, 1)), mode="edge")
    dx = padded[:, :-1, 1:] - padded[:, :-1, :-1]
    dy = padded[:, 1:, :-1] - padded[:, :-1, :-1]
    return 0.015 * scaled_mse(f[CONTENT], p[CONTENT]), style, 2.0 * np.mean(dx**2 + dy**2)


def keras(f, p, s, x):
    """content_loss, style_loss and total_variation_loss of the article."""
    content = 0.025 * np.sum((f["relu5_2"] - p["relu5_2"]) ** 2)
    channels, area = 3, x[0].size
    style = 0.0
    for layer in STYLE:
        squares = np.sum((raw(s[layer]) - raw(f[layer])) ** 2)
        style += 1 / len(STYLE) * squares / (4.0 * channels**2 * area**2)
    a = (x[:, :-1, :-1] - x[:, 1:, :-1]) ** 2
    b = (x[:, :-1, :-1] - x[:, :-1, 1:]) ** 2
    return content, style, 1 * np.sum((a + b) ** 1.25)


def course(f, p, s, x, alpha, beta, weights):
    """Equations 2 and 3 of the dlai article; the losses of CS20 are the same."""
    content = np.sum((f[CONTENT] - p[CONTENT]) ** 2) / (4 * f[CONTENT].size)
    style = 0.0
    for layer, weight in zip(STYLE, weights, strict=True):
        n, m = size(f[layer])
        style += weight * np.sum((raw(s[layer]) - raw(f[layer])) ** 2) / (2 * n * m) ** 2
    return alpha * content, beta * style, 0.0


def dlai(f, p, s, x):
    return course(f, p, s, x, 10, 40, [0.2] * 5)


def cs20(f, p, s, x):
    return course(f, p, s, x, 0.01, 1, [0.5, 1.0, 1.5, 3.0, 4.0])


def mxnet2015(f, p, s, x):
    """run.py gives gradients: (F - P) and (G - A) F / (N^2 M); these are their losses."""
    style = 0.0
    for layer in STYLE:
        n, m = size(f[layer])
        style += np.sum((raw(f[layer]) - raw(s[layer])) ** 2) / (4 * n**2 * m)
    return 10 * np.sum((f[CONTENT] - p[CONTENT]) ** 2) / 2, style, 0.0


def nstyle(f, p, s, x, content_weight, kernel_divisor):
    """get_loss; the kernel of the Laplacian is the gradient of sum(d^2) / (2 kernel_divisor)."""
    style = 0.0
    for layer in STYLE:
        n, m = size(f[layer])
        style += np.sum((raw(f[layer]) - raw(s[layer])) ** 2) / (n * m * n)
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    squares = np.sum(np.diff(padded, axis=1) ** 2) + np.sum(np.diff(padded, axis=2) ** 2)
    tv = 0.01 * squares / (2 * kernel_divisor)
    return content_weight * np.sum((f[CONTENT] - p[CONTENT]) ** 2), style, tv


def mxnet2016(f, p, s, x):
    return nstyle(f, p, s, x, 10, 8)


def mxnet_scala(f, p, s, x):
    return nstyle(f, p, s, x, 20, 0.8)


SOURCES = {
    "mxnet2015": mxnet2015,
    "mxnet2016": mxnet2016,
    "mxnet_scala": mxnet_scala,
    "gatys2015": gatys,
    "gatys2016": gatys,
    "gatys_notebook": gatys_notebook,
    "johnson_torch": johnson_torch,
    "pystiche": pystiche,
    "gordic": gordic,
    "pytorch": gatys_notebook,
    "keras": keras,
    "crowsonkb": crowsonkb,
    "dlai": dlai,
    "cs20": cs20,
}
# What the network of a source sees for a pixel (0 to 255, minus the mean): the article's Normalize
# and mul_(255), the command line's Normalize; both with the deviation of grey.
SEEN = {
    "pytorch": lambda x: x / 255 / np.mean(DEVIATIONS) * 255,
    "pystiche": lambda x: x / 255 / np.mean(DEVIATIONS),
    "crowsonkb": lambda x: x / 255 / np.mean(DEVIATIONS),
}


def test_there_is_a_source_for_every_recipe():
    files = {file.stem for file in (cli.config_folder() / "recipe").glob("*.yaml")}
    assert set(SOURCES) == files - {"nstrep"}


@pytest.mark.parametrize("name", SOURCES)
def test_two_epochs(config, tmp_path, name):
    small = ["max_long_edge=64", "max_num_epochs=2", "model=vgg19_slim", "style=swirls"]
    if name == "keras":  # vgg19_slim ends with relu5_1
        small.append("content_layers=[relu5_1]")
    settings = config(f"recipe={name}", *small)
    assert settings.recipe.name == name
    metrics = run.run(settings, tmp_path / "run")
    assert metrics["epochs"] == 2
    assert (metrics["stop_reason"], metrics["width"]) == ("max_num_epochs", 64)
    assert math.isfinite(metrics["losses"]["total"])


@pytest.mark.parametrize("pooling", ["avg", "max"])
@pytest.mark.parametrize("sizes", [((32, 40), (32, 40)), ((37, 34), (45, 33))])
@pytest.mark.parametrize("name", SOURCES)
def test_losses_and_gradient_are_those_of_the_source(
    config, image, rng, arrays, name, sizes, pooling
):
    settings = config(f"recipe={name}", f"pooling={pooling}")
    photo, x = image(*sizes[0]), image(*sizes[0])
    squashed = settings.preprocess.style_shape == "squash"
    painting = image(*sizes[0 if squashed else 1])
    found = make_objective(settings, arrays, photo, painting)(x)

    def of(picture):
        seen = SEEN.get(name, lambda pixels: pixels)(picture.astype(np.float64)[0])
        return reference.features(NARROW.depths, arrays, seen, pooling)

    p, s = of(photo), of(painting)

    def terms(picture):
        return SOURCES[name](of(picture), p, s, picture.astype(np.float64)[0])

    for branch, value in zip(("content", "style", "tv"), terms(x), strict=True):
        assert found.losses[f"{branch}_loss"] == pytest.approx(value, rel=1e-5), branch
    assert found.total == pytest.approx(sum(terms(x)), rel=1e-5)

    gradient, x = found.gradient.asnumpy().astype(np.float64), x.astype(np.float64)
    for _ in range(2):
        direction = rng.normal(size=x.shape)
        step = 1e-4 * direction
        slope = (sum(terms(x + step)) - sum(terms(x - step))) / 2e-4
        norm = np.linalg.norm(gradient) * np.linalg.norm(direction)
        assert np.sum(gradient * direction) == pytest.approx(slope, abs=1e-5 * norm)


SIZES = [(512, 384), (640, 480), (800, 1200)]


@pytest.mark.parametrize("shape", SIZES)
class TestIdentities:
    """Coefficient on Gatys' E over that on the content's mean squared error, for VGG-19."""

    N = np.array([64, 128, 256, 512, 512])

    @pytest.fixture
    def ratio(self, config, page, shape):
        def of(name):
            return np.array(list(page.common_unit(config(f"recipe={name}"), *shape).values()))

        return of

    def test_johnson_torch_is_80_over_n_squared(self, ratio):
        np.testing.assert_allclose(ratio("johnson_torch"), 80 / self.N**2)

    def test_anishathalye_is_the_same(self, ratio):
        """stylize.py: content 5 x 2 l2_loss / size, style 500 x 1/5 x 2 l2_loss(G / size) / N^2.

        l2_loss is half the sum of squares, so the content is 5 MSE and a layer of the style 100
        times the mean of N^2 entries of (dG / (N M))^2, which is 4 E / N^2.
        """
        content, style = 5 * 2 / 2, 500 / 5 * 2 / 2 * 4 / self.N**2
        np.testing.assert_allclose(ratio("johnson_torch"), style / content)

    def test_the_notebook_is_50_times_johnson_torch(self, ratio):
        np.testing.assert_allclose(ratio("gatys_notebook"), 50 * ratio("johnson_torch"))

    def test_the_article_is_the_notebook_on_larger_pixels(self, ratio):
        scale = 1 / np.mean(DEVIATIONS)
        np.testing.assert_allclose(ratio("pytorch"), scale**2 * ratio("gatys_notebook"))

    def test_mxnet(self, ratio):
        expected = [2.56, 2.56, 2.56, 2.56, 0.64]
        np.testing.assert_allclose(ratio("mxnet2016") / ratio("johnson_torch"), expected, rtol=1e-2)
        np.testing.assert_allclose(ratio("mxnet_scala"), ratio("mxnet2016") / 2)

    def test_10_to_1_of_2015_is_20_to_1_of_scala(self, ratio):
        np.testing.assert_allclose(ratio("mxnet2015"), ratio("mxnet_scala"))

    def test_the_papers_depend_on_the_size(self, ratio, shape):
        positions = (shape[0] // 8) * (shape[1] // 8)
        np.testing.assert_allclose(ratio("gatys2015"), 400 / (512 * positions))
        np.testing.assert_allclose(ratio("gatys2016"), ratio("gatys2015"))

    def test_pystiche_is_gordic_in_other_pixels(self, ratio):
        np.testing.assert_allclose(ratio("gordic"), 0.24)
        np.testing.assert_allclose(ratio("pystiche"), 800 / (255 * np.mean(DEVIATIONS)) ** 2)
        np.testing.assert_allclose(ratio("pystiche"), ratio("gordic"), rtol=0.01)

    def test_the_courses(self, ratio):
        np.testing.assert_allclose(ratio("dlai"), 40 / 5 / (10 / 4))
        np.testing.assert_allclose(ratio("cs20"), np.array([0.5, 1, 1.5, 3, 4]) / (0.01 / 4))


def layer_gradients(f, p, s, style, content):
    """style x (G - A) F / (N^2 M) and content x (F - P), by layer."""
    found = {CONTENT: content * (f[CONTENT] - p[CONTENT])}
    for layer in STYLE:
        n, m = size(f[layer])
        product = (raw(f[layer]) - raw(s[layer])) @ f[layer].reshape(n, m)
        found[layer] = (style * product / (n**2 * m)).reshape(f[layer].shape)
    return found


def run_py(gradient, image, state, epoch):
    """One update of the example of 2015: the new image and momentum."""
    lr = 0.1 * 0.9 ** ((epoch - 1) // 10)
    state = 0.9 * state - lr * (np.clip(gradient, -10, 10) + 0.005 * image)
    return image + state, state


def clipped(gradient):
    norm = np.linalg.norm(gradient)
    return gradient * (gradient.size / norm) if norm > gradient.size else gradient


def nstyle_py(gradient, image, state, epoch):
    """One update of the example of 2016: the new image and momentum."""
    around = np.pad(image, ((0, 0), (1, 1), (1, 1)))
    around = around[:, 2:, 1:-1] + around[:, :-2, 1:-1] + around[:, 1:-1, 2:] + around[:, 1:-1, :-2]
    tv = 0.01 * (4 * image - around) / 8  # after the clipping
    lr = 0.001 * 0.9 ** ((epoch - 1) // 75)
    step = lr * (clipped(gradient) + tv + 0.0001 * image)
    state = 0.95 * state - step
    return image + 0.95 * state - step, state


def scala(gradient, image, state, epoch):
    """One update of the Scala port, but for its total variation: the new image and moments."""
    mean, square = state or (0.0, 0.0)
    gradient = clipped(gradient)
    mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
    lr = 10 * math.sqrt(1 - 0.999**epoch) / (1 - 0.9**epoch)
    step = lr * mean / (np.sqrt(square) + 1e-8) + 10 * 0.005 * image
    return image - step, (mean, square)


@pytest.mark.parametrize(
    ("name", "weights", "update", "gain", "epochs"),
    [
        # Two sizes of features: with gain 1 the gradient is clipped, with 0.3 in part or not.
        ("mxnet2015", (1, 10), run_py, 0.3, 20),
        ("mxnet2015", (1, 10), run_py, 1.0, 20),
        ("mxnet2016", (4, 20), nstyle_py, 0.3, 80),  # beyond the first step of the schedule
        ("mxnet2016", (4, 20), nstyle_py, 1.0, 20),
        ("mxnet_scala", (4, 40), scala, 1.0, 10),  # its schedule steps one update later than ours
    ],
)
def test_the_eps_of_upstreams_updates(config, image, arrays, name, weights, update, gain, epochs):
    settings = config(f"recipe={name}", "init=content")
    if name == "mxnet_scala":
        # Ten times that of Python and, in the source, not clipped: it is seen at this size.
        settings.tv_weight = 0.0
    scaled = {**arrays, "conv1_1_weight": arrays["conv1_1_weight"] * np.float32(gain)}
    photo, painting = image(32, 48), image(32, 48)
    found = []

    def observe(step):
        found.append(step.eps)
        return step.epoch >= epochs

    problem = Problem(make_objective(settings, scaled, photo, painting), Pixels())
    minimize(problem, photo, settings.optimizer, settings.lr, observe)

    def of(x):
        return reference.features(NARROW.depths, scaled, x)

    x, state = photo.astype(np.float64)[0], 0.0
    p, s = of(x), of(painting.astype(np.float64)[0])
    for epoch in range(1, epochs + 1):
        f = of(x)
        gradient = reference.pull_back(NARROW.depths, scaled, f, layer_gradients(f, p, s, *weights))
        new, state = update(gradient, x, state, epoch)
        eps = np.linalg.norm(new - x) / np.linalg.norm(new)
        assert found[epoch] == pytest.approx(eps, rel=0.01), epoch
        x = new


def test_the_reference_gradient_is_the_slope(image, rng, arrays):
    x = image(33, 38).astype(np.float64)[0]
    for pooling in ("avg", "max"):
        f = reference.features(NARROW.depths, arrays, x, pooling)
        wanted = {layer: rng.normal(size=f[layer].shape) for layer in (*STYLE, "conv3_2", CONTENT)}
        gradient = reference.pull_back(NARROW.depths, arrays, f, wanted, pooling)
        direction = rng.normal(size=x.shape)

        def loss(image, pooling=pooling, wanted=wanted):
            f = reference.features(NARROW.depths, arrays, image, pooling)
            return sum(np.sum(f[layer] * weight) for layer, weight in wanted.items())

        slope = (loss(x + 1e-5 * direction) - loss(x - 1e-5 * direction)) / 2e-5
        assert np.sum(gradient * direction) == pytest.approx(slope, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "photo", "painting"),
    [
        ("mxnet2016", (449, 600), (449, 600)),  # int(480 * (600 / 641))
        ("gatys_notebook", (512, 683), (768, 512)),
        ("pystiche", (500, 668), (750, 500)),
        ("gordic", (400, 534), (400, 266)),
        ("keras", (80, 100), (80, 100)),
        ("pytorch", (675, 1200), (675, 1200)),
        ("cs20", (250, 333), (250, 333)),
        ("johnson_torch", (383, 512), (512, 341)),
    ],
)
def test_sizes(config, name, photo, painting):
    shapes = ((480, 641, 3), (300, 200, 3))
    pair = [picture_from_array("picture", np.zeros(shape)) for shape in shapes]
    found = image_inputs.scaled(pair, config(f"recipe={name}"))
    assert [picture.shape[:2] for picture in found] == [photo, painting]
    small = image_inputs.scaled(pair, config(f"recipe={name}", "max_long_edge=64"))
    assert [max(picture.shape[:2]) for picture in small] == [64, 64]


def test_an_optimiser_beside_a_recipe_replaces_all_of_its_own(config):
    assert (
        config("recipe=mxnet2015", "optimizer=adam").optimizer == config("optimizer=adam").optimizer
    )


def test_the_page_is_up_to_date(page):
    assert page.PAGE.read_text() == page.page(page.load()), "run  python scripts/recipes.py"
