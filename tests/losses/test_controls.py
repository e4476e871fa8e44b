"""Runs with the controls: several paintings, kept colours, masks."""

import json

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf
from PIL import Image

from nstrep.base.errors import InputError
from nstrep.config.checks import check
from nstrep.experiment import from_image, run
from nstrep.images import color, io
from tests.conftest import SMALL

SIZE = (32, 48)


@pytest.fixture
def halves(tmp_path):
    """Masks of the left and the right of chelsea, and of facets, as files."""
    for name, (width, height) in {"photo": (451, 300), "style": (1024, 812)}.items():
        left = np.zeros((height, width), dtype=np.uint8)
        left[:, : width // 2] = 255
        Image.fromarray(left).save(tmp_path / f"{name}_left.png")
        Image.fromarray(255 - left).save(tmp_path / f"{name}_right.png")
    return tmp_path


def masks(folder, kind, *names):
    return f"{kind}_masks=[{','.join(f'{folder}/{name}.png' for name in names)}]"


def again(picture, folder):
    """Run a result's experiment again, in this process."""
    stored, made_from = from_image.read_texts(picture)
    stored |= {
        "assets": {"download": "never"}, "from_image": None, "from_image_root": None,
        "resume": False, "checkpoint_seconds": None,
    }  # fmt: skip
    return run.run(check(OmegaConf.create(stored)), folder, made_from)


def test_a_blend_is_recorded_and_made_again(run_command, tmp_path, caplog):
    io.save_png(tmp_path / "mine.png", np.random.default_rng(1).random((40, 50, 3)))
    small = [argument for argument in SMALL if not argument.startswith("style=")]
    first = run_command(
        *small, "styles=[facets,mine.png]", "style_blend=[3,1]", f"hydra.run.dir={tmp_path}/a"
    )
    assert first.returncode == 0, first.stderr
    assert "chelsea in the style of facets (0.75) and mine (0.25): 48 x 32" in first.stderr
    metrics = json.loads((tmp_path / "a/metrics.json").read_text())
    assert metrics["style"]["name"] == "facets"
    mine = io.load_picture(tmp_path / "mine.png")
    assert (metrics["style2"]["name"], metrics["style2"]["sha256"]) == ("mine", mine.sha256)
    assert metrics["style2"]["source"] == str(tmp_path / "mine.png")
    again(tmp_path / "a/final.png", tmp_path / "b")
    assert (tmp_path / "b/final.png").read_bytes() == (tmp_path / "a/final.png").read_bytes()
    assert "is not the one" not in caplog.text
    io.save_png(tmp_path / "mine.png", np.random.default_rng(2).random((40, 50, 3)))
    again(tmp_path / "a/final.png", tmp_path / "c")
    assert "style2 is not the one of that run" in caplog.text


def test_regions_are_recorded_and_made_again(config, halves, tmp_path):
    settings = config(
        *SMALL,
        "styles=[facets]",
        masks(halves, "content", "photo_left", "photo_right"),
        masks(halves, "style", "style_right", "style_left"),
    )
    metrics = run.run(settings, tmp_path / "a")
    recorded = [key for key in metrics if "mask" in key]
    assert recorded == ["content_mask", "content_mask2", "style_mask", "style_mask2"]
    for key in recorded:
        assert metrics[key]["sha256"] == io.load_picture(metrics[key]["source"]).sha256
    curve = pd.read_csv(tmp_path / "a/curve.csv")
    regions = [name for name in curve if ".region" in name]
    assert len(regions) == 2 * len(settings.style_layers)
    np.testing.assert_allclose(curve[regions].sum(axis=1), curve["style_loss"], rtol=1e-6)
    stored, inputs = from_image.read_texts(tmp_path / "a/final.png")
    assert stored["content_masks"] == settings.content_masks
    assert inputs["style_mask2"]["sha256"] == metrics["style_mask2"]["sha256"]


def test_outside_of_a_mask_the_style_changes_nothing(config, halves, tmp_path):
    """With a layer that sees one pixel around, and no other loss, the rest stays the photo."""
    alone = ["style_layers=[relu1_1]", "content_weight=0", "tv_weight=0", "optimizer=sgd"]
    settings = config(*SMALL, *alone, masks(halves, "content", "photo_left"))
    run.run(settings, tmp_path / "a")
    raw, photo = np.load(tmp_path / "a/raw.npz")["rgb01"], run.load_inputs(settings).content_rgb01
    np.testing.assert_allclose(raw[:, 26:], photo[:, 26:], atol=1e-6)  # 24 columns are white
    assert (np.abs(raw - photo)[:, :22].mean(axis=2) > 1e-3).mean() > 0.9


def test_masks_can_follow_a_squashed_painting_and_any_recipe(config, halves, tmp_path):
    settings = config(
        *SMALL,
        "recipe=mxnet2016",
        "styles=[facets,swirls]",
        "color=histogram",
        masks(halves, "content", "photo_left", "photo_right"),
    )
    inputs = run.load_inputs(settings)
    assert [painting.shape for painting in inputs.styles_rgb01] == [(31, 48, 3)] * 2
    assert [len(region.sources) for region in inputs.regions] == [1, 1]
    metrics = run.run(settings, tmp_path / "a")
    assert metrics["losses"]["style_loss"] < metrics["losses_at_start"]["style_loss"]


@pytest.mark.parametrize("mode", ["histogram", "cholesky"])
def test_the_network_sees_paintings_in_the_photos_colours(config, mode):
    inputs = run.load_inputs(config(*SMALL, "styles=[facets,swirls]", f"color={mode}"))
    for painting in inputs.styles_rgb01:
        for ours, theirs in zip(color.statistics(painting), color.statistics(inputs.content_rgb01)):
            np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize(
    ("optimizer", "init"), [("lbfgs", "content"), ("adam", "noise"), ("lbfgs", "style")]
)
def test_the_luminance_alone_is_optimised(config, tmp_path, monkeypatch, optimizer, init):
    seen = []
    final = color.with_chrominance
    mode = color.Mode(
        color.grey_matched,
        color.grey,
        lambda result, photo: seen.append(result) or final(result, photo),
        luminance=True,
    )
    monkeypatch.setitem(color.MODES, "luminance", mode)
    settings = config(*SMALL, f"optimizer={optimizer}", f"init={init}", "color=luminance")
    metrics = run.run(settings, tmp_path / "a")
    assert metrics["losses"]["total"] < metrics["losses_at_start"]["total"]
    for result in seen:
        assert np.ptp(result, axis=2).max() < 1e-4  # grey to rounding
    raw = np.load(tmp_path / "a/raw.npz")["rgb01"]
    photo = run.load_inputs(settings).content_rgb01
    for channel in (0, 1, 2):  # the photo's chrominance, whatever the luminance
        np.testing.assert_allclose(
            raw[..., channel] - color.grey(raw)[..., 0],
            photo[..., channel] - color.grey(photo)[..., 0],
            atol=2e-3,
        )
    assert np.abs(color.grey(raw) - color.grey(photo)).mean() > 0.01


def test_a_result_without_the_youngest_keys_takes_their_defaults_and_what_is_typed(
    config, run_command, tmp_path
):
    blend = config(*SMALL, "styles=[facets,swirls]", "style_blend=[3,1]")
    stored = OmegaConf.to_container(OmegaConf.structured(blend))
    for key in ("color", "content_masks", "style_masks"):
        del stored[key]
    text = {from_image.CONFIG_TEXT: OmegaConf.to_yaml(stored), from_image.INPUTS_TEXT: "{}"}
    io.save_png(tmp_path / "old.png", np.zeros((8, 8, 3)), text)
    done = run_command("from_image=old.png", "style=lilies", f"hydra.run.dir={tmp_path}/a")
    assert done.returncode == 0, done.stderr
    assert "chelsea in the style of lilies: 48 x 32" in done.stderr
    run.run(config(*SMALL, "style=lilies"), tmp_path / "b")
    assert (tmp_path / "a/raw.npz").read_bytes() == (tmp_path / "b/raw.npz").read_bytes()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["styles=[vangog]"], r"styles=vangog: must be a file, or one of .*, vangogh"),
        (["styles=[missing.jpg]"], r"styles=missing.jpg: "),
        (["content_masks=[missing.png]"], r"content_masks=missing.png: "),
    ],
)
def test_what_cannot_be_read_is_named(config, overrides, message):
    with pytest.raises(InputError, match=message):
        run.load_inputs(config(*SMALL, *overrides))


def test_a_mask_of_another_shape_is_refused(config, halves):
    settings = config(*SMALL, "content=astronaut", masks(halves, "content", "photo_left"))
    with pytest.raises(InputError, match="is 451 x 300 pixels; allowed: 512 x 512, the size of"):
        run.load_inputs(settings)
