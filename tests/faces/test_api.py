"""nstrep.stylize, its page, and the log for TensorBoard."""

import re
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import hydra
import numpy as np
import pandas as pd
import pytest
from hydra.core.global_hydra import GlobalHydra
from PIL import Image

import nstrep
from nstrep.analysis import notebook
from nstrep.base.errors import InputError, ResultsError
from nstrep.experiment import run
from nstrep.images import io
from tests.conftest import SMALL

ROOT = Path(__file__).parents[2]

TINY = {"max_long_edge": 48, "max_num_epochs": 2, "stop_eps": 0, "model": "vgg19_slim"}


def test_the_page_runs_and_says_what_happens(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/python.md").read_text(), re.DOTALL)
    assert len(blocks) == 6
    names = {}
    for block in blocks:
        exec(compile(block, "docs/python.md", "exec"), names)
    said = capsys.readouterr().out
    assert "(43, 64, 3) float32" in said
    assert "callback" in said
    assert "content_wieght: there is no such key; did you mean content_weight?" in said
    assert "\nTrue\n" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cat.png", "halved"]
    assert names["totals"][-1] < names["totals"][0] / 2 <= names["totals"][-2]
    assert not GlobalHydra.instance().is_initialized()


def test_arrays_files_and_names_are_the_same_pictures(tmp_path):
    photo = io.builtin("chelsea")
    io.save_png(tmp_path / "photo.png", photo.rgb)
    found = [
        nstrep.stylize(content, "swirls", **TINY)
        for content in ("chelsea", tmp_path / "photo.png", np.asarray(photo.rgb))
    ]
    pixels = (photo.rgb * 255).round().astype(np.uint8)
    found.append(nstrep.stylize(pixels, "swirls", **TINY))
    for other in found[1:]:
        np.testing.assert_array_equal(other.raw, found[0].raw)
        np.testing.assert_array_equal(other.picture, found[0].picture)
    assert found[0].metrics["content"]["name"] == "chelsea"
    assert found[3].metrics["content"] | {"sha256": ""} == {
        "name": "array", "source": "an array", "sha256": "", "stand_in_for": None,
    }  # fmt: skip
    assert found[3].config["content"]["builtin"] is None
    assert found[0].directory is None
    assert isinstance(found[0].curve, pd.DataFrame)
    assert found[0].curve["epoch"].tolist() == [0, 1, 2]


def test_it_is_the_run_of_the_command_line(config, tmp_path):
    run.run(config(*SMALL, "content_weight=7", "optimizer=adam"), tmp_path / "a")
    again = nstrep.stylize(
        "chelsea", "swirls", optimizer="adam", content_weight=7, directory=tmp_path / "b",
        **{**TINY, "max_num_epochs": 3},
    )  # fmt: skip
    assert (tmp_path / "b/raw.npz").read_bytes() == (tmp_path / "a/raw.npz").read_bytes()
    final = np.asarray(Image.open(tmp_path / "a/final.png"))
    np.testing.assert_array_equal((again.picture * 255).round(), final)
    assert again.directory == tmp_path / "b"


def test_images_in_memory_are_read_wherever_files_are(tmp_path):
    tiny = {"max_long_edge": 48, "max_num_epochs": 1, "model": "vgg19_slim"}
    photo, style = (io.to_uint8(io.builtin(name).rgb) for name in ("coffee", "cubist_facets"))
    mask = np.zeros(photo.shape[:2], np.uint8)
    mask[:, : mask.shape[1] // 2] = 255
    images = {"photo": photo, "style": style, "mask": mask, "start": photo[..., 0]}
    files = {name: str(tmp_path / f"{name}.png") for name in images}
    for name, pixels in images.items():
        Image.fromarray(pixels).save(files[name])
    found = []
    for given in (files, images, {name: Image.open(file) for name, file in files.items()}):
        found.append(
            nstrep.stylize(
                given["photo"], styles=[given["style"], "swirls"], init=given["start"],
                content_masks=[given["mask"]], **tiny,
            )
        )  # fmt: skip
    for other in found[1:]:
        np.testing.assert_array_equal(other.raw, found[0].raw)
    assert found[1].config["styles"] == ["array", "swirls"]
    assert found[1].config["init"] == "array"
    assert found[1].metrics["content_mask"]["source"] == "an array"


@pytest.mark.parametrize(
    ("arguments", "settings", "message"),
    [
        (("chelse", "swirls"), {}, "content=chelse: must be a file, an array, or one of"),
        (("chelsea", "no.png"), {}, "no.png"),
        (("chelsea", "swirls"), {"recipe": "gatys"}, "recipe=gatys: must be one of"),
        (("chelsea", "swirls"), {"content_weight": -1}, "content_weight=-1: must be at least 0"),
        (("chelsea", "swirls"), {"seed": "x"}, "seed=x: must be a whole number"),
        (("chelsea", "swirls"), {"content_image": "a.png"}, "content: is given twice"),
        (("chelsea", "swirls"), {"logger": "wandb"}, "logger=wandb: must be one of"),
        ((np.zeros((4, 4, 5)), "swirls"), {}, "picture content: found a float64 array"),
        (("chelsea", "swirls"), {"init": np.zeros((4, 4), int)}, "picture init: found a int64"),
        (("chelsea",), {"styles": np.zeros((4, 4))}, "styles: must be a list of images"),
        (
            ("chelsea", "swirls"),
            {"styles": ["facets"]},
            "style=swirls, styles: only one can be given",
        ),
        (("chelsea", "swirls"), {"directory": ""}, "directory='': is no path"),
        ((), {"from_image": "no.png"}, "from_image=no.png: found no such file"),
        ((np.full((40, 40, 3), 2.0), "swirls"), {}, "found values from 2 to 2"),
    ],
)
def test_what_cannot_be_used_is_one_line(arguments, settings, message):
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        nstrep.stylize(*arguments, **settings)
    assert "\n" not in str(caught.value)


def test_a_saved_result_is_made_again(tmp_path):
    first = nstrep.stylize("chelsea", styles=["facets", "swirls"], seed=3, **TINY)
    first.save(tmp_path / "saved.png")
    again = nstrep.stylize(from_image=tmp_path / "saved.png")
    np.testing.assert_array_equal(again.raw, first.raw)
    assert again.config | {"from_image": None} == first.config
    photo = np.zeros((40, 40), np.uint8)
    other = nstrep.stylize(photo, from_image=tmp_path / "saved.png", max_num_epochs=1)
    assert other.metrics["content"]["name"] == "array"
    assert (other.config["seed"], other.config["styles"]) == (3, ["facets", "swirls"])
    with pytest.raises(InputError, match="recipe=keras: cannot be combined with from_image"):
        nstrep.stylize(from_image=tmp_path / "saved.png", recipe="keras")


def test_results_show_themselves_in_a_notebook(tmp_path):
    result = nstrep.stylize("chelsea", "swirls", **TINY, directory=tmp_path / "sweep/<b>")
    nstrep.stylize("chelsea", "facets", **TINY, directory=tmp_path / "sweep/second")
    total = f"total loss {result.curve['total'].iloc[-1]:.4g}>"
    ended = f"finished (max_num_epochs), 48 x 32 pixels, 2 epochs, {total}"
    assert repr(result) == f"<Stylized chelsea in the style of swirls: {ended}"
    run, sweep = nstrep.load_run(result.directory), nstrep.load_sweep(tmp_path / "sweep")
    assert repr(run) == f"<Run {result.directory}: {ended}"
    assert repr(sweep) == f"<Sweep {tmp_path / 'sweep'}: 2 runs over style>"
    for each in (result, run):
        with Image.open(BytesIO(each._repr_png_())) as picture:
            assert (picture.format, picture.size) == ("PNG", (48, 32))
    page = sweep._repr_html_()
    assert page.count("<tr>") == 3
    assert page.count('<img src="data:image/webp;base64,') == 2
    assert 'alt="&lt;b&gt;"' in page
    assert "<b>" not in page
    assert "<td>swirls</td><td>finished</td><td>2</td>" in page
    (result.directory / "final.png").write_bytes(b"no picture")
    assert run._repr_png_() is None
    assert sweep._repr_html_().count("<img ") == 1


def test_a_large_picture_is_shown_small():
    shown = notebook.png(np.zeros((600, 1200, 3), np.float32))
    with Image.open(BytesIO(shown)) as picture:
        assert picture.size == (512, 256)


def test_a_result_is_saved_in_the_format_of_the_name(tmp_path):
    result = nstrep.stylize("chelsea", "swirls", **TINY, directory=tmp_path / "run")
    assert (tmp_path / "run/final.png").read_bytes() == result.png
    for name in ("a.jpg", "a.webp", "a.PNG"):
        result.save(tmp_path / name)
        with Image.open(tmp_path / name) as picture:
            assert picture.size == (48, 32)
    assert (tmp_path / "a.PNG").read_bytes() == result.png
    with pytest.raises(InputError, match=r"a.txt: must end in .png, .jpg or .webp"):
        result.save(tmp_path / "a.txt")
    with pytest.raises(ResultsError, match="No such file"):
        result.save(tmp_path / "none/a.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.PNG", "a.jpg", "a.webp", "run"]


def test_arrays_of_numpy_are_lists():
    layers = np.array(["relu1_1", "relu2_1"])
    result = nstrep.stylize("chelsea", "swirls", style_layers=layers, **TINY)
    assert result.config["style_layers"] == ["relu1_1", "relu2_1"]


def test_an_interrupt_returns_what_was_reached():
    def stop(step):
        if step.epoch == 2:
            raise KeyboardInterrupt

    result = nstrep.stylize("chelsea", "swirls", **TINY, callback=stop)
    assert result.metrics["status"] == "interrupted"
    assert result.curve["epoch"].tolist() == [0, 1, 2]
    assert result.picture.shape == result.raw.shape == (32, 48, 3)


def test_an_interrupt_before_the_start_is_raised(monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "problem", stop)
    with pytest.raises(KeyboardInterrupt):
        nstrep.stylize("chelsea", "swirls", **TINY)


def test_threads_take_turns():
    def one(seed):
        return nstrep.stylize("chelsea", "swirls", **TINY, seed=seed).metrics["seed"]

    with ThreadPoolExecutor(3) as pool:
        assert [*pool.map(one, range(3))] == [0, 1, 2]


def test_a_folder_that_cannot_be_is_one_line(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"directory='a\\x00b': is no path"):
        nstrep.stylize("chelsea", "swirls", **TINY, directory="a\0b")
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(InputError, match="the current folder no longer exists"):
        nstrep.stylize("chelsea", "swirls", **TINY)
    monkeypatch.chdir(tmp_path)


def test_another_programs_hydra_is_left_alone(tmp_path):
    from hydra.core.utils import JobRuntime
    from hydra.version import VersionBase

    (tmp_path / "theirs.yaml").write_text("answer: 42\n")
    with hydra.initialize_config_dir(
        version_base="1.2", config_dir=str(tmp_path), job_name="theirs"
    ):
        nstrep.stylize("chelsea", "swirls", **TINY)
        assert hydra.compose("theirs").answer == 42
        assert JobRuntime.instance().get("name") == "theirs"
        assert str(VersionBase.instance().getbase()) == "1.2"


def test_importing_the_package_loads_neither_mxnet_nor_hydra(run_python):
    code = "import nstrep, sys; print(sorted({'mxnet', 'hydra', 'pandas'} & set(sys.modules)))"
    assert run_python(code).strip() == "[]"


def test_tensorboard_reads_back_losses_and_pictures(config, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    overrides = (*SMALL, "logger=tensorboard", "save_epochs=2")
    run.run(config(*overrides), tmp_path / "a")
    log = EventAccumulator(str(tmp_path / "a/tensorboard"))
    log.Reload()
    curve = pd.read_csv(tmp_path / "a/curve.csv")
    for name in [column for column in curve if column == "total" or "_loss" in column]:
        found = log.Scalars(f"loss/{name}")
        assert [event.step for event in found] == [0, 1, 2, 3]
        assert [event.value for event in found] == pytest.approx(curve[name].tolist(), rel=1e-6)
    for name in ("eps", "gradient_norm"):
        expected = curve[name].dropna().tolist()
        assert [event.value for event in log.Scalars(name)] == pytest.approx(expected, rel=1e-6)
    pictures = log.Images("picture")
    assert [event.step for event in pictures] == [0, 2, 3]
    (tmp_path / "last.png").write_bytes(pictures[-1].encoded_image_string)
    shown = np.asarray(Image.open(tmp_path / "last.png"))
    np.testing.assert_array_equal(shown, np.asarray(Image.open(tmp_path / "a/final.png")))


def test_without_a_logger_there_is_no_log(small, tmp_path):
    run.run(small, tmp_path / "a")
    assert not (tmp_path / "a/tensorboard").exists()
