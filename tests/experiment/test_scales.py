"""From coarse to fine."""

import json
import logging

import numpy as np
import pandas as pd
import pytest

from nstrep.base.errors import InputError
from nstrep.experiment import image_inputs, memory_plan, run
from nstrep.experiment.identity import identity_of
from nstrep.experiment.recorders import Progress
from nstrep.experiment.scales import resized, scales_of
from tests.conftest import SMALL
from tests.experiment.test_goes_on import curve, interrupted
from tests.experiment.test_recorders import step

THREE = (*SMALL, "scales=[32,40,48]", "coarse_epochs=[3,2]", "checkpoint_seconds=0")
"""Epochs 0 to 3 at 32 pixels, 4 to 6 at 40 and 7 to 10 at 48."""


def long_edges(config, *overrides):
    settings = config(*SMALL, *overrides)
    content = run.load_inputs(settings).content
    return [max(scale.size) for scale in scales_of(settings, content)]


@pytest.mark.parametrize(
    ("overrides", "edges"),
    [
        ((), [48]),
        (("scales=[]",), [48]),
        (("scales=[32,48,64]",), [32, 48, 64]),
        (("scales=auto",), [48]),
        (("scales=sqrt2",), [48]),
        (("scales=sqrt2", "max_long_edge=512"), [128, 181, 256, 362, 512]),
        (("scales=sqrt2", "max_long_edge=300"), [150, 212, 300]),
        (("scales=auto", "max_long_edge=511"), [511]),
        (("scales=auto", "max_long_edge=512"), [256, 512]),
        (("scales=auto", "max_long_edge=1100"), [275, 550, 1100]),
        (("scales=auto", "preprocess.height=384", "max_long_edge=2000"), [288, 576]),
    ],
)
def test_which_scales_a_run_has(config, overrides, edges):
    found = long_edges(config, *overrides)
    np.testing.assert_allclose(found, edges, atol=1)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["scales=[48,32]"], r"scales=\[48,32\]: must be long sides .* larger than the one before"),
        (["scales=[32,32]"], r"scales=\[32,32\]: must be long sides"),
        (["scales=[0,32]"], r"scales=\[0,32\]: must be"),
        (["scales=[32,4.5]"], r"scales=\[32,4.5\]: must be"),
        (["scales=[32,20001]"], "at most 20000"),
        (["scales=512"], "scales=512: must be auto, sqrt2, null or a list of long sides"),
        (["scales=fine"], "scales=fine: must be auto, sqrt2, null or a list of long sides"),
        (["scales=auto", "coarse_epochs=0"], "coarse_epochs=0: must be a whole number of at least"),
        (["scales=auto", "coarse_epochs=[]"], r"coarse_epochs=\[\]: must be a whole number"),
        (["scales=[32,48]", "coarse_epochs=[a]"], r"coarse_epochs=\[a\]: must be"),
    ],
)
def test_scales_that_cannot_be_meant_are_one_line(config, overrides, message):
    with pytest.raises(InputError, match=message):
        config(*SMALL, *overrides)


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [("7", [7, 7, 7]), ("[9]", [9, 9, 9]), ("[9,5]", [9, 5, 5]), ("[9,5,4,3]", [9, 5, 4])],
)
def test_iterations_of_the_coarser_scales(config, epochs, expected):
    settings = config(
        *SMALL,
        "scales=[16,24,32,48]",
        f"coarse_epochs={epochs}",
        "style_layers=[relu1_1]",
        "content_layers=[relu1_1]",
    )
    content = run.load_inputs(settings).content
    assert [scale.epochs for scale in scales_of(settings, content)] == [*expected, 3]


def test_the_coarsest_can_be_too_small(config, tmp_path):
    with pytest.raises(InputError, match="max_long_edge=20: .* at least 16 x 16 pixels"):
        run.run(config(*SMALL, "scales=[20,48]"), tmp_path / "a")
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(("height", "width"), [(10, 8), (9, 7), (20, 13)])
def test_sizes_change_without_loss_of_what_both_can_hold(rng, height, width):
    small = rng.normal(size=(1, 3, height, width))
    large = resized(small, 2 * height + 1, 2 * width)
    np.testing.assert_allclose(resized(large, height, width), small, atol=1e-9)
    assert large.mean() == pytest.approx(small.mean())
    np.testing.assert_allclose(resized(np.full((1, 3, 8, 8), 7.0), 17, 15), 7.0)


def test_each_scale_starts_from_the_change_at_the_one_below(config, tmp_path):
    settings, seen = config(*THREE, "init=noise"), {}

    def callback(step):
        seen[step.epoch] = step.image.copy()

    metrics = run.run(settings, tmp_path / "a", callback=callback)
    full = run.load_inputs(settings)
    coarse, fine = (full.at(each.config) for each in scales_of(settings, full.content)[1:])
    np.testing.assert_array_equal(fine.start, full.start)
    low, photo = (image_inputs.to_vgg_input(each.content_rgb01, 255) for each in (coarse, fine))
    expected = photo + resized(seen[6] - low, *photo.shape[2:])
    np.testing.assert_allclose(seen[7], expected, atol=1e-2)
    found = pd.read_csv(tmp_path / "a/curve.csv")
    assert list(found)[:3] == ["epoch", "scale", "evaluations"]
    assert found["epoch"].tolist() == list(range(11))
    assert found["scale"].tolist() == [32] * 4 + [40] * 3 + [48] * 4
    assert found.index[found["eps"].isna()].tolist() == [0, 4, 7]
    assert found["evaluations"].is_monotonic_increasing
    assert found["seconds"].is_monotonic_increasing
    assert (metrics["epochs"], metrics["width"]) == (10, 48)
    assert metrics["losses_at_start"]["total"] == pytest.approx(found["total"][0])


def test_it_begins_lower(config, tmp_path):
    starts = {}
    for scales in ("null", "[48,96]"):
        settings = config(*SMALL, "max_long_edge=96", f"scales={scales}", "coarse_epochs=12")
        run.run(settings, tmp_path / scales)
        found = pd.read_csv(tmp_path / scales / "curve.csv")
        starts[scales] = found["total"].iloc[-4], found["total"].iloc[-1]
    (single, single_end), (several, several_end) = starts.values()
    assert several < 0.7 * single
    assert several_end < single_end


def test_starts_are_within_the_bounds(config, tmp_path):
    for bounds in ("false", "true"):
        settings = config(
            *THREE, "basis=pixels", f"bounds={bounds}", "content_weight=0.01", "style_scale=0.8",
        )  # fmt: skip
        low, high = image_inputs.bounds(config(*SMALL, "basis=pixels", "bounds=true"))
        inside = []

        def callback(step, inside=inside, low=low, high=high):
            inside.append(((low - 1e-4 <= step.image) & (step.image <= high + 1e-4)).all())

        run.run(settings, tmp_path / bounds, callback=callback)
        assert all(inside) == (bounds == "true")


@pytest.mark.parametrize(
    ("way", "epochs"),
    [
        (("color=luminance",), (1, 3, 8)),
        (("optimizer=adam", "optimizer.average_decay=0.9", "init=noise"), (5,)),
    ],
)
def test_killed_at_any_scale_it_goes_on_to_the_same_bytes(config, tmp_path, way, epochs):
    settings = config(*THREE, *way, "save_epochs=3")
    run.run(settings, tmp_path / "whole")
    for epoch in epochs:
        cut = tmp_path / str(epoch)
        interrupted(settings, cut, epoch)
        metrics = json.loads((cut / "metrics.json").read_text())
        # Of the step after the last in the checkpoint.
        assert metrics["width"] == (32 if epoch < 3 else 40 if epoch < 6 else 48)
        assert run.run_once(settings, cut)["resumed_at"] == [epoch]
        for name in ("final.png", "raw.npz", "snapshots/epoch_00003.png"):
            assert (cut / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
        pd.testing.assert_frame_equal(curve(cut), curve(tmp_path / "whole"))


def test_interrupted_before_the_next_scale_begins(config, tmp_path, monkeypatch):
    settings = config(*THREE, "color=luminance")
    run.run(settings, tmp_path / "whole")

    def interrupt(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(run, "start_from", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run.run(settings, tmp_path / "cut")
    assert (tmp_path / "cut/last_good.png").exists()
    run.run_once(settings, tmp_path / "cut")
    raw = [(tmp_path / name / "raw.npz").read_bytes() for name in ("cut", "whole")]
    assert raw[0] == raw[1]


def test_a_finished_run_goes_on_at_its_last_scale(config, tmp_path):
    run.run(config(*THREE), tmp_path / "a")
    longer = config(*THREE, "max_num_epochs=5")
    run.run(longer, tmp_path / "b")
    assert run.run_once(longer, tmp_path / "a", anew=False)["epochs"] == 12
    pd.testing.assert_frame_equal(curve(tmp_path / "a"), curve(tmp_path / "b"))


def test_a_threshold_that_ended_a_scale_cannot_be_changed(config, tmp_path):
    run.run(config(*THREE, "stop_eps=0.02"), tmp_path / "a")
    with pytest.raises(InputError, match="belongs to a run with other settings"):
        run.run_once(config(*THREE, "stop_eps=0.01"), tmp_path / "a", anew=False)


def test_the_rule_ends_a_scale_and_the_next_begins(config, tmp_path):
    metrics = run.run(config(*THREE, "stop_eps=100"), tmp_path / "a")
    assert pd.read_csv(tmp_path / "a/curve.csv")["scale"].tolist() == [32, 32, 40, 40, 48, 48]
    assert metrics["stop_reason"] == "stop_eps"


def test_a_callback_ends_the_run_at_any_scale(config, tmp_path):
    metrics = run.run(config(*THREE), tmp_path / "a", callback=lambda step: step.epoch == 5)
    assert (metrics["stop_reason"], metrics["epochs"], metrics["width"]) == ("callback", 5, 40)


def test_the_picture_makes_the_run_again(config, tmp_path):
    first = run.run(config(*THREE, "save_epochs=0"), tmp_path / "a")
    from nstrep.experiment.from_image import read_texts

    stored, _ = read_texts(str(tmp_path / "a/final.png"))
    assert stored["scales"] == [32, 40, 48]
    assert stored["max_long_edge"] == 48
    assert first["losses"]["total"] < first["losses_at_start"]["total"]


def test_the_memory_is_planned_for_the_largest_scale_first(config, tmp_path, monkeypatch):
    planned, plan = [], memory_plan.plan

    def record(network, shape, *arguments, **options):
        planned.append(max(shape[2:]))
        return plan(network, shape, *arguments, **options)

    monkeypatch.setattr(memory_plan, "plan", record)
    run.run(config(*THREE), tmp_path / "a")
    assert planned == [48, 32, 40]


def test_a_scale_keeps_no_state_of_the_one_below(config, tmp_path, monkeypatch):
    held, plan = [], memory_plan.plan

    def record(*arguments, **options):
        held.append(experiment._keeper._unwritten)
        return plan(*arguments, **options)

    settings = config(*THREE, "checkpoint_seconds=1000")
    (tmp_path / "a").mkdir()
    experiment = run.Experiment(settings, tmp_path / "a", run.load_inputs(settings))
    monkeypatch.setattr(memory_plan, "plan", record)
    experiment.carry_out()
    assert held == [None] * 3


def test_one_scale_has_neither_column_nor_another_identity(config, small, tmp_path):
    run.run(small, tmp_path / "a")
    assert "scale" not in pd.read_csv(tmp_path / "a/curve.csv")
    inputs = run.load_inputs(small).provenance
    several = config(*THREE)
    assert identity_of(small, inputs) == identity_of(config(*SMALL, "scales=null"), inputs)
    assert identity_of(small, inputs) != identity_of(several, inputs)


def test_the_time_left_counts_the_later_scales_by_their_area(config, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    settings = config(*SMALL, "scales=[30,60,120]", "coarse_epochs=20", "max_num_epochs=10")
    content = run.load_inputs(settings).content
    coarse, middle, fine = scales_of(settings, content)
    assert coarse.title == "30 x 20 (1 of 3)"
    assert coarse.after == pytest.approx(20 * 4 + 10 * 16)
    assert (middle.after, fine.after) == (pytest.approx(10 * 4), 0)
    now = iter([0, 31])
    monkeypatch.setattr("nstrep.experiment.recorders.time.monotonic", lambda: next(now))
    progress = Progress(20, 0, "epoch", coarse.title, coarse.after)
    progress(step(10))
    progress.close()
    assert caplog.messages == [
        "30 x 20 (1 of 3): epoch 10 of 20, loss 2.5, eps 1.0000, at most 13 min left"
    ]


def test_old_configurations_that_name_multiscale_are_read(composed, caplog):
    from nstrep.experiment.from_image import _merged

    for value, said in ((0, False), (40, True)):
        caplog.clear()
        merged = _merged(composed(*SMALL), {"multiscale": value, "seed": 3}, "from_image=a.png")
        assert merged.seed == 3
        assert ("multiscale: no longer exists" in caplog.text) == said
