"""One pass of a trained network as a run: its losses, and that it is computed once."""

import dataclasses
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import skimage
from hydra import compose

from nstrep.analysis import run_reader
from nstrep.config.checks import check
from nstrep.fast import layouts, one_pass, training
from nstrep.fast.config import check as check_training
from nstrep.fast.graph import to_pixels
from nstrep.fast.network import Transformer
from nstrep.fast.training import Trainer
from nstrep.images import io

PAINTING = Path(skimage.__file__).with_name("data") / "coffee.png"
TRAINING = ("data.size=32", "style_size=48", f"style_image={PAINTING}", "steps=2")


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    io.save_png(path, io.resize_to(io.builtin("chelsea").rgb, 32, 32))
    return path


@pytest.fixture
def configured(hydra_ready, photo):
    def make(*typed):
        trained = check_training(compose("fast", [*TRAINING, *typed]))
        config = check(compose("config", [f"content_image={photo}", "max_long_edge=32"]))
        return one_pass.aligned(config, trained), trained

    return make


@pytest.mark.parametrize(
    "typed",
    [
        ("fast/recipe=quick",),
        ("fast/recipe=hzy46", "fast/net=small", "model=vgg19_slim"),
        ("fast/recipe=johnson", "fast/net=small", "model=vgg19_slim"),
    ],
    ids=["quick", "hzy46", "johnson"],
)
def test_the_losses_are_those_of_the_training(typed, configured, photo, tmp_path):
    config, trained = configured(*typed, *TRAINING)
    metrics = one_pass.run_once(config, trained, tmp_path / "pass", tmp_path / "network")
    state = Trainer(trained)
    state.restore(tmp_path / "network" / training.CHECKPOINT)
    rgb01 = io.load_picture(photo).rgb
    result = state.transformer(rgb01).clip(0, 1)
    losses, _ = state.losses(rgb01, to_pixels(result))
    assert metrics["losses"] == pytest.approx(losses, rel=1e-3)
    run = run_reader.load_run(tmp_path / "pass")
    assert run.status == "finished"
    assert run.curve["total"].iloc[0] == pytest.approx(losses["total"], rel=1e-3)
    assert np.abs(run.picture - result).max() < 1 / 255
    assert metrics["seconds"] > 0


def test_a_pass_and_its_training_are_made_once(configured, tmp_path, caplog):
    config, trained = configured()
    directory, network = tmp_path / "pass", tmp_path / "network"
    first = one_pass.run_once(config, trained, directory, network)
    assert one_pass.run_once(config, trained, directory, network) == first
    shutil.rmtree(directory)  # as if killed between the two
    stored = (network / "net.npz").stat().st_mtime_ns
    again = one_pass.run_once(config, trained, directory, network)
    assert again["losses"] == first["losses"]
    assert (network / "net.npz").stat().st_mtime_ns == stored
    other = dataclasses.replace(trained, lr=0.1)
    with caplog.at_level(logging.WARNING):
        changed = one_pass.run_once(config, other, directory, network)
    assert changed["losses"] != first["losses"]
    assert "starting again" in caplog.text
    net, parameters = layouts.load(network / "net.npz")
    assert np.isfinite(Transformer(net, parameters)(np.zeros((32, 32, 3)))).all()
