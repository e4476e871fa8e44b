"""Styles by name: blends, strength, colours, sheets, pipes, the files of results, and Python."""

import io as streams
import json
import sys

import numpy as np
import pytest
from PIL import Image

import nstrep
from nstrep.base.errors import InputError
from nstrep.fast import layouts, results, styles, stylize
from nstrep.fast.architectures import choose
from nstrep.fast.native import Network
from nstrep.images import io
from nstrep.images.color import with_chrominance
from tests.fast.test_fast_nets import drawn
from tests.fast.test_fast_stylize import command

NAMES = ("swirls", "wave", "ink")


@pytest.fixture
def shipped(rng, tmp_path, monkeypatch):
    """Stands in for the network in the package."""
    net = choose("many", styles=NAMES)
    parameters = drawn(net, rng)
    file = tmp_path / "net" / "styles.npz"
    file.parent.mkdir()
    layouts.save(file, net, parameters)
    card = {"styles": {"ink": {"title": "Ink", "painter": "drawn by this project"}}}
    file.with_suffix(".json").write_text(json.dumps(card))
    monkeypatch.setattr(styles, "SHIPPED", file)
    monkeypatch.chdir(tmp_path)
    return Network(net, parameters)


@pytest.fixture
def photo(rng, tmp_path):
    pixels = (rng.random((33, 40, 3)) * 255).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return pixels


def run(*arguments):
    return stylize.stylize(stylize.configured(list(arguments)))


def pixels_of(path):
    return np.asarray(Image.open(path))


@pytest.mark.parametrize(
    ("style", "weights", "name"),
    [
        ("ink", {"ink": 1}, "photo-ink.png"),
        ("swirls:0.5,wave:0.5", {"swirls": 0.5, "wave": 0.5}, "photo-swirls0.5+wave0.5.png"),
        ("swirls:1, wave:3", {"swirls": 0.25, "wave": 0.75}, "photo-swirls0.25+wave0.75.png"),
    ],
)
def test_a_style_by_name_needs_nothing_else(shipped, photo, style, weights, name):
    (written,) = run(f"style={style}", "image=photo.png")
    assert str(written) == f"results/fast/stylized/{name}"
    expected = io.to_uint8(shipped(photo.astype(np.float32) / np.float32(255), weights))
    np.testing.assert_array_equal(pixels_of(written), expected)
    about = json.loads(io.read_png_text(written)[results.TEXT])
    assert about["style"] == style
    assert about["image_sha256"] == io.load_picture("photo.png").sha256


def test_strength_and_colours(shipped, photo):
    rgb01 = photo.astype(np.float32) / np.float32(255)
    result = shipped(rgb01, "wave").clip(0, 1)
    (mixed,) = run("style=wave", "image=photo.png", "strength=0.25", "out=a.png")
    expected = io.to_uint8(0.75 * rgb01 + 0.25 * result)
    assert np.abs(pixels_of(mixed).astype(int) - expected).max() <= 1
    (none,) = run("style=wave", "image=photo.png", "strength=0", "out=b.png")
    np.testing.assert_array_equal(pixels_of(none), photo)
    (kept,) = run("style=wave", "image=photo.png", "color=luminance", "out=c.png")
    expected = io.to_uint8(with_chrominance(result, rgb01))
    np.testing.assert_array_equal(pixels_of(kept), expected)


def test_tiles_have_the_style_too(shipped, photo):
    (whole,) = run("style=wave:1,ink:1", "image=photo.png", "long_edge=90", "out=a.png")
    (tiled,) = run("style=wave:1,ink:1", "image=photo.png", "long_edge=90", "out=b.png", "tile=64")
    assert np.abs(pixels_of(whole).astype(int) - pixels_of(tiled)).max() <= 1


def test_one_sheet_of_all(shipped, photo):
    (sheet,) = run("style=all", "image=photo.png")
    assert sheet.name == "photo-all.png"
    height, width = pixels_of(sheet).shape[:2]
    assert height > width / 2 > 200  # the photo and three styles


def test_the_list(shipped, capsys):
    stylize.main(["--list"])
    assert capsys.readouterr().out == "swirls\nwave\nink     Ink, drawn by this project\n"
    with pytest.raises(SystemExit) as ended:
        stylize.main(["--list", "style=ink"])
    assert ended.value.code == 2
    assert "--list style=ink: can only be typed with model=" in capsys.readouterr().err


def test_the_styles_of_a_model(shipped, photo, tmp_path, capsys):
    model = f"model={styles.SHIPPED}"
    stylize.main(["--list", model])
    assert capsys.readouterr().out == "swirls\nwave\nink\n"
    (by_model,) = run(model, "style=ink", "image=photo.png", "out=a.png")
    (by_name,) = run("style=ink", "image=photo.png", "out=b.png")
    np.testing.assert_array_equal(pixels_of(by_model), pixels_of(by_name))


def test_pipes(shipped, photo, tmp_path):
    done = command(
        f"model={styles.SHIPPED}", "style=ink", "image=-", "out=-", cwd=tmp_path,
        given=(tmp_path / "photo.png").read_bytes(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (expected,) = run("style=ink", "image=photo.png")
    found = np.asarray(Image.open(streams.BytesIO(done.stdout)))
    np.testing.assert_array_equal(found, pixels_of(expected))
    assert done.stderr.startswith(b"stdout: 40 x 33 in ")
    done = command(
        f"model={styles.SHIPPED}", "style=ink", "image=-", "out=-", cwd=tmp_path, given=b"junk"
    )
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"nstrep: error: image=stdin: found no picture" in done.stderr


def test_no_arguments_is_usage_and_a_code(capsys):
    with pytest.raises(SystemExit) as ended:
        stylize.main([])
    assert ended.value.code == 2
    printed = capsys.readouterr()
    assert not printed.out
    assert "  style: style by name" in printed.err


@pytest.mark.parametrize(
    ("style", "said"),
    [
        (None, "style: no value is given; must be one or more of swirls, wave, ink"),
        ("waev", "style=waev: 'waev' must be one or more of swirls, wave, ink (did you mean wave?"),
        ("ink:x", "style=ink:x: the weight 'x' must be a number"),
        ("ink:-1", "style=ink:-1: the weight of ink must be at least 0"),
        ("ink:nan", "style=ink:nan: the weight of ink must be at least 0"),
        ("ink:0", "style=ink:0: must name each style once, and not all with 0"),
        ("ink,ink", "style=ink,ink: must name each style once"),
        ("", "style=: '' must be one or more of"),
        ({}, "style=: must name each style once"),
        ({"ink": "much"}, "style=ink:much: the weight of ink must be at least 0"),
        (3, "style=3: must be one or more of"),
    ],
)
def test_styles_that_cannot_be_are_one_line(shipped, style, said):
    with pytest.raises(InputError) as caught:
        styles.Stylizer().weights(style)
    assert str(caught.value).startswith(said)


def test_no_file_is_lost(shipped, photo, tmp_path):
    """An earlier result of the same image is replaced; nothing else without being told."""
    given = ["image=photo.png", "style=ink"]
    (first,) = run(*given, "out=made.png")
    assert run(*given, "strength=0.5", "out=made.png") == [first]
    (tmp_path / "other.png").write_bytes((tmp_path / "photo.png").read_bytes() + b"more")
    before = first.read_bytes()
    with pytest.raises(InputError, match=r"out: made.png exists and is no earlier result of image"):
        run("image=other.png", "style=ink", "out=made.png")
    assert first.read_bytes() == before
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "photo-ink.png").write_bytes(b"a drawing")
    with pytest.raises(InputError, match="photo-ink.png exists and is no earlier result"):
        run(*given, "out=made")
    assert (tmp_path / "made" / "photo-ink.png").read_bytes() == b"a drawing"
    assert run(*given, "out=made", "overwrite=true")
    with pytest.raises(InputError, match="photo.png is one of the pictures"):
        run(*given, "out=photo.png", "overwrite=true")


def test_pictures_of_several_folders_keep_them(shipped, photo, tmp_path):
    for folder in ("x", "y"):
        (tmp_path / "col" / folder).mkdir(parents=True)
        Image.fromarray(photo).save(tmp_path / "col" / folder / "a.png")
    written = run("image=col/*/*", "style=ink", "out=made")
    assert list(map(str, written)) == ["made/x/a-ink.png", "made/y/a-ink.png"]


def test_two_pictures_for_one_file_are_refused(tmp_path):
    sources = [results.Source(tmp_path / name) for name in ("a.jpg", "a.png", "a.jpg.png")]
    with pytest.raises(InputError, match=r"two pictures would be written to .*a.jpg.png"):
        results.plan(sources, str(tmp_path / "made"), "")


def test_names_of_styles_stay_inside_the_folder():
    assert results.label({"../x y": 1.0}) == "-.._x_y"


def test_from_python(shipped, photo, tmp_path):
    assert nstrep.fast_styles() == {"swirls": "", "wave": "", "ink": "Ink, drawn by this project"}
    expected = io.to_uint8(shipped(photo.astype(np.float32) / np.float32(255), "wave"))
    np.testing.assert_array_equal(nstrep.stylize_fast(photo, "wave"), expected)
    for image in (tmp_path / "photo.png", "photo.png", Image.fromarray(photo)):
        found = nstrep.stylize_fast(image, {"wave": 2})
        assert isinstance(found, Image.Image)
        np.testing.assert_array_equal(np.asarray(found), expected)
    for array in (photo.astype(np.float64) / 255, photo.astype(np.uint16) * 257):
        found = nstrep.stylize_fast(array, "wave")
        assert found.dtype == array.dtype
        share = found / (1 if array.dtype.kind == "f" else 65535)
        assert np.abs(share * 255 - expected).max() <= 0.51
    grey, alpha = photo[..., 0], np.dstack([photo, np.full_like(photo[..., 0], 255)])
    repeated = np.repeat(grey[..., None], 3, axis=2)
    np.testing.assert_array_equal(
        nstrep.stylize_fast(grey, "ink"), nstrep.stylize_fast(repeated, "ink")
    )
    np.testing.assert_array_equal(nstrep.stylize_fast(alpha, "wave"), expected)
    np.testing.assert_array_equal(nstrep.stylize_fast(photo, "wave", strength=0), photo)


@pytest.mark.parametrize(
    ("image", "settings", "said"),
    [
        (np.zeros((20, 20, 3), int), {}, "picture image: found a int64 array"),
        (None, {}, "picture image: found a object array"),
        (np.full((20, 20), 1.5), {}, "picture image: found values from 1.5 to 1.5"),
        (np.zeros((3, 20), np.uint8), {}, "image: net=many needs at least"),
        ("none.jpg", {}, "image=none.jpg: found no such file"),
        (np.zeros((20, 20)), {"strength": 2}, "strength=2: must be a number from 0 to 1"),
        (np.zeros((20, 20)), {"strength": "x"}, "strength=x: must be a number from 0 to 1"),
        (np.zeros((20, 20)), {"color": "sepia"}, "color=sepia: must be one of style, luminance"),
        (np.zeros((20, 20)), {"model": 3}, "model: must be a path, not int"),
        (np.zeros((20, 20)), {"model": "none.npz"}, "model=none.npz: there is no such file"),
    ],
)
def test_what_python_cannot_use_is_one_line(shipped, image, settings, said):
    with pytest.raises(InputError) as caught:
        nstrep.stylize_fast(image, "ink", **settings)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_a_network_that_gives_nan_is_named(shipped):
    stylizer = styles.Stylizer()
    stylizer._network = lambda rgb01, weights: np.full_like(rgb01, np.nan)
    with pytest.raises(InputError, match="model: the network of this package gives NaN"):
        stylizer(np.zeros((20, 20, 3), np.float32), {"ink": 1.0})


def test_the_bar_is_only_for_terminals(shipped, photo, monkeypatch):
    class Terminal(streams.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    run("style=ink", "image=photo.png", "out=a")
    assert "picture" not in sys.stderr.getvalue()
    Image.fromarray(photo).save("photo2.png")
    run("style=ink", "image=photo*.png", "out=b")
    assert "picture" in sys.stderr.getvalue()


@pytest.mark.skipif(not styles.SHIPPED.is_file(), reason="the package has no styles yet")
def test_the_styles_in_the_package(rng):
    for name in nstrep.fast_styles():
        found = nstrep.stylize_fast(rng.random((64, 64, 3)).astype(np.float32), name)
        assert found.std() > 0.02, name
