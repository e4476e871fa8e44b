"""from_image: what of the configuration inside a picture is taken, and what is refused."""

import json
import shutil

import numpy as np
import pytest
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf, open_dict

from nstrep.base.errors import InputError
from nstrep.config.checks import check
from nstrep.config.fields import absolute_paths
from nstrep.experiment import from_image
from nstrep.images import io


@pytest.fixture
def photo(tmp_path):
    """A picture outside the folder in which the tests work."""
    path = tmp_path / "elsewhere" / "photo.png"
    path.parent.mkdir()
    io.save_png(path, np.random.default_rng(0).random((20, 30, 3)))
    return path


@pytest.fixture
def work(tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


@pytest.fixture
def made(config, composed, work):
    """Write a final.png of a configuration, and compose a command line beside from_image."""
    from hydra import compose

    def make(*typed, inputs=None, **changed):
        stored = OmegaConf.to_container(OmegaConf.structured(config()))
        for key, value in changed.items():
            node, *rest = key.split("__")
            if rest:
                stored[node][rest[0]] = value
            else:
                stored[node] = value
        text = {
            from_image.CONFIG_TEXT: OmegaConf.to_yaml(stored, resolve=False),
            from_image.INPUTS_TEXT: json.dumps(inputs or {}),
        }
        io.save_png(work / "final.png", np.zeros((8, 8, 3)), text)
        whole = compose("config", ["from_image=final.png", *typed], return_hydra_config=True)
        HydraConfig.instance().set_config(whole)
        with open_dict(whole):
            del whole["hydra"]
        found = check(from_image.rerun(whole)[0])
        absolute_paths(found)
        return found

    return make


def recorded(path):
    return {"content": {"name": "x", "sha256": io.load_picture(path).sha256}}


@pytest.mark.parametrize(
    "key", ["content_image", "style_image", "init", "weights__path", "styles", "content_masks"]
)
def test_a_file_elsewhere_must_be_typed(made, photo, key):
    value = [str(photo)] if key.endswith("s") else str(photo)
    with pytest.raises(InputError) as caught:
        made(**{key: value}, inputs=recorded(photo))
    line = str(caught.value)
    typed = f"{key.replace('__', '.')}={f'[{photo}]' if key.endswith('s') else photo}"
    assert f"type {typed} beside it" in line
    assert "from_image=final.png: names" in line


def test_a_file_elsewhere_is_read_where_it_or_its_folder_is_named(made, photo):
    inputs = recorded(photo)
    typed = made(f"content_image={photo}", content_image=str(photo))
    assert typed.content_image == str(photo)
    rooted = made(f"from_image_root={photo.parent}", content_image=str(photo), inputs=inputs)
    assert rooted.content_image == str(photo)


def test_files_below_the_current_folder_or_the_home_of_assets_need_no_word(
    made, photo, work, monkeypatch
):
    shutil.copy(photo, work / "mine.png")
    inputs = recorded(photo)
    assert made(content_image=str(work / "mine.png"), inputs=inputs)
    monkeypatch.setenv("NSTREP_HOME", str(photo.parent))
    assert made(style_image=str(photo), inputs=inputs)


@pytest.mark.parametrize("way", ["../elsewhere/photo.png", "link.png", "folder/photo.png"])
def test_no_way_leads_out(made, photo, work, way):
    (work / "link.png").symlink_to(photo)
    (work / "folder").symlink_to(photo.parent)
    with pytest.raises(InputError, match="outside the current folder"):
        made(content_image=way, inputs=recorded(photo))


def test_a_file_that_has_changed_must_be_typed(made, photo, work):
    shutil.copy(photo, work / "mine.png")
    inputs = recorded(photo)
    io.save_png(work / "mine.png", np.zeros((20, 30, 3)))
    with pytest.raises(InputError, match=r"is not the file that it was made with.* type content_"):
        made(content_image=str(work / "mine.png"), inputs=inputs)
    assert made("content_image=mine.png", content_image=str(work / "mine.png"), inputs=inputs)


def test_the_environment_does_not_come_into_a_configuration(made, monkeypatch):
    monkeypatch.setenv("SECRET", "xyzzy")
    for key in ("recipe__source", "content_image", "seed"):
        with pytest.raises(InputError, match="is not taken from a result") as caught:
            made(**{key: "${oc.env:SECRET}"})
        assert "xyzzy" not in str(caught.value)


def test_what_is_not_in_the_schema_is_refused(made):
    for changed in ({"hydra": {"run": {"dir": "/tmp/x"}}}, {"pwned": 1}):
        with pytest.raises(InputError, match=r"from_image=final.png: .*(there is no such key)"):
            made(**changed)


def test_downloads_are_the_users_choice_alone(made):
    assert made(assets={"download": "always"}).assets.download == "never"
    assert made("assets.download=ask", assets={"download": "always"}).assets.download == "ask"


def test_a_picture_holds_no_choice_of_the_moment(config):
    text = from_image.texts(config("assets.download=ask"), {})[from_image.CONFIG_TEXT]
    assert not {"assets", "from_image", "from_image_root"} & set(OmegaConf.create(text))
    assert "content_weight" in text


def test_lists_inside_lists_are_refused(config):
    with pytest.raises(InputError, match="style_layers=.*must be a list without others"):
        config("style_layers=[[relu1_1]]")
