"""A run that was stopped goes on at its checkpoint as if it had not been."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from nstrep.base.errors import InputError, ResultsError
from nstrep.experiment import checkpoint, run
from nstrep.experiment.run_directory import CHECKPOINT
from nstrep.optim import state
from nstrep.optim.state import State
from tests.conftest import SMALL

WAYS = {
    "lbfgs": (),
    "lbfgs, in its bounds": ("basis=pixels", "bounds=true"),
    "lbfgs, grey": ("color=luminance",),
    "adam": ("optimizer=adam",),
    "sgd, all of it": (
        "optimizer=sgd", "optimizer.lr_decay=0.5", "optimizer.lr_decay_every=2",
        "optimizer.weight_decay=0.005", "optimizer.clip_norm=size",
    ),
    "nag": ("optimizer=nag",),
}  # fmt: skip
LONG = (*SMALL, "max_num_epochs=8", "checkpoint_seconds=0", "save_epochs=3")


def stop_after(epoch):
    """A callback that is a user's Ctrl-C while the epoch after this one is computed."""

    def callback(step):
        if step.epoch > epoch:
            raise KeyboardInterrupt

    return callback


def interrupted(settings, directory, epoch):
    with pytest.raises(KeyboardInterrupt):
        run.run(settings, directory, callback=stop_after(epoch))


def curve(directory):
    return pd.read_csv(directory / "curve.csv").drop(columns="seconds")


@pytest.mark.parametrize("way", WAYS)
def test_every_optimiser_goes_on_to_the_same_bytes(config, tmp_path, way, caplog):
    caplog.set_level("INFO")
    settings = config(*LONG, *WAYS[way])
    whole = run.run(settings, tmp_path / "whole")
    interrupted(settings, tmp_path / "cut", 2)
    metrics = run.run_once(settings, tmp_path / "cut")
    assert "cut: goes on at epoch 2" in caplog.text
    for name in ("final.png", "raw.npz", "snapshots/epoch_00003.png", "snapshots/epoch_00006.png"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    pd.testing.assert_frame_equal(curve(tmp_path / "cut"), curve(tmp_path / "whole"))
    for key in ("losses", "losses_at_start", "epochs", "evaluations", "eps", "stop_reason"):
        assert metrics[key] == whole[key]
    assert (metrics["resumed_at"], whole["resumed_at"]) == ([2], [])
    assert not (tmp_path / "cut" / CHECKPOINT).exists()
    assert not (tmp_path / "cut" / "last_good.png").exists()


@pytest.mark.parametrize("tile", [176])
def test_a_run_in_pieces_goes_on(config, tmp_path, tile):
    settings = config(*LONG, "max_long_edge=192", "max_num_epochs=4", f"tile={tile}")
    whole = run.run(settings, tmp_path / "whole")
    interrupted(settings, tmp_path / "cut", 2)
    metrics = run.run_once(settings, tmp_path / "cut")
    assert (metrics["resumed_at"], metrics["tile"]) == ([2], tile)
    assert metrics["losses"] == whole["losses"]


@pytest.mark.parametrize(("limit", "tile"), [(1, "176"), (2**20, "null")])
def test_the_limit_of_memory_changes_no_more_than_the_tile(config, tmp_path, limit, tile):
    typed = (*LONG, "max_long_edge=192", "max_num_epochs=2")
    limited = run.run(config(*typed, "tile=auto", f"max_memory_mb={limit}"), tmp_path / "limited")
    given = run.run(config(*typed, f"tile={tile}"), tmp_path / "given")
    assert str(limited["tile"]) == {"null": "None"}.get(tile, tile)
    assert limited["identity"] == given["identity"]
    raw = [(tmp_path / name / "raw.npz").read_bytes() for name in ("limited", "given")]
    assert raw[0] == raw[1]


def test_the_stop_rule_remembers(config, tmp_path):
    settings = config(*LONG, "stop_eps=1", "stop_patience=3")
    whole = run.run(settings, tmp_path / "whole")
    assert whole["epochs"] == 3
    interrupted(settings, tmp_path / "cut", 2)
    assert run.run_once(settings, tmp_path / "cut")["epochs"] == 3


def test_it_can_be_stopped_again_and_again(config, tmp_path):
    settings = config(*LONG)
    whole = run.run(settings, tmp_path / "whole")
    interrupted(settings, tmp_path / "cut", 1)
    kept = (tmp_path / "cut" / CHECKPOINT).read_bytes()
    run.run_once(settings, tmp_path / "cut")
    # As if it had been killed before its results were written.
    for name in ("metrics.json", "final.png"):
        (tmp_path / "cut" / name).unlink()
    (tmp_path / "cut" / CHECKPOINT).write_bytes(kept)
    metrics = run.run_once(settings, tmp_path / "cut")
    assert metrics["losses"] == whole["losses"]
    pd.testing.assert_frame_equal(curve(tmp_path / "cut"), curve(tmp_path / "whole"))


def test_a_start_that_was_killed_leaves_nothing(config, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/.0123456789abcdef.tmp.yaml").write_text("content:")  # half a config.yaml
    run.run(config(*SMALL), tmp_path / "a")
    assert not list((tmp_path / "a").glob(".*"))


def test_a_finished_run_needs_no_checkpoint(config, tmp_path):
    settings = config(*LONG)
    interrupted(settings, tmp_path / "cut", 1)
    kept = (tmp_path / "cut" / CHECKPOINT).read_bytes()
    first = run.run_once(settings, tmp_path / "cut")
    (tmp_path / "cut" / CHECKPOINT).write_bytes(kept)  # killed before it was removed
    assert run.run_once(settings, tmp_path / "cut") == first
    assert not (tmp_path / "cut" / CHECKPOINT).exists()


def test_tensorboard_shows_every_step_once(config, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    settings = config(*LONG, "logger=tensorboard")
    interrupted(settings, tmp_path / "cut", 4)
    run.run_once(settings, tmp_path / "cut")
    board = EventAccumulator(str(tmp_path / "cut/tensorboard")).Reload()
    assert [event.step for event in board.Scalars("loss/total")] == list(range(9))


@pytest.mark.parametrize("damage", ["cut short", "a bit", "empty", "of another run"])
def test_a_checkpoint_that_cannot_be_used_is_said_and_not_used(config, tmp_path, damage, caplog):
    settings = config(*LONG)
    whole = run.run(settings, tmp_path / "whole")
    other = config(*LONG, "content_weight=11") if damage == "of another run" else settings
    interrupted(other, tmp_path / "cut", 2)
    path = tmp_path / "cut" / CHECKPOINT
    data = bytearray(path.read_bytes())
    if damage == "cut short":
        data = data[: len(data) // 2]
    elif damage == "a bit":
        data[len(data) // 2] ^= 4
    elif damage == "empty":
        data = b""
    path.write_bytes(data)
    with pytest.raises(InputError):
        run.run_once(settings, tmp_path / "cut", anew=False)
    assert path.exists()
    assert run.run_once(settings, tmp_path / "cut")["losses"] == whole["losses"]
    assert "checkpoint.npz: " in caplog.text
    assert "run again from the start" in caplog.text


def test_a_curve_that_lost_rows_is_not_gone_on_with(config, tmp_path, caplog):
    settings = config(*LONG)
    interrupted(settings, tmp_path / "cut", 3)
    path = tmp_path / "cut/curve.csv"
    path.write_text("\n".join(path.read_text().split("\n")[:3]))
    assert run.run_once(settings, tmp_path / "cut")["epochs"] == 8
    assert "checkpoint.npz: is of epoch 3, curve.csv ends before; run again" in caplog.text


def test_other_threads_are_a_warning(config, tmp_path, monkeypatch, caplog):
    settings = config(*LONG)
    interrupted(settings, tmp_path / "cut", 3)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    run.run_once(settings, tmp_path / "cut")
    assert "threads" in caplog.text
    assert "7 now: the last digits may differ" in caplog.text


def test_a_checkpoint_is_written_when_its_time_has_come(tmp_path, monkeypatch):
    now = iter([0, 1, 29, 31, 31, 50, 62, 62])
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: next(now))
    written = []
    monkeypatch.setattr(checkpoint, "write", lambda path, state: written.append(state))
    keep = checkpoint.Keeper(tmp_path / CHECKPOINT, 30.0)
    for number in range(5):
        keep(State({"number": number}))
    assert [state.facts["number"] for state in written] == [2, 4]
    keep.flush()
    assert len(written) == 2  # the file has the last state


def test_an_interrupted_run_loses_no_epoch(config, tmp_path):
    settings = config(*LONG, "checkpoint_seconds=3600")
    interrupted(settings, tmp_path / "cut", 3)
    assert run.run_once(settings, tmp_path / "cut")["resumed_at"] == [3]


@pytest.mark.parametrize("way", ["lbfgs", "adam"])
def test_a_finished_run_goes_on_to_more_epochs(config, tmp_path, way):
    whole = run.run(config(*LONG, *WAYS[way]), tmp_path / "whole")
    shorter = config(*LONG, *WAYS[way], "max_num_epochs=5", "stop_eps=1e-9")
    run.run(shorter, tmp_path / "cut")
    assert (tmp_path / "cut" / CHECKPOINT).exists()
    metrics = run.run_once(config(*LONG, *WAYS[way]), tmp_path / "cut", anew=False)
    for name in ("final.png", "raw.npz", "snapshots/epoch_00006.png"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    pd.testing.assert_frame_equal(curve(tmp_path / "cut"), curve(tmp_path / "whole"))
    for key in ("identity", "losses", "epochs", "evaluations", "stop_reason"):
        assert metrics[key] == whole[key]
    assert metrics["resumed_at"] == [5]


def test_a_run_of_a_sweep_keeps_no_checkpoint_and_says_so(config, tmp_path):
    run.run_once(config(*SMALL), tmp_path / "a")
    assert not (tmp_path / "a" / CHECKPOINT).exists()
    with pytest.raises(InputError, match=r"and no checkpoint\.npz to continue from"):
        run.run_once(config(*SMALL, "max_num_epochs=5"), tmp_path / "a", anew=False)


def test_a_filter_that_fails_costs_no_epoch(config, tmp_path, monkeypatch):
    settings = config(*LONG, "save_epochs=0", "checkpoint_seconds=3600", "remove_noise=0.1")
    with monkeypatch.context() as patched:
        patched.setattr(run, "remove_noise", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run.run_once(settings, tmp_path / "a")
    assert (tmp_path / "a/raw.npz").exists()
    assert not (tmp_path / "a/metrics.json").exists()
    metrics = run.run_once(settings, tmp_path / "a")
    assert metrics["resumed_at"] == [metrics["epochs"]] == [8]


def test_none_is_written_where_none_is_wanted(config, tmp_path):
    settings = config(*LONG, "checkpoint_seconds=null")
    interrupted(settings, tmp_path / "cut", 3)
    assert not (tmp_path / "cut" / CHECKPOINT).exists()


def test_a_state_comes_back_to_the_last_bit(rng, tmp_path):
    arrays = {"a.b": rng.normal(size=(1, 3, 5, 7)).astype(np.float32), "c": np.float32([1e-45])}
    facts = {"identity": "x", "third": 1 / 3, "tiny": 5e-324, "names": {"ü": [1, None]}}
    path = tmp_path / CHECKPOINT
    checkpoint.write(path, State(facts, arrays))
    found = checkpoint.read(path, {"third": state.is_number}, "x")
    assert found.facts == facts
    assert found.arrays.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found.arrays[name].tobytes() == array.tobytes()
    with pytest.raises(InputError, match="belongs to a run with other settings"):
        checkpoint.read(path, {}, "y")
    with pytest.raises(InputError, match="has third=0.333"):
        checkpoint.read(path, {"third": state.is_count}, "x")


def test_a_variance_that_overflowed_is_no_damage(tmp_path):
    path = tmp_path / CHECKPOINT
    checkpoint.write(path, State({"identity": "x"}, {"a": np.float32([math.inf, 1])}))
    assert checkpoint.read(path, {}, "x").arrays["a"].tolist() == [math.inf, 1]


def test_a_full_disk_leaves_the_last_checkpoint(config, tmp_path, monkeypatch):
    settings = config(*LONG)

    def full(step):
        if step.epoch == 4:
            monkeypatch.setattr(np.lib.format, "write_array", no_space)

    def no_space(*_, **__):
        raise OSError(28, "No space left on device")

    with pytest.raises(ResultsError, match=r"checkpoint.npz: cannot be written \(No space left"):
        run.run(settings, tmp_path / "cut", callback=full)
    monkeypatch.undo()
    assert json.loads((tmp_path / "cut/failed.json").read_text())["error"] == "ResultsError"
    assert run.run_once(settings, tmp_path / "cut")["resumed_at"] == [3]


class TestResume:
    """resume=true on the command line."""

    def begun(self, config, tmp_path):
        settings = config(*LONG)
        interrupted(settings, tmp_path / "cut", 3)
        return f"hydra.run.dir={tmp_path / 'cut'}"

    def test_the_folder_alone_is_enough(self, config, run_command, tmp_path):
        done = run_command("resume=true", self.begun(config, tmp_path), "max_num_epochs=9")
        assert done.returncode == 0, done.stderr
        assert "goes on at epoch 3" in done.stderr
        assert json.loads((tmp_path / "cut/metrics.json").read_text())["epochs"] == 9

    def test_the_whole_command_again_is_right_too(self, config, run_command, tmp_path):
        place = self.begun(config, tmp_path)
        done = run_command("resume=true", place, *LONG)
        assert done.returncode == 0, done.stderr

    @pytest.mark.parametrize(
        ("typed", "message"),
        [
            ("content_weight=20", "cannot be changed with resume=true, the run has 10.0"),
            ("max_num_epochs=7", "may only be made larger with resume=true, the run has 8"),
        ],
    )
    def test_another_setting_is_refused(self, config, run_command, tmp_path, typed, message):
        place = self.begun(config, tmp_path)
        done = run_command("resume=true", place, typed)
        assert done.returncode == 2
        assert done.stderr.splitlines() == [f"nstrep: error: {typed}: {message}"]
        assert (tmp_path / "cut" / CHECKPOINT).exists()

    def test_a_folder_without_a_run_is_refused(self, run_command, tmp_path):
        done = run_command("resume=true", f"hydra.run.dir={tmp_path / 'none'}")
        assert done.returncode == 2
        assert "none holds no run; name it: hydra.run.dir=..." in done.stderr
        assert not (tmp_path / "none").exists()
