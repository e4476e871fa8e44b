"""An optimiser that is defined here alone runs an experiment by its name, and is resumed."""

import numpy as np
import pandas as pd
import pytest

from nstrep.base.errors import InputError
from nstrep.experiment import memory_plan, run
from nstrep.optim.minimize import OPTIMIZERS
from nstrep.optim.optimizer import Optimizer
from tests.conftest import SMALL


class HeavyBall(Optimizer):
    memory = ("velocity",)

    def begin(self, point):
        self.velocity = np.zeros_like(point.coefficients)

    def step(self, point):
        decayed = np.float32(self.settings.momentum) * self.velocity
        self.velocity = decayed - np.float32(self.lr) * point.gradient
        return self.problem.evaluate(self.clip(point.coefficients + self.velocity))


@pytest.fixture
def heavy_ball(monkeypatch):
    monkeypatch.setitem(OPTIMIZERS, "heavy_ball", HeavyBall)


@pytest.fixture
def settings(config):
    """The same as MXNet's SGD with ``optimizer.name=sgd``."""
    return lambda *overrides: config(
        *SMALL, "optimizer=sgd", "optimizer.relative_lr=false", "lr=100", "checkpoint_seconds=0",
        "max_num_epochs=6", "optimizer.name=heavy_ball", *overrides,
    )  # fmt: skip


def curve(directory):
    return pd.read_csv(directory / "curve.csv").drop(columns="seconds")


def test_it_runs_and_is_resumed_to_the_same_bytes(heavy_ball, settings, tmp_path):
    whole = run.run(settings(), tmp_path / "whole")
    assert whole["losses"]["total"] < whole["losses_at_start"]["total"]
    sgd = run.run(settings("optimizer.name=sgd"), tmp_path / "sgd")
    assert whole["losses"]["total"] == pytest.approx(sgd["losses"]["total"], rel=1e-4)

    def stop(step):
        if step.epoch == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.run(settings(), tmp_path / "cut", callback=stop)
    resumed = run.run_once(settings(), tmp_path / "cut")
    assert (resumed["resumed_at"], resumed["losses"]) == ([2], whole["losses"])
    pd.testing.assert_frame_equal(curve(tmp_path / "cut"), curve(tmp_path / "whole"))


def test_its_memory_is_planned(heavy_ball, settings):
    bytes_of = lambda name: memory_plan.picture_arrays(  # noqa: E731
        settings(f"optimizer.name={name}").optimizer, "pixels", False
    )
    assert bytes_of("sgd") - bytes_of("heavy_ball") == 4  # one array of float32 less than Adam


def test_an_unknown_name_and_a_missing_lr_are_refused_before_any_work(
    heavy_ball, settings, tmp_path
):
    with pytest.raises(InputError, match=r"heavy_bal: must be one of sgd, .*mean heavy_ball\?"):
        run.run(settings("optimizer.name=heavy_bal"), tmp_path / "a")
    with pytest.raises(InputError, match="lr=null: optimizer=heavy_ball needs a number above 0"):
        run.run(settings("lr=null"), tmp_path / "a")
    assert not (tmp_path / "a").exists()
