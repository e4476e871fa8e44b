"""Trained networks over pictures: whole, in tiles, from the command line and as ONNX."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import nstrep
from nstrep.base import process_memory
from nstrep.base.errors import InputError
from nstrep.fast import export, layouts, stylize, tiles
from nstrep.fast.architectures import NETS, choose
from nstrep.fast.graph import to_pixels, to_rgb01
from nstrep.fast.network import Transformer
from nstrep.images import io
from tests.fast.test_fast_nets import drawn, narrow


@pytest.mark.parametrize("tile", [16, 23, 200])
@pytest.mark.parametrize("name", NETS)
def test_tiles_leave_no_trace(name, tile, rng):
    transformer = Transformer(narrow(name), drawn(narrow(name), rng))
    picture = rng.random((47, 58, 3)).astype(np.float32)
    shares = []
    found = tiles.stylize(transformer, picture, tile, shares.append)
    np.testing.assert_allclose(found, transformer(picture), rtol=1e-4, atol=1e-4)
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_statistics_over_tiles_are_those_of_the_whole(rng):
    values = rng.normal(1000, 1, (3, 20, 30)).astype(np.float32)
    statistics = tiles.Statistics()
    for rows, columns in tiles.squares((20, 30), 7):
        statistics.add(values[:, rows, columns])
    exact = values.astype(np.float64)
    np.testing.assert_allclose(statistics.mean, exact.mean((1, 2)), rtol=1e-12)
    np.testing.assert_allclose(statistics.variance, exact.var((1, 2)), rtol=1e-9)


@pytest.fixture
def model(rng, tmp_path):
    net = NETS["small"]
    layouts.save(tmp_path / "net.npz", net, drawn(net, rng))
    return tmp_path


@pytest.fixture
def photos(rng, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, size in (("a.png", (40, 30)), ("b.jpg", (33, 35)), ("a.jpg", (30, 30))):
        pixels = (rng.random((*size, 3)) * 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / name)
    return folder


def command(*arguments, cwd, given=None):
    return subprocess.run(
        [sys.executable, "-m", "nstrep.fast.stylize", *arguments],
        cwd=cwd, capture_output=True, input=given, text=given is None,
        env={"PYTHONPATH": str(Path(nstrep.__file__).parents[1]), "PATH": ""},
    )  # fmt: skip


def test_a_folder_from_the_command_line(model, photos, tmp_path):
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing more")
    done = command(f"model={model}", f"image={photos}", "out=made", "tile=64", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "skipped: image=" in done.stderr
    assert f"nstrep: error: image={photos}: stylised 3, skipped 1\n" in done.stderr
    made = sorted(path.name for path in (tmp_path / "made").iterdir())
    assert made == ["a.jpg.png", "a.png.png", "b.png"]
    found = io.load_picture(tmp_path / "made" / "b.png").rgb
    net, parameters = layouts.load(model / "net.npz")
    photo = io.load_picture(photos / "b.jpg").rgb
    expected = Transformer(net, parameters)(photo).clip(0, 1)
    assert np.abs(found - expected).max() < 1 / 255


def test_patterns_sizes_and_names(model, photos, tmp_path):
    config = stylize.configured(
        [f"model={model / 'net.npz'}", f"image={photos}/*.jpg", f"out={tmp_path / 'o'}",
         "long_edge=50"]
    )  # fmt: skip
    written = stylize.stylize(config)
    assert [path.name for path in written] == ["a.png", "b.png"]
    assert io.load_picture(written[1]).rgb.shape == (47, 50, 3)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["style=x"], "image: no value is given"),
        (["model=x", "image=missing.jpg"], "image=missing.jpg: there is no such"),
        (["model=missing.npz", "image=photos"], "model=missing.npz: there is no such file"),
        (["model=photos", "image=photos"], "model=photos: holds no net.npz"),
        (["model=x", "image=x", "tiles=3"], "tiles: there is no such key"),
        (["model=x", "image=x", "tile=many"], "tile=many: must be auto or a whole number"),
        (["model=x", "image=x", "tile=-1"], "tile=-1: must be auto or a whole number"),
        (["model=x", "image=x", "tile=1"], "tile=1: must be 0, or at least 64 pixels"),
        (["model=x", "image=x", "strength=1.5"], "strength=1.5: must be at most 1"),
        (["model=x", "image=x", "strength=x"], "strength=x: must be a number"),
        (["model=x", "image=x", "color=sepia"], "color=sepia: must be one of style, luminance"),
        (["model=x", "image=x", "overwrite=y"], "overwrite=y: must be true or false"),
        (["model=.", "image=photos", "out=-"], "out=-: is one file for 3 pictures"),
        (["model=.", "image=photos/b.jpg", "out=b.jpg"], "out=b.jpg: results are PNG files"),
        (["model=.", "image=photos", "style=swirls"], "style=swirls: . has one style"),
        (["model"], "model: must be KEY=VALUE"),
        (["model=x", "image="], "image=: no value is given"),
        (["model=x", "imgae=x"], "imgae: there is no such key; did you mean image?"),
        (["model=x", "image=empty"], "image=empty: holds no picture (.jpg"),
        (["model=x", "image=photos/*.gif"], "image=photos/*.gif: there is no such"),
    ],
)
def test_bad_input_is_one_line(arguments, said, model, photos, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty" / "folder.jpg").mkdir(parents=True)
    with pytest.raises(InputError) as caught:
        stylize.stylize(stylize.configured(arguments))
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["model=x", "size=3x3"], "out: no value is given"),
        (["model=x", "out=y", "size=3"], "size=3: must be WIDTHxHEIGHT in pixels"),
        (["modle=x"], "modle: there is no such key; did you mean model? (one of model, out, size)"),
    ],
)
def test_bad_arguments_of_the_export_are_one_line(arguments, said, capsys):
    with pytest.raises(SystemExit) as ended:
        export.main(arguments)
    assert ended.value.code == InputError.exit_code
    assert capsys.readouterr().err == f"nstrep: error: {said}\n"


@pytest.mark.parametrize("main", [stylize.main, export.main])
def test_help_lists_the_keys(main, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["-h"])
    assert not ended.value.code
    assert "  model: run directory" in capsys.readouterr().out


def test_originals_are_not_written_over(model, photos):
    before = (photos / "a.png").read_bytes()
    config = stylize.configured([f"model={model}", f"image={photos}/a.png", f"out={photos}"])
    with pytest.raises(InputError, match=r"a.png is one of the pictures"):
        stylize.stylize(config)
    assert (photos / "a.png").read_bytes() == before
    config = stylize.configured([f"model={model}", f"image={photos}/b.jpg", f"out={photos}"])
    assert stylize.stylize(config) == [photos / "b.png"]


def test_transparent_grey_and_odd_pictures(model, photos, rng, tmp_path):
    alpha = (rng.random((31, 45, 4)) * 255).astype(np.uint8)
    Image.fromarray(alpha, "RGBA").save(photos / "b.png")
    Image.fromarray(alpha[..., 0], "L").save(photos / "grey.png")
    transformer = Transformer(*layouts.load(model / "net.npz"))
    for path in (photos / "b.png", photos / "grey.png"):
        given = [f"model={model}", f"image={path}", f"out={tmp_path / 'made'}"]
        (written,) = stylize.stylize(stylize.configured(given))
        found = io.load_picture(written).rgb
        rgb01 = io.load_picture(path).rgb  # over white, three channels
        assert found.shape == (31, 45, 3)
        assert np.abs(found - transformer(rgb01).clip(0, 1)).max() < 1 / 255


def test_tiles_where_the_whole_does_not_fit(model, photos, tmp_path, monkeypatch):
    config = stylize.configured([f"model={model}", f"image={photos}/a.jpg", f"out={tmp_path}/o"])
    assert stylize.tile_of(config, 30, 30) == 0
    monkeypatch.setattr(process_memory, "available", lambda: 30 * 30 * stylize.BYTES_PER_PIXEL)
    assert stylize.tile_of(config, 30, 30) == stylize.TILE
    config.tile = 0
    assert stylize.tile_of(config, 30, 30) == 0


def test_too_small_pictures_are_named(model, tmp_path):
    Image.fromarray(np.zeros((9, 60, 3), np.uint8)).save(tmp_path / "thin.png")
    given = [f"model={model}", f"image={tmp_path / 'thin.png'}", f"out={tmp_path / 'made'}"]
    with pytest.raises(InputError, match=r"thin.png: net=small needs at least 11 x 11 pixels"):
        stylize.stylize(stylize.configured(given))
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("name", NETS)
def test_onnx_gives_what_nstrep_gives(name, rng, tmp_path, monkeypatch):
    pytest.importorskip("onnx", reason="needs  pip install -e '.[onnx]'")
    runtime = pytest.importorskip("onnxruntime", reason="needs  pip install -e '.[onnx]'")
    net = narrow(name)
    monkeypatch.setattr(export.layouts, "load", lambda path: (net, parameters))
    parameters = drawn(net, rng)
    picture = rng.random((45, 54, 3)).astype(np.float32)
    path = export.export(tmp_path / "net.npz", tmp_path / "net.onnx", 45, 54)
    session = runtime.InferenceSession(str(path))
    given = {session.get_inputs()[0].name: to_pixels(picture)}
    found = to_rgb01(session.run(None, given)[0])
    expected = Transformer(net, parameters)(picture)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_the_styles_are_an_input_of_onnx(rng, tmp_path):
    pytest.importorskip("onnx", reason="needs  pip install -e '.[onnx]'")
    runtime = pytest.importorskip("onnxruntime", reason="needs  pip install -e '.[onnx]'")
    net = choose("many", styles=("swirls", "wave"))
    parameters = drawn(net, rng)
    layouts.save(tmp_path / "net.npz", net, parameters)
    picture = rng.random((45, 54, 3)).astype(np.float32)
    path = export.export(tmp_path / "net.npz", tmp_path / "net.onnx", 45, 54)
    session = runtime.InferenceSession(str(path))
    assert [given.name for given in session.get_inputs()] == ["image", "style"]
    assert session.get_modelmeta().custom_metadata_map == {"styles": '["swirls", "wave"]'}
    for weights in ([0, 1], [0.3, 0.7]):
        given = {"image": to_pixels(picture), "style": np.array([weights], np.float32)}
        found = to_rgb01(session.run(None, given)[0])
        expected = Transformer(net, parameters)(picture, weights)
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_export_in_half_precision(rng, tmp_path, capsys):
    net = choose("many", styles=("swirls", "wave"))
    layouts.save(tmp_path / "net.npz", net, drawn(net, rng))
    half = tmp_path / "half.npz"
    export.main([f"model={tmp_path / 'net.npz'}", f"out={half}"])
    assert layouts.load(half)[0] == net
    assert half.stat().st_size < 0.6 * (tmp_path / "net.npz").stat().st_size
    picture = rng.random((45, 54, 3)).astype(np.float32)
    results = [Transformer(*layouts.load(f))(picture, "wave") for f in (half, tmp_path / "net.npz")]
    np.testing.assert_allclose(*results, atol=0.02)
    with pytest.raises(SystemExit):
        export.main([f"model={half}", f"out={tmp_path / 'net.onnx'}"])
    assert "size: must be WIDTHxHEIGHT" in capsys.readouterr().err
