"""Training of transform networks: losses, gradients, data, and resuming after a kill."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skimage
from hydra import compose, initialize_config_dir
from PIL import Image

import nstrep
from nstrep import cli
from nstrep.base.errors import InputError
from nstrep.config.folder import group_options
from nstrep.config.schema import LossesConfig
from nstrep.fast import data, layouts, training
from nstrep.fast.architectures import NETS
from nstrep.fast.config import DataConfig, check
from nstrep.fast.data import Photos
from nstrep.fast.network import Transformer
from nstrep.fast.training import Trainer
from nstrep.images import io

PAINTING = Path(skimage.__file__).with_name("data") / "coffee.png"
"""A small picture that every machine has, whichever paintings it has downloaded."""

TINY = ("data.size=32", "style_size=48", "batch_size=2", f"style_image={PAINTING}")


@pytest.fixture
def composed():
    with initialize_config_dir(version_base="1.3", config_dir=str(cli.config_folder())):
        yield lambda *overrides: check(compose("fast", overrides=list(overrides)))


def run(*arguments, cwd, **given):
    return subprocess.Popen(
        [sys.executable, "-m", "nstrep.fast.train", *arguments],
        cwd=cwd, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(nstrep.__file__).parents[1])}, **given,
    )  # fmt: skip


# --- configurations ------------------------------------------------------------------------------

# conf/*.yml of hzy46/fast-neural-style-tensorflow
PUBLISHED = {
    "wave": 220, "cubist": 180, "denoised_starry": 250, "mosaic": 100, "scream": 250,
    "feathers": 220, "udnie": 200,
}  # fmt: skip


@pytest.mark.parametrize("style", PUBLISHED)
def test_the_seven_styles_have_their_published_weights(style, composed):
    config = composed("fast/recipe=hzy46", f"style={style}")
    assert config.style_weight == PUBLISHED[style]
    assert (config.net.name, config.model.name, config.pooling) == ("hzy46", "vgg16", "max")
    assert composed("fast/recipe=hzy46", f"style={style}", "style_weight=3").style_weight == 3
    assert composed(f"style={style}").net.name == "small"


def test_every_net_and_recipe_composes(composed):
    nets = group_options("fast/net")
    assert nets == sorted(NETS)
    for net in nets:
        assert composed(f"fast/net={net}").net.name == net
    for recipe in group_options("fast/recipe"):
        assert composed(f"fast/recipe={recipe}").recipe.name == recipe
    assert composed("fast/recipe=johnson").net.name == "johnson"


def test_hzy46_divides_as_its_program_does(rng):
    """sum((G - A)^2) / (N M) of Gram matrices over N M; the features' mean squared difference."""
    from nstrep.losses.content import content_coefficient
    from nstrep.losses.style import style_coefficient

    with initialize_config_dir(version_base="1.3", config_dir=str(cli.config_folder())):
        forms: LossesConfig = check(compose("fast", overrides=["fast/recipe=hzy46"])).losses
    n, m = 5, 12
    features, target = rng.normal(size=(2, n, m))
    gram, aim = (part @ part.T for part in (features, target))
    per_position = np.sum((gram / m - aim / m) ** 2)
    found = style_coefficient(forms, (n, m, 999), 1.0) * per_position
    expected = np.sum((gram / (n * m) - aim / (n * m)) ** 2) / (n * m)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    unit = content_coefficient(forms, (n, m, 999), 1.0)
    np.testing.assert_allclose(unit, 1 / (n * m), rtol=1e-12)


# --- gradients -----------------------------------------------------------------------------------


def test_the_gradient_is_that_of_the_loss(composed):
    """Along the gradient itself, the loss changes as the gradient says."""
    config = composed(*TINY, "pooling=avg", "style_layers=[relu1_1,relu2_1,relu3_1]")
    state = Trainer(config)
    for _ in range(3):  # away from the start, where the losses are steep and curved
        state.batch()
        state.update()
    _, norm = state.batch()
    direction = {name: array.copy() / norm for name, array in state._gradients.items()}
    slope = (
        sum(
            float((direction[name] * state._gradients[name]).sum().asscalar())
            for name in state.transformer.parameters
        )
        / config.batch_size
    )
    at = state.transformer.arrays()

    def loss(step):
        for name, array in state.transformer.parameters.items():
            array[:] = at[name] + step * direction[name].asnumpy() / config.batch_size
        return state.batch()[0]["total"]

    step = 1e-3
    measured = (loss(step) - loss(-step)) / (2 * step)
    np.testing.assert_allclose(measured, slope / config.batch_size, rtol=0.02)


def test_adam_is_that_of_kingma_and_ba(composed):
    config = composed(*TINY)
    state = Trainer(config)
    at = {name: array.astype(np.float64) for name, array in state.transformer.arrays().items()}
    mean = {name: 0.0 for name in at}
    square = {name: 0.0 for name in at}
    for t in (1, 2, 3):
        state.batch()
        gradients = {n: a.asnumpy().astype(np.float64) / 2 for n, a in state._gradients.items()}
        state.update()
        for name, gradient in gradients.items():
            mean[name] = 0.9 * mean[name] + 0.1 * gradient
            square[name] = 0.999 * square[name] + 0.001 * gradient**2
            # MXNet adds epsilon to the deviation before its correction.
            deviation = (np.sqrt(square[name]) + 1e-8) / np.sqrt(1 - 0.999**t)
            at[name] = at[name] - config.lr * mean[name] / (1 - 0.9**t) / deviation
            np.testing.assert_allclose(state.transformer.arrays()[name], at[name], atol=2e-6)


def test_losses_with_a_new_content_image_are_those_of_new_losses(composed, rng):
    config = composed(*TINY)
    state = Trainer(config)
    first, second = rng.random((2, 32, 32, 3)).astype(np.float32)
    pixels = (rng.random((1, 3, 32, 32)) * 255).astype(np.float32)
    fresh, _ = state.losses(second, pixels)
    state.losses(first, pixels)
    again, _ = state.losses(second, pixels)
    assert again == fresh
    assert state.losses(first, pixels)[0] != fresh


# --- several styles ------------------------------------------------------------------------------

MANY = ("fast/recipe=many", "data.size=32", "style_size=48", "batch_size=2", "data.held_out=1")
STYLES = f"styles=[{PAINTING},swirls,lilies]"


def test_each_style_has_its_own_targets(composed, rng):
    """The losses are those of a training on that style alone."""
    state = Trainer(composed(*MANY, STYLES, "content_weights={lilies: 20}"))
    crop = rng.random((32, 32, 3)).astype(np.float32)
    pixels = (rng.random((1, 3, 32, 32)) * 255).astype(np.float32)
    losses = {style: state.losses(crop, pixels, style)[0] for style in state.paintings}
    assert [*losses] == ["coffee", "swirls", "lilies"]
    for style, given in (
        ("coffee", (f"style_image={PAINTING}",)),
        ("swirls", ("style=swirls",)),
        ("lilies", ("style=lilies", "content_weight=20")),
    ):
        alone = Trainer(composed(*MANY, *given))
        expected, gradient = alone.losses(crop, pixels)
        assert losses[style] == expected
        again, same = state.losses(crop, pixels, style)
        assert again == expected
        np.testing.assert_array_equal(same.asnumpy(), gradient.asnumpy())


def test_a_grid_costs_what_its_weight_says(composed, rng):
    crop = rng.random((32, 32, 3)).astype(np.float32)
    pixels = (rng.random((1, 3, 32, 32)) * 255).astype(np.float32)
    found = {
        weight: Trainer(composed(*MANY, f"grid_weight={weight}")).losses(crop, pixels)
        for weight in (0, 0.5, 1)
    }
    assert "grid_loss" not in found[0][0]
    half, whole = found[0.5][0], found[1][0]
    assert whole["grid_loss"] == 2 * half["grid_loss"] > 0
    assert half["total"] == found[0][0]["total"] + half["grid_loss"]
    slopes = [gradient.asnumpy() for _, gradient in found.values()]
    np.testing.assert_allclose(
        slopes[2] - slopes[0], 2 * (slopes[1] - slopes[0]), rtol=1e-3, atol=1e-5
    )
    assert np.abs(slopes[2] - slopes[0]).max() > 0


def test_styles_take_turns(composed):
    state = Trainer(composed(*MANY, STYLES))
    order = [state.style_of(number) for number in range(30)]
    for start in range(0, 30, 3):
        assert {*order[start : start + 3]} == {"coffee", "swirls", "lilies"}
    assert len({tuple(order[start : start + 3]) for start in range(0, 30, 3)}) > 1


def test_the_gradient_of_a_style_is_that_of_its_loss(composed):
    config = composed(*MANY, STYLES, "style_layers=[relu1_1,relu2_1,relu3_1]")
    state = Trainer(config)
    for _ in range(3):  # away from the start, where the losses are steep and curved
        state.batch()
        state.update()
    state.batch()
    scales = [name for name in state.transformer.parameters if name.endswith("_gamma")]
    slopes = {name: state._gradients[name].asnumpy() / 2 for name in scales}
    at = state.transformer.arrays()

    def loss(step):
        for name in scales:
            state.transformer.parameters[name][:] = at[name] + step * slopes[name]
        return state.batch()[0]["total"]

    step = 1e-3
    measured = (loss(step) - loss(-step)) / (2 * step)
    expected = sum(float((slope**2).sum()) for slope in slopes.values())
    np.testing.assert_allclose(measured, expected, rtol=0.02)


def test_a_training_on_several_styles_resumes(composed, tmp_path):
    typed = [*MANY, STYLES, "steps=2", "save_steps=1", "validate_steps=2"]
    metrics = training.run(composed(*typed), tmp_path / "whole")
    cut = Trainer(composed(*typed))
    cut.batch()
    cut.update()
    (tmp_path / "cut").mkdir()
    shutil.copy(tmp_path / "whole" / "config.yaml", tmp_path / "cut")
    cut.save(tmp_path / "cut" / training.CHECKPOINT)
    training.run(composed(*typed), tmp_path / "cut")
    whole, again = (layouts.load(tmp_path / name) for name in ("whole", "cut"))
    assert whole[0].styles == ("coffee", "swirls", "lilies")
    for name, array in whole[1].items():
        np.testing.assert_array_equal(array, again[1][name], err_msg=name)
    each = {name: losses["total"] for name, losses in metrics["validation_by_style"].items()}
    assert [*each] == [style["name"] for style in metrics["styles"]]
    np.testing.assert_allclose(metrics["validation"]["total"], np.mean([*each.values()]))
    last = pd.read_csv(tmp_path / "whole" / "curve.csv").iloc[-1]
    for name, value in each.items():
        np.testing.assert_allclose(last[f"validation.total.{name}"], value, rtol=1e-6)
    assert io.load_picture(tmp_path / "whole" / "sample.png").height == 3 * 192


def test_a_style_is_added_and_the_others_stay(composed, tmp_path, rng):
    typed = [*MANY, "steps=2", f"init_from={tmp_path / 'two'}", "train=styles"]
    training.run(composed(*MANY, "styles=[swirls,lilies]", "steps=1"), tmp_path / "two")
    training.run(composed(*typed, f"style_image={PAINTING}"), tmp_path / "three")
    two, three = (layouts.load(tmp_path / name) for name in ("two", "three"))
    assert three[0].styles == ("swirls", "lilies", "coffee")
    picture = rng.random((40, 44, 3)).astype(np.float32)
    for style in two[0].styles:
        before, after = (Transformer(*net)(picture, style) for net in (two, three))
        np.testing.assert_array_equal(after, before)
    mean = two[1]["conv1_gamma"].mean(axis=0)
    assert not np.array_equal(three[1]["conv1_gamma"][2], mean)
    np.testing.assert_allclose(three[1]["conv1_gamma"][2], mean, atol=0.02)  # it began there
    more = Trainer(composed(*typed, f"style_image={PAINTING}", "train=all"))
    assert "conv1_weight" in more._gradients
    assert more.transformer.net.styles == three[0].styles
    with pytest.raises(InputError, match="init_from=.*: must be a network like net"):
        Trainer(composed(*typed, "fast/net=small"))
    with pytest.raises(InputError, match="init_from=.*missing: there is no such file"):
        Trainer(composed(*MANY, f"init_from={tmp_path / 'missing'}"))


def test_styles_can_be_a_folder_and_have_names(composed, tmp_path):
    for name in ("b", "a"):
        Image.open(PAINTING).resize((64, 48)).save(tmp_path / f"{name}.png")
    assert [*data.paintings(composed(*MANY, f"styles=[swirls,{tmp_path}]"))] == ["swirls", "a", "b"]
    for styles, said in (
        (f"{tmp_path},{tmp_path / 'a.png'}", "styles: a is named twice"),
        ("swirls,wavy", "styles=wavy: must be a file, or one of"),
    ):
        with pytest.raises(InputError, match=said):
            Trainer(composed(*MANY, f"styles=[{styles}]"))
    for weights in ("{wave: 3}", "{swirls: -1}", "[1]"):
        with pytest.raises(InputError, match="content_weights=.*must be weights .* for swirls"):
            Trainer(composed(*MANY, "styles=[swirls]", f"content_weights={weights}"))


def test_the_learning_rate_falls_to_zero(composed):
    state = Trainer(composed(*TINY, "steps=10", "lr=0.4", "lr_steps=${steps}"))
    rates = []
    for state.step in (0, 5, 10, 15):
        rates.append(state.lr)
    np.testing.assert_allclose(rates, [0.4, 0.2, 0, 0], atol=1e-12)
    # The updates depend on it.
    other = Trainer(composed(*TINY, "steps=11", "lr=0.4", "lr_steps=${steps}"))
    assert other.identity != state.identity


# --- data ----------------------------------------------------------------------------------------


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    (folder / "below").mkdir(parents=True)
    for number, name in enumerate(("astronaut", "chelsea", "coffee", "rocket")):
        rgb = io.to_uint8(io.resize_long_edge(io.builtin(name).rgb, 80 + number))
        Image.fromarray(rgb).save(folder / ("below" if number else "") / f"{name}.jpg")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing more")
    (folder / "notes.txt").write_text("no picture")
    return folder


def test_broken_pictures_are_skipped_and_counted(photos):
    found = Photos(DataConfig(str(photos), 32, "random", 1), 0)
    for step in range(6):
        crops = found.crops(step, 2)
        assert [crop.shape for crop in crops] == [(32, 32, 3)] * 2
    assert [Path(name).name for name in found.skipped] == ["broken.jpg"]
    assert len(found.names) == 4  # of five, one is held out
    assert found.held_out[0].source not in found.names


def test_crops_depend_on_the_step_alone(photos):
    config = DataConfig(str(photos), 32, "random", 1)
    one, other = Photos(config, 3), Photos(config, 3)
    for step in range(4):
        one.crops(step, 2)
    for a, b in zip(one.crops(9, 2), other.crops(9, 2)):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(one.crops(9, 1)[0], one.crops(10, 1)[0])


def test_an_epoch_has_every_picture_once(photos):
    found = Photos(DataConfig(str(photos), 16, "center", 1), 0)
    sources = [found._next(position).source for position in range(len(found.names))]
    assert len(set(sources)) == 3  # four files, one of them broken


def test_the_central_crop_is_the_largest_square():
    picture = np.zeros((40, 80, 3), np.float32)
    picture[:, 20:60] = 1
    assert data.center(picture, 20).min() == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"dir": "missing"}, "data.dir=missing: is not a folder"),
        ({"dir": "."}, "data.dir=.: holds no picture"),
        ({"held_out": 9}, "data.held_out=9: there are 2 pictures for it"),
    ],
)
def test_data_that_cannot_be_used_is_one_line(change, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught:
        Photos(DataConfig(**{"dir": None, "size": 32, "crop": "random", "held_out": 1} | change), 0)
    assert str(caught.value).startswith(said)


# --- runs ----------------------------------------------------------------------------------------


def test_a_killed_training_resumes_to_the_same_network(composed, tmp_path):
    typed = [*TINY, "steps=6", "save_steps=2", "validate_steps=4"]
    killed = run(*typed, "hydra.run.dir=killed", cwd=tmp_path)
    while not (tmp_path / "killed" / training.CHECKPOINT).exists() and killed.poll() is None:
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL  # it was at work
    assert not (tmp_path / "killed" / "metrics.json").exists()
    metrics = training.run(composed(*typed), tmp_path / "whole")
    again = run(*typed, "hydra.run.dir=killed", cwd=tmp_path)
    _, said = again.communicate()
    assert again.returncode == 0, said
    assert "resuming at step" in said
    _, one = layouts.load(tmp_path / "whole" / "net.npz")
    _, other = layouts.load(tmp_path / "killed" / "net.npz")
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name], err_msg=name)
    curves = [pd.read_csv(tmp_path / name / "curve.csv") for name in ("whole", "killed")]
    pd.testing.assert_frame_equal(*(c.drop(columns="seconds") for c in curves))
    assert list(curves[0]["epoch"]) == list(range(7))
    held = curves[0].dropna(subset="validation.total")
    assert list(held["epoch"]) == [0, 4, 6]
    last = metrics["validation"]["total"]  # of the network that was saved
    np.testing.assert_allclose(last, held["validation.total"].iloc[-1], rtol=1e-6)
    samples = sorted(path.name for path in (tmp_path / "whole" / "samples").iterdir())
    assert samples == ["step_00002.png", "step_00004.png", "step_00006.png"]
    assert io.load_picture(tmp_path / "whole" / "sample.png").height == 192


def test_an_interrupted_training_loses_no_step(composed, tmp_path, monkeypatch):
    config = composed(*TINY, "steps=4", "save_steps=100")
    with monkeypatch.context() as patched:
        batch = training.Trainer.batch

        def stop(trainer):
            if trainer.step == 3:
                raise KeyboardInterrupt
            return batch(trainer)

        patched.setattr(training.Trainer, "batch", stop)
        with pytest.raises(KeyboardInterrupt):
            training.run(config, tmp_path / "cut")
    steps = []
    with monkeypatch.context() as patched:
        update = training.Trainer.update
        patched.setattr(training.Trainer, "update", lambda self: steps.append(1) or update(self))
        training.run(config, tmp_path / "cut")
    assert len(steps) == 1
    training.run(config, tmp_path / "whole")
    curves = [pd.read_csv(tmp_path / name / "curve.csv") for name in ("whole", "cut")]
    pd.testing.assert_frame_equal(*(c.drop(columns="seconds") for c in curves))


def test_training_lowers_the_losses_on_pictures_that_it_has_not_seen(composed, tmp_path):
    given = ("steps=60", "validate_steps=60", "lr=0.001")  # at first the losses jump about
    metrics = training.run(composed(*TINY, *given), tmp_path)
    assert metrics["validation"]["total"] < metrics["validation_at_start"]["total"]


def test_more_steps_are_added_and_other_settings_refused_or_replaced(composed, tmp_path):
    training.run(composed(*TINY, "steps=1"), tmp_path)
    more = training.run(composed(*TINY, "steps=3"), tmp_path)
    assert more["steps"] == 3
    fresh = tmp_path / "fresh"
    training.run(composed(*TINY, "steps=3"), fresh)
    assert (tmp_path / "net.npz").read_bytes() == (fresh / "net.npz").read_bytes()
    again = training.run(composed(*TINY, "steps=3"), tmp_path)
    assert again == more  # done before
    with pytest.raises(InputError, match="belongs to a run with other settings"):
        training.run(composed(*TINY, "steps=3", "content_weight=1"), tmp_path)
    with pytest.raises(InputError, match="steps=2: .* has 3 already"):
        training.run(composed(*TINY, "steps=2"), tmp_path)
    assert training.run(composed(*TINY, "steps=2"), tmp_path, replace=True)["steps"] == 2
    (tmp_path / "checkpoint.npz").write_bytes(b"cut off")
    with pytest.raises(InputError, match="is no checkpoint"):
        training.run(composed(*TINY, "steps=4"), tmp_path)


def test_losses_and_samples_for_tensorboard(composed, tmp_path):
    event_accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator"
    )
    given = ("save_steps=2", "logger=tensorboard")
    training.run(composed(*TINY, "steps=2", *given), tmp_path)
    # As if killed after step 3: what was logged beyond the checkpoint comes again.
    before = (tmp_path / training.CHECKPOINT).read_bytes()
    training.run(composed(*TINY, "steps=3", *given), tmp_path)
    (tmp_path / training.CHECKPOINT).write_bytes(before)
    training.run(composed(*TINY, "steps=4", *given), tmp_path)
    read = event_accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    read.Reload()
    assert {"loss/total", "loss/validation.total"} <= set(read.Tags()["scalars"])
    assert [event.step for event in read.Scalars("loss/total")] == [0, 1, 2, 3, 4]
    assert read.Tags()["images"] == ["picture"]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["fast/net=smal"], "fast/net=smal: must be one of hzy46, johnson"),
        (["stpes=3"], "stpes: there is no such key; did you mean steps?"),
        (["net=hzy46"], "net: there is no such key; did you mean fast/net?"),
        (["net.name=johnson", "net.border=8"], "net.border=8: net=johnson uses up 40 pixels"),
        (["net.padding=none"], "net.padding=none: must be one of reflect, zero"),
        (["steps=0"], "steps=0: must be at least 1"),
        (["net.name=x"], "net.name=x: must be one of"),
        (["style_layers=[relu9_9]"], "style_layers: vgg19_slim has no layer 'relu9_9'"),
        (["data.size=32", "fast/net=johnson"], "data.size=32: net=johnson needs at least 41 x 41"),
        (["data.dir=missing"], "data.dir=missing: is not a folder"),
    ],
)
def test_bad_settings_are_one_line_and_leave_nothing(typed, said, tmp_path):
    if not typed[0].startswith(
        ("fast/net", "data.dir", "stpes", "net=")
    ):  # in this process: quicker
        with (
            initialize_config_dir(version_base="1.3", config_dir=str(cli.config_folder())),
            pytest.raises(InputError) as caught,
        ):
            training.run(check(compose("fast", overrides=[*TINY, *typed])), tmp_path / "run")
        assert str(caught.value).startswith(said)
        assert not (tmp_path / "run").exists()
        return
    process = run(*typed, cwd=tmp_path)
    _, error = process.communicate()
    assert process.returncode == 2
    assert error.strip().splitlines()[-1].startswith(f"nstrep: error: {said}")
    assert not list(tmp_path.rglob("*.csv"))


def test_a_checkpoint_of_anything_else_is_refused(composed, tmp_path):
    """Its state is data of other hands, and its arrays are measured before they are loaded."""
    import json

    made = Trainer(composed(*TINY))
    made.save(tmp_path / "good.npz")
    arrays = dict(np.load(tmp_path / "good.npz"))
    state = json.loads(arrays["facts"].tobytes())
    weights = next(name for name in arrays if name.startswith("mean."))
    wrong = [
        *({"facts": {**state, **other}} for other in (
            {"step": -1}, {"step": 1.5}, {"step": None}, {"seconds": "x"}, {"seconds": 10**400},
            {"skipped": []}, {"skipped": {"a": 1}}, {"identity": 3},
        )),
        {"facts": []}, {"facts": None},
        {weights: np.zeros((3, 3), np.float32)}, {weights: arrays[weights].astype(np.float64)},
        {weights: None},
    ]  # fmt: skip
    path = tmp_path / "checkpoint.npz"
    for changes in wrong:
        changed = {**arrays, **changes}
        if "facts" in changes and changes["facts"] is not None:
            text = json.dumps(changes["facts"]).encode()
            changed["facts"] = np.frombuffer(text, np.uint8)
        np.savez(path, **{name: array for name, array in changed.items() if array is not None})
        with pytest.raises(InputError, match=r"checkpoint.npz: is no checkpoint \(.*remove it"):
            made.restore(path)
    made.restore(tmp_path / "good.npz")
    assert made.step == 0
