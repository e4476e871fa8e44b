import io
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nstrep.base.errors import ResultsError
from nstrep.experiment.recorders import Curve, Progress, Snapshots, StopRule
from nstrep.optim.minimize import Step

NAN = math.nan


def step(epoch, eps=1.0, change=1.0, total=2.5):
    losses = {"total": total, "style_loss": total, "style_loss.relu1_1": total}
    image = np.zeros((1, 3, 4, 5), dtype=np.float32)
    return Step(
        epoch=epoch, losses=losses, evaluations=epoch + 1, seconds=0.5 * epoch, lr=0.1, eps=eps,
        loss_change=change, gradient_norm=3.0, image=image,
    )  # fmt: skip


def test_without_a_terminal_there_is_a_line_now_and_then(monkeypatch, caplog):
    caplog.set_level("INFO")
    now = iter([0, 10, 31, 32, 62])
    monkeypatch.setattr("nstrep.experiment.recorders.time.monotonic", lambda: next(now))
    progress = Progress(100, 20, "epoch")
    for epoch in (20, 25, 26, 40):
        progress(step(epoch, eps=NAN if epoch == 20 else 0.5))
    progress.close()
    assert caplog.messages == [
        "epoch 25 of 100, loss 2.5, eps 0.5000, at most 8 min left",
        "epoch 40 of 100, loss 2.5, eps 0.5000, at most 3 min left",
    ]


def test_a_notebook_has_a_bar_and_no_lines(monkeypatch, caplog):
    caplog.set_level("INFO")
    front_end = type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})()
    monkeypatch.setattr("sys.stderr", front_end)
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    monkeypatch.setattr(Progress, "SECONDS", 0)
    progress = Progress(100, 20, "epoch")
    for epoch in (20, 40):
        progress(step(epoch))
    shown = front_end.getvalue()
    progress.close()
    assert "20/100" in shown
    assert not caplog.messages


def test_the_curve_is_on_disk_row_by_row(tmp_path):
    curve = Curve(tmp_path / "curve.csv")
    for epoch in range(3):
        curve(step(epoch, eps=NAN if epoch == 0 else 1 / 3))
        found = pd.read_csv(tmp_path / "curve.csv")
        assert len(found) == epoch + 1
    curve.close()
    assert list(found) == [
        "epoch", "evaluations", "seconds", "lr", "eps", "loss_change", "gradient_norm",
        "total", "style_loss", "style_loss.relu1_1",
    ]  # fmt: skip
    assert found["eps"].isna().tolist() == [True, False, False]
    assert found["eps"][1] == pytest.approx(1 / 3, rel=1e-8)
    assert found["epoch"].dtype == "int64"


def test_a_full_disk_is_one_plain_line():
    curve = Curve(Path("/dev/full"))
    with pytest.raises(ResultsError, match="/dev/full: cannot be written .*No space left"):
        curve(step(0))
    with pytest.raises(ResultsError):
        curve.close()


def test_snapshots_come_in_turn(tmp_path):
    snapshots = Snapshots(tmp_path / "s", 2, lambda image: np.zeros((4, 5, 3)))
    for epoch in range(6):
        snapshots(step(epoch))
    names = sorted(path.name for path in (tmp_path / "s").iterdir())
    assert names == ["epoch_00002.png", "epoch_00004.png"]


def test_no_snapshots_when_zero(tmp_path):
    Snapshots(tmp_path / "s", 0, lambda image: image)(step(5))
    assert not (tmp_path / "s").exists()


def stops(config, sequence, *overrides):
    """The epoch and the reason at which a run with such eps and loss changes ends."""
    settings = config(*overrides)
    rule = StopRule(settings, settings.max_num_epochs)
    for epoch, (eps, change) in enumerate(sequence):
        reason = rule(step(epoch, eps, change))
        if reason:
            return epoch, reason
    return None


def test_eps_stops_when_below_for_long_enough(config):
    sequence = [(NAN, NAN), (0.1, 1), (0.004, 1), (0.1, 1), (0.004, 1), (0.003, 1), (0.1, 1)]
    assert stops(config, sequence, "stop_eps=0.005", "stop_patience=1") == (2, "stop_eps")
    assert stops(config, sequence, "stop_eps=0.005", "stop_patience=2") == (5, "stop_eps")
    assert stops(config, sequence, "stop_eps=0.005", "stop_patience=3") is None
    assert stops(config, sequence, "stop_eps=0") is None


def test_the_loss_change_stops_only_when_asked(config):
    sequence = [(NAN, NAN), (0.1, 0.5), (0.1, 1e-4), (0.1, 1e-5)]
    assert stops(config, sequence, "stop_patience=1") is None
    asked = stops(config, sequence, "stop_patience=1", "stop_loss_change=0.001")
    assert asked == (2, "stop_loss_change")


def test_the_epoch_limit_stops(config):
    assert stops(config, [(NAN, NAN)] + [(1, 1)] * 9, "max_num_epochs=4") == (4, "max_num_epochs")
