"""What is special about a key is declared with its field, and nowhere else."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest
from omegaconf import OmegaConf

from nstrep.config.fields import (
    absolute_paths,
    changes_losses,
    declared,
    flatten,
    group,
    known_keys,
    number,
    split_override,
    text,
    walk,
)
from nstrep.config.schema import ExperimentConfig
from nstrep.experiment.from_image import CONFIG_TEXT, texts
from nstrep.experiment.identity import identity_of, settings_of
from nstrep.fast.config import TrainConfig
from nstrep.fast.settings import StylizeConfig

INPUTS = {
    "content": {"name": "photo", "source": "a.png", "sha256": "c" * 64, "stand_in_for": None},
    "style": {"name": "painting", "source": "b.png", "sha256": "a" * 64, "stand_in_for": "x"},
    "model": {"name": "vgg19_slim", "source": "slim.npz", "sha256": "d" * 64},
}
RANDOM = {"model": {"name": "vgg16", "source": "random", "sha256": "e" * 64}}


@dataclass
class Inner:
    first: int = number("first number", at_least=1)
    second: str = text("second text", identity=True)


@dataclass
class Schema:
    """A schema of this test alone."""

    plain: int = number("plain number", section="One", at_most=5)
    newer: dict[str, Any] = text("setting that older runs do not have", absent={})
    picture: str | None = text("image file", file=True, words=("none",))
    pictures: list[str] = text("image files", file=True, names_of="style", identity=False)
    mine: str = text("folder of the user", section="Two", file=True, stored=False, identity=False)
    inner: Inner = group(identity=False, stored=False, changes="formula")


def made(**changed) -> Schema:
    values = {"plain": 1, "newer": {}, "picture": "a.png", "pictures": [], "mine": "x"}
    return Schema(**(values | changed), inner=Inner(2, "b"))


def test_keys_have_the_properties_of_their_fields_and_groups():
    keys = declared(Schema)
    assert list(keys) == [
        "plain", "newer", "picture", "pictures", "mine", "inner", "inner.first", "inner.second",
    ]  # fmt: skip
    assert known_keys(Schema) == [name for name in keys if name != "inner"]
    assert [key.section for key in keys.values()] == ["One"] * 4 + ["Two"] * 4
    assert (keys["inner"].is_group, keys["inner.first"].is_group) == (True, False)
    assert (keys["inner.first"].identity, keys["inner.second"].identity) == (False, True)
    assert (keys["inner.first"].stored, keys["inner.first"].changes) == (False, "formula")
    assert [key.name for key in keys.values() if key.is_list] == ["pictures"]
    assert keys["picture"].is_path("a.png")
    assert not any(keys["picture"].is_path(value) for value in ("none", None, 3))
    assert not keys["pictures"].is_path("vangogh")
    assert [(key.name, value) for key, value in walk(made())][-1] == ("inner.second", "b")


def test_a_declared_key_is_treated_as_declared(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert settings_of(made()) == {"plain": 1, "picture": "file", "inner.second": "b"}
    assert settings_of(made(newer={"a": 1}, picture="none")) == {
        "plain": 1, "newer": {"a": 1}, "picture": "none", "inner.second": "b",
    }  # fmt: skip
    config = made(pictures=["vangogh", "b.png", str(tmp_path / "c.png")])
    absolute_paths(config)
    assert config.picture == str(tmp_path / "a.png")
    assert config.pictures == ["vangogh", str(tmp_path / "b.png"), str(tmp_path / "c.png")]
    assert config.mine == "x"
    stored = OmegaConf.create(texts(made(), {})[CONFIG_TEXT])
    assert list(stored) == ["plain", "newer", "picture", "pictures"]


def test_an_unknown_property_is_refused():
    @dataclass
    class Wrong:
        key: Any = text("some key", fiel=True)

    with pytest.raises(TypeError, match="fiel"):
        declared(Wrong)


@pytest.mark.parametrize("schema", [ExperimentConfig, TrainConfig, StylizeConfig])
def test_every_key_has_a_help_text_that_is_a_phrase(schema):
    half = r"(of|after|over|by|for|from|at|in|to|under|with|which|what|whose|where|who) "
    for key in declared(schema).values():
        if not key.is_group:
            assert re.match(r"[a-z\[]|VGG ", key.about), key.name
            assert not re.match(half, key.about), key.name
            assert re.search(r" .*[^.]$", key.about), key.name
    if schema is ExperimentConfig:
        assert all(key.section for key in declared(schema).values())


@pytest.mark.parametrize(
    ("overrides", "inputs", "identity"),
    [
        (["pooling=avg"], {}, "e612c65e9c1cf419fdc10919be14db14d788bec907de07a8af3541bbf6e0a54f"),
        (
            ["recipe=gatys2016", "optimizer=adam", "lr=5", "init=/x/y.png",
             "styles=[swirls,facets]"],
            {},
            "bdf97b0e2b55ffcdc8a1db5e38ba67519fd2451c702ae70791aa39ecf352a2bd",
        ),
        (
            ["recipe=mxnet2015", "color=luminance", "content_masks=[m.png]", "seed=3",
             "model=vgg16", "weights.path=random"],
            RANDOM,
            "81c28d8343ae9eb2008a81240e0b21ed52a83932881b865bbabeccb8e1cceca9",
        ),
    ],
)  # fmt: skip
def test_the_identity_of_an_experiment_stays(config, overrides, inputs, identity):
    """Or sweeps of earlier versions would be run again."""
    assert identity_of(config(*overrides), INPUTS | inputs) == identity


def test_what_a_key_changes_of_the_losses():
    assert {
        key: changes_losses(ExperimentConfig, key)
        for key in ("recipe", "losses.style.factor", "style_scale", "content", "experiment",
                    "optimizer", "optimizer.momentum", "lr", "content_weight", "init_noise.scale")
    } == {
        "recipe": "formula", "losses.style.factor": "formula", "style_scale": "inputs",
        "content": "inputs", "experiment": "inputs", "optimizer": "", "optimizer.momentum": "",
        "lr": "", "content_weight": "", "init_noise.scale": "",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("content_weight=10", ("content_weight", "10")),
        ("+experiment=preview", ("experiment", "preview")),
        ("~lr", ("lr", "")),
        ("optimizer@other=adam", ("optimizer", "adam")),
        ("content_image='a=b.png'", ("content_image", "a=b.png")),
    ],
)
def test_an_override_is_a_key_and_a_value(override, parts):
    assert split_override(override) == parts


def test_nested_dicts_are_flattened():
    assert list(flatten({"a": {"b": {"c": [{"d": 1}]}, "e": {}}, "f": None})) == [
        ("a.b.c", [{"d": 1}]), ("a.e", {}), ("f", None),
    ]  # fmt: skip
