"""Paths on the command line: as the shell hands them over, whatever their characters."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from PIL import Image

from nstrep import cli
from nstrep.base.errors import InputError
from nstrep.config import fields
from nstrep.config.schema import ExperimentConfig
from nstrep.fast.config import TrainConfig
from nstrep.overrides import arranged, quoted_paths
from tests.conftest import SMALL

NAMES = (
    "plain.jpg", "ünïcödé.jpg", "中文.jpg", "emoji😀.jpg", "amp&.jpg", "hash#.jpg", "excl!.jpg",
    "quo'te.jpg", 'double".jpg', "both'\".jpg", "semi;.jpg", "tilde~.jpg", "a=1,b=2.jpg", "a b.jpg",
    "[x](y){z}.jpg", "100%.jpg", "$HOME.jpg", "back\\slash", "ends\\", "'quoted'", "line\nbreak",
    "01", "1e3", "true", "~", "a:b|c<d>*?",
)  # fmt: skip


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def values(override: str, schema: type = ExperimentConfig) -> list:
    """The values that Hydra reads after the paths have been quoted."""
    parsed = OverridesParser.create().parse_override(quoted_paths(override, schema))
    assert not parsed.is_sweep_override()
    return [parsed.value()]


@pytest.mark.parametrize("name", NAMES)
def test_an_existing_path_reaches_the_program_as_typed(here, name):
    (here / name).touch()
    for key in ("content_image", "+init", "from_image", "hydra.run.dir", "hydra.sweep.dir"):
        assert [str(value) for value in values(f"{key}={name}")] == [name]
    assert values(f"data.dir={name}", TrainConfig) == values(f"content_image={name}")


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("01", "1e3", "true", "~")])
def test_a_folder_of_results_need_not_exist(here, name):
    assert values(f"hydra.run.dir=new/{name}") == [f"new/{name}"]
    assert values(f"hydra.run.dir={name},c=3/run") == [f"{name},c=3/run"]


def test_items_of_lists_and_sweeps_are_paths_too(here):
    for name in ("中文.png", "ü&.png"):
        (here / name).touch()
    assert values("styles=[facets,中文.png, ü&.png]") == [["facets", "中文.png", "ü&.png"]]
    override = quoted_paths("content_image=中文.png,ü&.png")
    parsed = OverridesParser.create().parse_override(override)
    assert [item.text for item in parsed.value().list] == ["中文.png", "ü&.png"]


def test_tilde_is_the_home_folder_unless_there_is_such_a_file(here, monkeypatch):
    monkeypatch.setenv("HOME", str(here / "home ü"))
    (here / "home ü").mkdir()
    (here / "home ü" / "a.jpg").touch()
    for key in ("content_image", "hydra.run.dir", "weights.path"):
        assert values(f"{key}=~/a.jpg") == [str(here / "home ü" / "a.jpg")]
    assert values("hydra.run.dir=~/new") == [str(here / "home ü" / "new")]
    (here / "~").mkdir()
    (here / "~" / "a.jpg").touch()
    assert values("content_image=~/a.jpg") == ["~/a.jpg"]


def test_what_is_no_path_is_left_alone(here):
    (here / "a=1.png").touch()
    for untouched in (
        "from_image='a=1.png'", "lr=1,2", "init=noise,content", "content_image=null",
        "hydra.run.dir=null", "hydra.run.dir=out/${now:%Y}", "hydra.run.dir='b=1'",
        "content_image=a.png,b.png", "content_masks=[]", "weights.path=random", "content_image=",
        "styles=[a=1.jpg]", "seed=a=1.png",
    ):  # fmt: skip
        assert quoted_paths(untouched) == untouched


@pytest.mark.parametrize("value", ["a b" * 2000, "~nobody.of.this.name/a b.png", "a\nb c", "~"])
def test_a_path_that_cannot_be_is_left_to_whoever_reads_it(value, config):
    assert quoted_paths(f"content_image={value}").startswith("content_image=")
    named = config()
    named.content_image = value
    fields.absolute_paths(named)
    assert named.content_image


def test_names_that_cannot_be_used_are_refused(here):
    (here / "${x}.jpg").touch()
    with pytest.raises(InputError, match=r"content_image=\$\{x\}.jpg: must be a path without"):
        quoted_paths("content_image=${x}.jpg")
    with pytest.raises(InputError, match=r"content_image=\\udcff.jpg: must be UTF-8; rename"):
        arranged(["content_image=\udcff.jpg"])


def test_options_may_stand_between_overrides():
    typed = ["seed=1", "-m", "lr=1,2", "--config-dir", "more", "gpu=-1"]
    assert arranged(typed) == ["-m", "--config-dir", "more", "seed=1", "lr=1,2", "gpu=-1"]


def test_a_run_with_odd_names_and_its_rerun(run_command, tmp_path):
    photo = tmp_path / "中文 & 'ü'=1,#😀.jpg"
    Image.effect_mandelbrot((60, 40), (-2, -1, 1, 1), 50).convert("RGB").save(photo)
    folder = "runs/content_weight=5,40+x/content_weight=5,style=facets"
    first = run_command(
        *SMALL, f"content_image={photo.name}", f"hydra.run.dir={folder}", "hydra.job.chdir=true"
    )
    assert first.returncode == 0, first.stderr
    assert (tmp_path / folder / "final.png").is_file()
    again = run_command(f"from_image={folder}/final.png", "hydra.run.dir=ü")
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "ü/final.png").read_bytes() == (tmp_path / folder / "final.png").read_bytes()


@pytest.mark.parametrize(
    "command", [("nstrep.assets", "--list"), ("nstrep.plot", "--help"), ("nstrep.run", "--cfg=job")]
)
def test_a_closed_pipe_is_no_error(command):
    ours, theirs = os.pipe()
    os.close(ours)
    done = subprocess.run(
        [sys.executable, "-m", *command],
        env={**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[1])},
        stdout=theirs,
        stderr=subprocess.PIPE,
    )
    os.close(theirs)
    assert done.stderr == b""
    assert done.returncode in (0, 141)  # argparse writes its help whether or not it is read
