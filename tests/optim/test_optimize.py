import math
from dataclasses import replace

import mxnet as mx
import numpy as np
import pytest

from nstrep.base.errors import DivergedError, InputError
from nstrep.config.schema import OptimizerConfig
from nstrep.losses.objective import Evaluation
from nstrep.optim.basis import Dct, Pixels
from nstrep.optim.minimize import OPTIMIZERS, check, minimize, relative_step
from nstrep.optim.mxnet_optimizers import clip_norm
from nstrep.optim.problem import Problem

NONE = OptimizerConfig(**dict.fromkeys(OptimizerConfig.__dataclass_fields__))
SGD = replace(NONE, name="sgd", momentum=0.9, weight_decay=0.0, relative_lr=False)
ADAM = replace(NONE, name="adam", beta1=0.9, beta2=0.999, epsilon=1e-8, relative_lr=False)
LBFGS = replace(NONE, name="lbfgs", corrections=10, line_search_steps=20)


class Bowl:
    """sum(curvature * (x - target)^2) / 2: an objective whose optimum is known."""

    class network:  # noqa: N801
        context = mx.cpu()

    def __init__(self, shape=(1, 3, 6, 8), seed=5):
        rng = np.random.Generator(np.random.PCG64(seed))
        self.target = rng.normal(0, 50, shape).astype(np.float32)
        self.curvature = np.exp(rng.uniform(0, 3, shape)).astype(np.float32)

    def gradient(self, x):
        return self.curvature * (x - self.target)

    def __call__(self, x):
        with np.errstate(over="ignore"):
            value = float(np.sum(self.curvature * (x - self.target) ** 2, dtype=np.float64) / 2)
            return Evaluation({"total": value}, mx.nd.array(self.gradient(x)))


def trajectory(bowl, start, settings, lr, epochs, basis=None, bounds=None):
    """The images of every step, and the steps."""
    images, steps = [], []

    def observe(step):
        images.append(step.image.copy())
        steps.append(step)
        return step.epoch >= epochs

    said = minimize(Problem(bowl, basis or Pixels()), start, settings, lr, observe, bounds=bounds)
    return images, steps, said


@pytest.fixture
def start(rng):
    return rng.normal(0, 50, (1, 3, 6, 8)).astype(np.float32)


def test_sgd_with_everything_on(start):
    """Element-wise clipping before weight decay, heavy-ball momentum, a step schedule."""
    settings = replace(SGD, weight_decay=0.005, clip_gradient=10.0, lr_decay=0.5, lr_decay_every=3)
    bowl = Bowl()
    images, steps, _ = trajectory(bowl, start, settings, 0.01, 10)
    x, velocity = start.astype(float), 0.0
    for epoch in range(1, 11):
        lr = 0.01 * 0.5 ** ((epoch - 1) // 3)
        gradient = np.clip(bowl.gradient(x), -10, 10) + 0.005 * x
        velocity = 0.9 * velocity - lr * gradient
        x = x + velocity
        assert steps[epoch].lr == pytest.approx(lr)
        np.testing.assert_allclose(images[epoch], x, rtol=1e-4, atol=1e-4)


def test_nag_looks_ahead(start):
    settings = replace(SGD, name="nag", weight_decay=1e-4)
    bowl = Bowl()
    images, _, _ = trajectory(bowl, start, settings, 0.001, 10)
    x, velocity = start.astype(float), 0.0
    for epoch in range(1, 11):
        gradient = bowl.gradient(x) + 1e-4 * x
        velocity = 0.9 * velocity - 0.001 * gradient
        x = x + 0.9 * velocity - 0.001 * gradient
        np.testing.assert_allclose(images[epoch], x, rtol=1e-4, atol=1e-4)


def test_adam(start):
    bowl = Bowl()
    images, _, _ = trajectory(bowl, start, ADAM, 2.0, 10)
    x, mean, square = start.astype(float), 0.0, 0.0
    for epoch in range(1, 11):
        gradient = bowl.gradient(x)
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        rate = 2.0 * math.sqrt(1 - 0.999**epoch) / (1 - 0.9**epoch)
        x = x - rate * mean / (np.sqrt(square) + 1e-8)
        np.testing.assert_allclose(images[epoch], x, rtol=1e-4, atol=1e-3)


def test_decoupled_decay_is_not_divided_by_adams_deviation(start):
    bowl = Bowl()
    settings = replace(ADAM, weight_decay=0.005, decoupled_decay=True)
    images, _, _ = trajectory(bowl, start, settings, 2.0, 10)
    plain, _, _ = trajectory(bowl, start, ADAM, 2.0, 1)
    np.testing.assert_allclose(images[1], plain[1] - 2.0 * 0.005 * start, rtol=1e-4, atol=1e-3)
    x, mean, square = start.astype(float), 0.0, 0.0
    for epoch in range(1, 11):
        gradient = bowl.gradient(x)
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        rate = 2.0 * math.sqrt(1 - 0.999**epoch) / (1 - 0.9**epoch)
        x = x - rate * mean / (np.sqrt(square) + 1e-8) - 2.0 * 0.005 * x
        np.testing.assert_allclose(images[epoch], x, rtol=1e-4, atol=1e-3)


def test_norm_clipping_only_shortens(rng):
    gradient = rng.normal(size=(1, 3, 4, 5))
    norm = np.linalg.norm(gradient)
    np.testing.assert_array_equal(clip_norm(gradient, norm * 2), gradient)
    assert np.linalg.norm(clip_norm(gradient, norm / 2)) == pytest.approx(norm / 2)
    assert np.linalg.norm(clip_norm(gradient * 1e6, "size")) == pytest.approx(60)
    np.testing.assert_array_equal(clip_norm(gradient, None), gradient)


def test_a_relative_learning_rate_is_in_grey_levels(start):
    for scale in (1e-6, 1e6):
        bowl = Bowl()
        bowl.curvature = bowl.curvature * np.float32(scale)
        images, _, _ = trajectory(bowl, start, replace(SGD, relative_lr=True), 0.25, 1)
        assert np.sqrt(np.mean((images[1] - start) ** 2)) == pytest.approx(0.25, rel=1e-3)


@pytest.mark.parametrize("basis", [Pixels(), Dct(6, 8)])
@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_lbfgs_finds_the_bottom_of_any_scale(start, basis, scale):
    bowl = Bowl()
    bowl.curvature = bowl.curvature * np.float32(scale)
    images, steps, _ = trajectory(bowl, start, LBFGS, math.nan, 60, basis)
    totals = [step.losses["total"] for step in steps]
    assert all(after <= before for before, after in zip(totals, totals[1:]))
    assert totals[-1] < 1e-6 * totals[0]
    np.testing.assert_allclose(images[-1], bowl.target, atol=0.5)


def dense_bfgs(bowl, x, epochs, corrections):
    """The path of L-BFGS by its definition, in double precision: the matrix H itself.

    Nocedal and Wright, 2nd ed., eq. 7.16 to 7.19: H is made anew for every step from a multiple of
    the identity by the BFGS updates of the last pairs.
    """
    value = lambda x: np.sum(bowl.curvature * (x - target) ** 2, dtype=float) / 2  # noqa: E731
    slope = lambda x: (bowl.curvature * (x - target)).astype(float)  # noqa: E731
    target, pairs, path = bowl.target.astype(float), [], []
    x = x.astype(float)
    for _ in range(epochs):
        g = slope(x).ravel()
        if pairs:
            s, y = pairs[-1]
            inverse = np.eye(g.size) * (s @ y) / (y @ y)
            for s, y in pairs[-corrections:]:
                v = np.eye(g.size) - np.outer(y, s) / (s @ y)
                inverse = v.T @ inverse @ v + np.outer(s, s) / (s @ y)
            direction = -inverse @ g
        else:
            direction = -g / np.sqrt(np.mean(g**2))
        length, start = 1.0, value(x)
        while True:
            there = x + length * direction.reshape(x.shape)
            gained, promised = value(there) - start, length * (g @ direction)
            if gained <= 1e-4 * promised:
                break
            length *= np.clip(promised / (2 * (promised - gained)), 0.1, 0.5)
        pairs.append(((there - x).ravel(), slope(there).ravel() - g))
        x = there
        path.append(x)
    return path


@pytest.mark.parametrize("corrections", [1, 3, 10])
def test_lbfgs_goes_the_way_of_its_definition(start, corrections):
    bowl = Bowl()
    settings = replace(LBFGS, corrections=corrections)
    images, _, _ = trajectory(bowl, start, settings, math.nan, 9)
    for image, expected in zip(images[1:], dense_bfgs(bowl, start, 9, corrections), strict=True):
        np.testing.assert_allclose(image, expected, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("basis", [Pixels(), Dct(6, 8)])
def test_lbfgs_needs_no_more_evaluations_than_scipy(start, basis):
    """To a ten-thousandth of the start's loss, of a badly scaled function."""
    from scipy import optimize

    bowl, unit = Bowl(), math.sqrt(start.size)
    bowl.curvature = (bowl.curvature**2).astype(np.float32)
    goal = bowl(start).losses["total"] * 1e-4
    _, steps, _ = trajectory(bowl, start, LBFGS, math.nan, 100, basis)
    seen = []

    def function(v):
        x = basis.to_image((v * unit).reshape(start.shape)).astype(np.float32)
        found = bowl(x)
        seen.append(found.losses["total"])
        gradient = basis.pull_back(found.gradient.asnumpy())
        return found.losses["total"], gradient.ravel().astype(float) * unit

    optimize.minimize(
        function, basis.to_coefficients(start).ravel().astype(float) / unit, jac=True,
        method="L-BFGS-B", options={"maxiter": 100, "maxcor": 10, "ftol": 0, "gtol": 0},
    )  # fmt: skip
    ours = next(step.evaluations for step in steps if step.losses["total"] <= goal)
    theirs = 1 + next(index for index, total in enumerate(seen) if total <= goal)
    assert ours <= 1.25 * theirs


def test_lbfgs_says_when_nothing_is_lower(start):
    bowl = Bowl()
    images, steps, said = trajectory(bowl, start, LBFGS, math.nan, 10_000)
    assert said == "no lower loss along the search direction"
    np.testing.assert_allclose(images[-1], bowl.target, atol=0.05)
    assert steps[-1].epoch < 1000


@pytest.mark.parametrize("settings", [SGD, LBFGS])
def test_bounds_hold(start, settings):
    low, high = np.full((1, 3, 1, 1), -20.0), np.full((1, 3, 1, 1), 30.0)
    inside = np.clip(start, -20, 30)
    images, _, _ = trajectory(Bowl(), inside, settings, 0.01, 15, bounds=(low, high))
    for image in images:
        assert image.min() >= -20 - 1e-4
        assert image.max() <= 30 + 1e-4
    wanted = np.clip(Bowl().target, -20, 30)
    assert np.abs(images[-1] - wanted).mean() < np.abs(inside - wanted).mean()


def test_rows_describe_the_image_after_the_update(start):
    bowl = Bowl()
    images, steps, _ = trajectory(bowl, start, SGD, 0.001, 4)
    assert [step.epoch for step in steps] == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(images[0], start)
    assert math.isnan(steps[0].eps)
    for before, after, image, last in zip(steps, steps[1:], images[1:], images):
        total = bowl(image).losses["total"]
        assert after.losses["total"] == pytest.approx(total)
        assert after.eps == pytest.approx(np.linalg.norm(image - last) / np.linalg.norm(image))
        change = abs(total - before.losses["total"]) / before.losses["total"]
        assert after.loss_change == pytest.approx(change)
        norm = np.linalg.norm(bowl.gradient(image))
        assert after.gradient_norm == pytest.approx(norm, rel=1e-5)
    assert steps[-1].evaluations == 5


def test_relative_step_of_a_black_image_is_infinite():
    assert relative_step(np.zeros(4), np.ones(4)) == math.inf


def test_divergence_is_an_error_that_names_epoch_and_cause(start):
    with pytest.raises(DivergedError, match=r"epoch \d+: .*NaN or infinite; .*lr=1e\+20 too high"):
        trajectory(Bowl(), start, SGD, 1e20, 50)


class Cliff(Bowl):
    """Not finite further than so many grey levels from the start; counts how often."""

    def __init__(self, start, width):
        super().__init__()
        self.start, self.width, self.falls = start, width, 0

    def __call__(self, x):
        found = super().__call__(x)
        if np.abs(x - self.start).max() <= self.width:
            return found
        self.falls += 1
        return Evaluation({"total": math.inf}, found.gradient)


def test_a_trial_of_the_line_search_may_overflow(start):
    cliff = Cliff(start, 5.0)
    _, steps, _ = trajectory(cliff, start, LBFGS, math.nan, 4)
    totals = [step.losses["total"] for step in steps]
    assert cliff.falls
    assert totals == sorted(totals, reverse=True)
    assert math.isfinite(totals[-1])


def test_where_every_trial_overflows_it_is_an_error(start):
    with pytest.raises(DivergedError, match="epoch 1: total became NaN or infinite"):
        trajectory(Cliff(start, 0.0), start, LBFGS, math.nan, 4)


def test_settings_that_depend_on_the_optimiser_are_checked():
    check(LBFGS, None)
    with pytest.raises(InputError, match="lr=null: optimizer=adam needs a number above 0"):
        check(ADAM, None)
    options = ", ".join(OPTIMIZERS)
    with pytest.raises(InputError) as caught:
        check(replace(NONE, name="adan"), 1.0)
    said = f"optimizer.name=adan: must be one of {options} (did you mean adam?)"
    assert str(caught.value) == said


class TestDct:
    def test_it_is_invertible(self, rng):
        x = rng.normal(size=(1, 3, 7, 10))
        basis = Dct(7, 10)
        np.testing.assert_allclose(basis.to_image(basis.to_coefficients(x)), x, atol=1e-6)

    def test_the_pulled_back_gradient_is_the_transpose(self, rng):
        z, g = rng.normal(size=(2, 1, 3, 7, 10))
        basis = Dct(7, 10)
        left, right = np.sum(basis.to_image(z) * g), np.sum(z * basis.pull_back(g))
        assert left == pytest.approx(right, rel=1e-6)

    def test_without_scaling_lengths_are_those_of_pixels(self, rng):
        x = rng.normal(size=(1, 3, 7, 10))
        for power, same in ((0.0, True), (0.5, False)):
            length = np.linalg.norm(Dct(7, 10, power).to_coefficients(x))
            assert (length == pytest.approx(np.linalg.norm(x))) == same

    def test_coarse_structures_move_further_than_fine_ones(self):
        scale = Dct(16, 16).scale
        assert scale[0, 0] == pytest.approx(1 / math.sqrt(0.02))
        assert np.all(np.diff(scale[0]) < 0)
        assert np.all(np.diff(scale[:, 0]) < 0)


def test_an_average_of_the_iterates_is_what_is_seen(start):
    settings = replace(ADAM, average_decay=0.9)
    plain, _, _ = trajectory(Bowl(), start, ADAM, 2.0, 5)
    seen, steps, _ = trajectory(Bowl(), start, settings, 2.0, 5)
    for number, image in enumerate(seen):
        weights = 0.9 ** np.arange(number, -1, -1)
        expected = sum(w * x.astype(np.float64) for w, x in zip(weights, plain)) / weights.sum()
        np.testing.assert_allclose(image, expected, rtol=1e-4, atol=1e-4)
    assert steps[0].losses["total"] == Bowl()(start).losses["total"]
