"""A new kind of loss, defined, registered and used from this file alone.

The loss compares means and standard deviations of features, channel by channel: Li, Wang, Liu, Hou
2017, Demystifying Neural Style Transfer (arXiv 1701.01036), the loss on the statistics of batch
normalisation: sum over channels of (mean difference)^2 + (std difference)^2, over N channels.
"""

from dataclasses import dataclass

import mxnet as mx
import numpy as np
import pandas as pd
import pytest

from nstrep.base.errors import InputError
from nstrep.config.schema import LossesConfig, LossForm, StyleForm, TvForm
from nstrep.experiment import from_image, run
from nstrep.losses import term as terms
from nstrep.losses.objective import Objective
from nstrep.losses.regions import whole
from nstrep.losses.term import LossTerm, Settings, extra_settings, register, sum_of_squares
from nstrep.networks.features import Network
from nstrep.plots import curves
from tests import reference
from tests.conftest import SMALL, TINY, by_kind

LAYERS = {"relu1_1": 1.0, "conv2_1": 1.0, "relu3_1": 1.0}
SETTINGS = {"mean_variance_loss": {"weight": 2.5, "layers": list(LAYERS)}}
FORMS = LossesConfig(
    LossForm(0.005, 0, 0, "energy"),
    StyleForm(1.0, 0, 0, "energy", 0.1, True),
    TvForm("squared", "full", "mean", 1e-3),
    1.0,
)


@dataclass
class MeanVarianceSettings(Settings):
    """What ``extra_losses`` may set; ``epsilon`` keeps the root's gradient finite."""

    epsilon: float = 1e-3


@dataclass(eq=False)
class MeanVarianceLoss(LossTerm):
    """Differences of the channels' means and standard deviations to those of the style image."""

    channels: int = 0
    positions: int = 0
    epsilon: float = 0.0

    Settings = MeanVarianceSettings

    @classmethod
    def create(cls, scene, settings):
        def make(layer, image):
            n, m = scene.network.channels(layer), scene.network.positions(layer, *image.shape[2:])
            return cls(f"mean_variance_loss.{layer}", layer, settings.weight / n,
                       channels=n, positions=m, epsilon=settings.epsilon)  # fmt: skip

        style = [make(layer, scene.style_image) for layer in settings.layers]
        for of_style, sums in zip(style, scene.sums(scene.style_image, style)):
            term = make(of_style.layer, scene.content)
            mean = sums["features"] / of_style.positions
            variance = sums["squares"] / of_style.positions - mean**2
            term.constants = {"mean": mean, "deviation": np.sqrt(variance + settings.epsilon)}
            yield term

    def statistics(self, features, inputs, edges):
        flat = mx.sym.reshape(features, shape=(self.channels, -1))
        return {
            "features": mx.sym.sum(flat, axis=1),
            "squares": mx.sym.sum(mx.sym.square(flat), axis=1),
        }

    def value(self, statistics, inputs):
        mean = statistics["features"] / self.positions
        variance = statistics["squares"] / self.positions - mx.sym.square(mean)
        deviation = mx.sym.sqrt(variance + self.epsilon)
        return sum_of_squares(mean - inputs["mean"]) + sum_of_squares(
            deviation - inputs["deviation"]
        )


@dataclass(eq=False)
class LargestLoss(LossTerm):
    """The largest feature: no sum over positions."""

    sums_over_positions = False
    Settings = Settings

    @classmethod
    def create(cls, scene, settings):
        for layer in settings.layers:
            yield cls(f"largest_loss.{layer}", layer, settings.weight)

    def statistics(self, features, inputs, edges):
        return {"largest": mx.sym.max(features)}

    def value(self, statistics, inputs):
        return statistics["largest"]


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    monkeypatch.setattr(terms, "KINDS", dict(terms.kinds()))
    register("mean_variance_loss")(MeanVarianceLoss)
    register("largest_loss")(LargestLoss)


def objective(tiny, content, style, settings=SETTINGS, tile=None, *, others=True):
    weights = by_kind(
        {"relu2_2": 3.0} if others else {}, {"relu3_1": 1.5} if others else {},
        0.3 if others else 0.0, extra_settings(settings, TINY),
    )  # fmt: skip
    return Objective(Network(*tiny), content, whole(style), weights, FORMS, tile)


def expected(arrays, x, style, epsilon=1e-3):
    """The loss of each layer, from the formula, in float64."""
    fx, fs = (reference.features(TINY.depths, arrays, y[0].astype(float)) for y in (x, style))
    losses = {}
    for layer in LAYERS:
        (mean_x, dev_x), (mean_s, dev_s) = (
            (f[layer].mean(axis=(1, 2)), np.sqrt(f[layer].var(axis=(1, 2)) + epsilon))
            for f in (fx, fs)
        )
        value = np.sum((mean_x - mean_s) ** 2) + np.sum((dev_x - dev_s) ** 2)
        losses[f"mean_variance_loss.{layer}"] = 2.5 * value / len(mean_x)
    return losses


@pytest.mark.parametrize("tile", [None, 32])
def test_the_value_equals_float64_numpy(tiny, image, tile):
    content, style, x = image(59, 74), 1.6 * image(50, 41), image(59, 74)
    losses = objective(tiny, content, style, tile=tile)(x).losses
    values = expected(tiny[1].arrays, x, style)
    for name, value in values.items():
        assert losses[name] == pytest.approx(value, rel=1e-5), name
    assert losses["mean_variance_loss"] == pytest.approx(sum(values.values()), rel=1e-5)
    branches = ["content_loss", "style_loss", "tv_loss", "mean_variance_loss"]
    assert list(losses)[:5] == ["total", *branches]
    assert losses["total"] == pytest.approx(sum(losses[name] for name in branches), rel=1e-12)


def test_tiles_have_the_value_and_the_gradient_of_the_whole(tiny, image):
    content, style, x = image(59, 74), 1.6 * image(50, 41), image(59, 74)
    plain, tiled = (objective(tiny, content, style, tile=tile)(x) for tile in (None, 32))
    assert list(tiled.losses) == list(plain.losses)
    assert tiled.losses == pytest.approx(plain.losses, rel=1e-5)
    ours, theirs = tiled.gradient.asnumpy(), plain.gradient.asnumpy()
    assert np.linalg.norm(ours - theirs) < 1e-4 * np.linalg.norm(theirs)


@pytest.mark.parametrize("tile", [None, 28])
def test_the_gradient_equals_finite_differences(tiny, image, rng, tile):
    content, style, x = image(30, 42), 1.6 * image(21, 18), image(30, 42)
    loss = objective(tiny, content, style, tile=tile, others=False)
    gradient = loss(x).gradient.asnumpy().astype(float)
    x, step = x.astype(float), 1e-4

    def total(y):
        return sum(expected(tiny[1].arrays, y, style).values())

    for direction in (rng.normal(size=x.shape), gradient):
        slope = (total(x + step * direction) - total(x - step * direction)) / (2 * step)
        norm = np.linalg.norm(gradient) * np.linalg.norm(direction)
        assert np.sum(gradient * direction) == pytest.approx(slope, abs=1e-4 * norm)


def test_a_run_records_and_plots_it(config, tmp_path):
    settings = config(*SMALL, "extra_losses={mean_variance_loss: {weight: 1, layers: [relu2_1]}}",
                      "objective=losses.mean_variance_loss.relu2_1")  # fmt: skip
    metrics = run.run(settings, tmp_path / "a")
    curve = pd.read_csv(tmp_path / "a/curve.csv")
    names = ["mean_variance_loss", "mean_variance_loss.relu2_1"]
    assert (curve[names[0]] == curve[names[1]]).all()
    assert (curve[names[0]] > 0).all()
    assert metrics["losses"][names[1]] == pytest.approx(curve[names[1]].iloc[-1], rel=1e-8)
    branches = curve[["content_loss", "style_loss", "tv_loss", names[0]]]
    np.testing.assert_allclose(branches.sum(axis=1), curve["total"], rtol=1e-7)
    figure = curves.single(curve, title="", stop_eps=0)
    assert "mean variance loss" in [line.get_label() for line in figure.axes[0].lines]
    assert (tmp_path / "a/loss.png").exists()
    stored, _ = from_image.read_texts(str(tmp_path / "a/final.png"))
    assert stored["extra_losses"] == settings.extra_losses
    plain = config(*SMALL)
    assert metrics["identity"] != run.run(plain, tmp_path / "b")["identity"]


def test_what_is_no_sum_over_positions_is_refused_in_tiles(tiny, image):
    content, style, x = image(59, 74), image(50, 41), image(59, 74)
    settings = {"largest_loss": {"weight": 1.0, "layers": ["relu1_1"]}}
    losses = objective(tiny, content, style, settings)(x).losses
    assert losses["largest_loss"] == pytest.approx(
        Network(*tiny).features(x, ["relu1_1"])["relu1_1"].max(), rel=1e-6
    )
    line = "^tile=32: must be null, largest_loss.relu1_1 is no sum over positions$"
    with pytest.raises(InputError, match=line):
        objective(tiny, content, style, settings, tile=32)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"layers": ["relu1_1"]}, r"\.weight: no value is given"),
        ({"weight": -1, "layers": ["relu1_1"]}, r"\.weight=-1: must be at least 0"),
        ({"weight": 1, "layers": []}, r"\.layers=\[\]: must name one or more"),
        ({"weight": 1, "layers": ["relu9_1"]}, r"\.layers: tiny has no layer 'relu9_1'"),
        ({"weight": 1, "layers": ["relu1_1"], "epsilom": 1}, r"\.epsilom: .* did you mean epsilon"),
        (3, "=3: must be settings"),
    ],
)
def test_wrong_settings_are_named(given, message):
    with pytest.raises(InputError, match=f"^extra_losses.mean_variance_loss{message}"):
        extra_settings({"mean_variance_loss": given}, TINY)


@pytest.mark.parametrize(
    ("name", "message"),
    [("mean_varience_loss", ".*did you mean mean_variance_loss"), ("style_loss", "known: ")],
)
def test_unknown_names_are_refused(name, message):
    line = f"^extra_losses.{name}: there is no such loss; ({message})"
    with pytest.raises(InputError, match=line):
        extra_settings({name: {"weight": 1, "layers": ["relu1_1"]}}, TINY)


def test_extra_losses_must_be_settings_by_name(config):
    with pytest.raises(InputError, match="^extra_losses=3: must be losses by name"):
        config("extra_losses=3")


def test_a_name_must_end_in_loss():
    with pytest.raises(ValueError, match="must end in _loss"):
        register("mean_variance")
