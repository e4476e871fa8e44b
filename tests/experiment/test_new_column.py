"""A column that is defined here alone appears in all files and plots of a run."""

import numpy as np
import pandas as pd
import pytest

from nstrep import plots
from nstrep.analysis import summary
from nstrep.analysis.run_reader import load_sweep
from nstrep.config.checks import check
from nstrep.config.metrics import METRICS, Metric, register
from nstrep.experiment import results, run
from tests.conftest import SMALL

CONTRAST = Metric("contrast", "contrast (grey levels)", compute=lambda step: step.image.std())


@pytest.fixture
def contrast():
    register(CONTRAST)
    yield
    del METRICS["contrast"]


def test_a_new_column_is_one_entry(contrast, composed, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = check(composed(*SMALL, "logger=tensorboard", "objective=contrast"))
    contrasts = []
    metrics = run.run(
        config, tmp_path / "a", callback=lambda step: contrasts.append(step.image.std()) or False
    )
    curve = pd.read_csv(tmp_path / "a/curve.csv")
    assert list(curve)[:9] == [
        "epoch", "evaluations", "seconds", "lr", "eps", "loss_change", "gradient_norm", "contrast",
        "total",
    ]  # fmt: skip
    np.testing.assert_allclose(curve["contrast"], contrasts, rtol=1e-6)
    assert metrics["contrast"] == contrasts[-1]
    assert results.measure(metrics, "contrast") == contrasts[-1]
    board = EventAccumulator(str(tmp_path / "a/tensorboard")).Reload()
    shown = [event.value for event in board.Scalars("contrast")]
    np.testing.assert_allclose(shown, contrasts, rtol=1e-6)
    sweep = load_sweep(tmp_path)
    assert summary.write(sweep)["contrast"].tolist() == [contrasts[-1]]
    figure = plots.overlaid(sweep.runs, "seed", ["contrast"])
    assert figure.axes[0].get_ylabel() == "contrast (grey levels)"
    figure = plots.against(sweep.runs, "seed", ["contrast"])
    assert figure.axes[0].get_ylabel() == "contrast (grey levels)"
