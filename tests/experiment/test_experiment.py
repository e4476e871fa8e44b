import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from nstrep.base.errors import DivergedError, InputError
from nstrep.config.schema import ExperimentConfig
from nstrep.experiment import from_image, image_inputs, network_input, results, run
from nstrep.images import io
from nstrep.networks.vgg import ARCHITECTURES
from tests.conftest import SMALL


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """One small run with snapshots and a filter, and its metrics."""
    from hydra import compose, initialize_config_dir

    from nstrep import cli
    from nstrep.config.checks import check

    with initialize_config_dir(version_base="1.3", config_dir=str(cli.config_folder())):
        overrides = [*SMALL, "save_epochs=2", "remove_noise=0.1"]
        config = check(compose("config", overrides=overrides))
    folder = tmp_path_factory.mktemp("run") / "a"
    return folder, run.run(config, folder), config


def test_the_run_directory_is_complete(done):
    folder, _, _ = done
    assert files(folder) == {
        "config.yaml", "curve.csv", "raw.npz", "final.png", "loss.png", "metrics.json",
        "checkpoint.npz", "snapshots/epoch_00002.png",
    }  # fmt: skip


def test_the_curve_has_a_row_an_epoch_with_every_named_loss(done):
    curve = pd.read_csv(done[0] / "curve.csv")
    assert curve["epoch"].tolist() == [0, 1, 2, 3]
    layers = [column for column in curve if column.startswith("style_loss.")]
    assert {f"style_loss.relu{block}_1" for block in range(1, 6)} <= set(layers)
    for column in ("seconds", "lr", "eps", "content_loss", "tv_loss", *layers):
        assert column in curve
    assert curve["style_loss"].to_numpy() == pytest.approx(curve[layers].sum(axis=1), rel=1e-6)
    branches = curve[["content_loss", "style_loss", "tv_loss"]].sum(axis=1)
    assert curve["total"].to_numpy() == pytest.approx(branches, rel=1e-6)
    assert curve["total"].is_monotonic_decreasing
    assert curve["seconds"].is_monotonic_increasing


def test_what_runs_of_a_process_share_changes_no_byte(config, tmp_path):
    one, two = ([*SMALL, "style=swirls", f"content_weight={weight}"] for weight in (7, 8))
    run.run(config(*one), tmp_path / "before")
    run.run(config(*two), tmp_path / "shared")
    network_input._network.cache_clear()
    network_input._weights.cache_clear()
    image_inputs.load_file.cache.clear()
    run.run(config(*two), tmp_path / "alone")
    shared, alone = ((tmp_path / name / "raw.npz").read_bytes() for name in ("shared", "alone"))
    assert shared == alone


def test_the_metrics_are_those_of_the_files(done):
    folder, returned, _ = done
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["status"] == "finished"
    assert metrics["stop_reason"] == "max_num_epochs"
    assert metrics["epochs"] == 3
    curve = pd.read_csv(folder / "curve.csv")
    assert metrics["losses"]["total"] == pytest.approx(curve["total"].iloc[-1], rel=1e-6)
    assert metrics["losses_at_start"]["total"] == pytest.approx(curve["total"][0], rel=1e-6)
    assert metrics["losses"] == returned["losses"]
    assert metrics["content"]["sha256"] == io.builtin("chelsea").sha256
    assert metrics["model"]["name"] == "vgg19_slim"
    assert len(metrics["model"]["sha256"]) == 64
    assert metrics["versions"]["mxnet"] == "1.9.1"
    assert metrics["peak_memory_mb"] > 10
    final = np.asarray(Image.open(folder / "final.png"), dtype=float) / 255
    photo = io.resize_long_edge(io.builtin("chelsea").rgb, 48)
    again = results.compare(final.astype(np.float32), photo)
    assert metrics["ssim"] == pytest.approx(again["ssim"], abs=0.01)
    assert metrics["psnr"] == pytest.approx(again["psnr"], abs=0.1)


def test_the_raw_result_is_the_unfiltered_one(done):
    from nstrep.images.filters import remove_noise

    folder, _, _ = done
    raw = np.load(folder / "raw.npz")["rgb01"]
    final = np.asarray(Image.open(folder / "final.png"))
    assert raw.shape == final.shape == (32, 48, 3)
    np.testing.assert_array_equal(io.to_uint8(remove_noise(raw, 0.1, "tv")), final)
    assert np.abs(io.to_uint8(np.clip(raw, 0, 1)).astype(int) - final).max() > 5


def test_the_saved_configuration_is_the_one_that_ran(done):
    from omegaconf import OmegaConf

    folder, _, config = done
    stored = OmegaConf.create(yaml.safe_load((folder / "config.yaml").read_text()))
    assert OmegaConf.to_object(OmegaConf.merge(ExperimentConfig, stored)) == config


def test_a_result_can_be_made_again_from_its_picture(done, run_command, tmp_path):
    folder, _, _ = done
    again = run_command(f"from_image={folder / 'final.png'}", f"hydra.run.dir={tmp_path}/again")
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "again/final.png").read_bytes() == (folder / "final.png").read_bytes()
    assert (tmp_path / "again/raw.npz").read_bytes() == (folder / "raw.npz").read_bytes()


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(config, tmp_path):
    noise = (*SMALL, "init=noise", "weights.path=random")
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run.run(config(*noise, f"seed={seed}"), tmp_path / name)
    first, second, other = ((tmp_path / name / "raw.npz").read_bytes() for name in "abc")
    assert first == second
    assert first != other


def test_a_folder_that_holds_a_run_is_refused(done, small):
    before = (done[0] / "metrics.json").read_bytes()
    with pytest.raises(InputError, match="holds a run already"):
        run.run(small, done[0])
    assert (done[0] / "metrics.json").read_bytes() == before


def test_a_diverged_run_keeps_curve_and_last_picture_but_no_result(config, tmp_path):
    overrides = (*SMALL, "optimizer=sgd", "lr=1e30", "save_epochs=0", "basis=pixels")
    with pytest.raises(DivergedError) as caught:
        run.run(config(*overrides), tmp_path / "a")
    assert "lr=1e+30 too high" in str(caught.value)
    assert files(tmp_path / "a") == {
        "config.yaml", "curve.csv", "raw.npz", "last_good.png", "loss.png", "metrics.json",
    }  # fmt: skip
    metrics = json.loads((tmp_path / "a/metrics.json").read_text())
    assert metrics["status"] == "diverged"
    assert "epoch 1" in metrics["stop_reason"]
    assert len(pd.read_csv(tmp_path / "a/curve.csv")) == 1


@pytest.mark.parametrize("optimizer", ["sgd", "nag", "adam", "lbfgs"])
def test_every_optimiser_lowers_the_loss(config, tmp_path, optimizer):
    metrics = run.run(config(*SMALL, f"optimizer={optimizer}"), tmp_path / "a")
    assert metrics["losses"]["total"] < metrics["losses_at_start"]["total"]


@pytest.mark.parametrize("init", ["content", "style", "noise"])
def test_every_start(config, tmp_path, init):
    metrics = run.run(config(*SMALL, f"init={init}"), tmp_path / "a")
    if init == "content":
        assert metrics["losses_at_start"]["content_loss"] < 1e-6
    else:
        assert metrics["losses_at_start"]["content_loss"] > 1e-3
    assert metrics["losses"]["total"] < metrics["losses_at_start"]["total"]


def test_a_start_from_a_file(config, tmp_path):
    inputs = run.load_inputs(config(*SMALL, "init=style"))
    io.save_png(tmp_path / "start.png", inputs.styles_rgb01[0])
    given = run.load_inputs(config(*SMALL, f"init={tmp_path / 'start.png'}"))
    difference = np.abs(given.start - inputs.start)
    assert difference.max() < 2  # grey levels: the file has 8 bits
    assert difference.mean() < 0.5


def test_squashing_and_keeping_the_style(config):
    kept = run.load_inputs(config(*SMALL, "style_scale=0.75"))
    assert kept.styles_rgb01[0].shape == (29, 36, 3)
    squashed = run.load_inputs(config(*SMALL, "preprocess.style_shape=squash"))
    assert squashed.styles_rgb01[0].shape == squashed.content_rgb01.shape == (32, 48, 3)


def test_a_picture_too_small_for_the_deepest_layer_is_refused(config):
    with pytest.raises(InputError, match=r"max_long_edge=20: relu5_1 needs .* 16 x 16 pixels"):
        run.load_inputs(config(*SMALL, "max_long_edge=20"))
    run.load_inputs(config(*SMALL, "max_long_edge=24", "style_layers=[relu3_1]"))


def test_a_misspelt_style_of_several(config):
    with pytest.raises(InputError, match=r"styles=swirl: .*\(did you mean swirls\?\)"):
        run.load_inputs(config("styles=[facets,swirl]", "model=vgg19_slim"))


def test_the_stand_in_is_named_in_the_result(config, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("NSTREP_HOME", str(tmp_path))
    overrides = [item for item in SMALL if not item.startswith("style=")]
    inputs = run.load_inputs(config(*overrides, "style=vangogh"))
    assert inputs.styles[0].stand_in_for == "The Starry Night, Vincent van Gogh, 1889"
    assert inputs.styles[0].label == "vangogh (stand-in: starry_swirls)"
    assert inputs.content.label == "chelsea"
    assert "starry_swirls stands in for it" in caplog.text


def test_no_gpu_is_said_before_any_work(config):
    with pytest.raises(InputError, match="gpu=0: this MXNet is built without CUDA; take gpu=-1"):
        run.load_inputs(config(*SMALL, "gpu=0"))


def test_pictures_survive_the_way_to_the_network_and_back(rng):
    from nstrep.experiment import image_inputs

    rgb01 = rng.uniform(size=(5, 7, 3)).astype(np.float32)
    for scale in (255.0, 256.0):
        there = image_inputs.to_vgg_input(rgb01, scale)
        assert there.shape == (1, 3, 5, 7)
        assert there[0, 0, 2, 3] == pytest.approx(rgb01[2, 3, 0] * scale - 123.68, abs=1e-4)
        np.testing.assert_allclose(image_inputs.to_rgb01(there, scale), rgb01, atol=1e-6)


@pytest.mark.parametrize("method", ["tv", "gaussian"])
def test_the_filter_removes_specks_and_keeps_the_mean(rng, method):
    from nstrep.images.filters import remove_noise

    noisy = np.clip(0.5 + rng.normal(0, 0.1, (32, 32, 3)), 0, 1)
    strengths = {"tv": 0.2, "gaussian": 1.0}
    filtered = remove_noise(noisy, strengths[method], method)
    assert filtered.std() < 0.5 * noisy.std()
    assert filtered.mean() == pytest.approx(noisy.mean(), abs=0.005)
    np.testing.assert_array_equal(
        remove_noise(noisy * 3 - 1, 0, method), np.clip(noisy * 3 - 1, 0, 1)
    )


def test_a_result_is_filtered_again_without_optimising(done, capsys):
    from nstrep import denoise

    folder, _, _ = done
    denoise.main([str(folder), "--tv", "0.1", "0.3", "--gaussian", "1"])
    assert len(capsys.readouterr().out.splitlines()) == 3
    same = np.asarray(Image.open(folder / "denoised/tv_0.1.png"))
    np.testing.assert_array_equal(same, np.asarray(Image.open(folder / "final.png")))
    stronger = np.asarray(Image.open(folder / "denoised/tv_0.3.png"), dtype=float)
    assert (
        np.abs(np.diff(stronger, axis=1)).mean()
        < np.abs(np.diff(same.astype(float), axis=1)).mean()
    )
    with pytest.raises(SystemExit) as caught:
        denoise.main([str(folder / "snapshots"), "--tv", "0.1"])
    assert caught.value.code == 2
    assert "raw.npz: is not the raw result of a run" in capsys.readouterr().err


def test_other_inputs_than_then_are_named(config, tmp_path, caplog):
    first = run.run(config(*SMALL), tmp_path / "a")
    _, made_from = from_image.read_texts(tmp_path / "a/final.png")
    assert made_from["content"]["sha256"] == first["content"]["sha256"]
    run.run(config(*SMALL), tmp_path / "b", made_from)
    assert "is not the one of that run" not in caplog.text
    run.run(config(*SMALL, "content=coffee"), tmp_path / "c", made_from)
    assert "content is not the one of that run: skimage.data.coffee" in caplog.text
    assert "style is not" not in caplog.text


def test_a_network_without_weights_of_its_own_needs_a_path(config, monkeypatch):
    monkeypatch.setitem(ARCHITECTURES, "mine", ARCHITECTURES["vgg19_slim"])
    settings = config()
    settings.model.name = "mine"
    with pytest.raises(InputError, match="^model=mine: has no weights of its own; weights.path "):
        network_input.load_network(settings)
