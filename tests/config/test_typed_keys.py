"""What the user typed: keys that cannot be set by hand, and keys without an effect."""

import logging

import pytest

from nstrep.base.errors import InputError
from nstrep.config.fields import declared
from nstrep.config.schema import ExperimentConfig
from nstrep.config.typed_keys import check_no_sweep, check_typed


def typed(config, *overrides):
    check_typed(config(*overrides), dict(item.split("=", 1) for item in overrides))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["optimizer.momentum=0.5"], "optimizer.momentum=0.5 with optimizer.name=lbfgs"),
        (["optimizer.lr_decay=0.5"], "optimizer.lr_decay=0.5 with optimizer.lr_decay_every=null"),
        (["optimizer=adam", "optimizer.corrections=4"], "corrections=4 with optimizer.name=adam"),
        (["init_noise.scale=3"], "init_noise.scale=3 with init=content"),
        (["losses.style.channels_power=2"], "=2 with losses.style.divide_by=energy"),
        (["basis=pixels", "basis_power=1"], "basis_power=1 with basis=pixels"),
        (["from_image_root=."], "from_image_root=. with from_image=null"),
        (["seed=4"], "seed=4 with init=content and weights.path=null"),
        (["tv_weight=0", "losses.tv.factor=2"], "losses.tv.factor=2 with tv_weight=0"),
        (["lr=5"], "lr=5 with optimizer.name=lbfgs"),
    ],
)
def test_a_typed_key_without_effect_is_said(config, caplog, overrides, message):
    typed(config, *overrides)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert message in record.getMessage()


@pytest.mark.parametrize(
    "overrides",
    [
        ["recipe=mxnet2015", "optimizer=sgd", "lr=5", "optimizer.momentum=0.5"],
        ["init=noise", "init_noise.scale=3", "seed=4"],
        ["losses.style.divide_by=size", "losses.style.channels_power=2"],
        ["lr=null"],
    ],
)
def test_keys_with_an_effect_are_not(config, caplog, overrides):
    typed(config, *overrides)
    assert not caplog.records


def test_conditions_name_keys_of_the_schema():
    keys = declared(ExperimentConfig)
    conditions = [condition for key in keys.values() for condition in key.effect]
    assert len(conditions) > 20
    assert all(condition.key in keys for condition in conditions)


@pytest.mark.parametrize(
    ("key", "value", "way_out"),
    [
        ("recipe.name", "mxnet2015", "type recipe=mxnet2015"),
        ("recipe.source", "x", "type recipe=NAME"),
        ("style.title", "x", "type style=NAME or style_image=FILE"),
        ("content.name", "coffee", "type content=coffee or content_image=FILE"),
    ],
)
def test_labels_are_not_set_by_hand(config, key, value, way_out):
    with pytest.raises(InputError, match=f"{key}={value}: .*{way_out}"):
        check_typed(config(), {key: value})


def test_a_picture_is_named_once(config):
    for overrides in (
        ["style=monet", "styles=[facets]"],
        ["content=coffee", "content_image=a.png"],
    ):
        with pytest.raises(InputError, match="only one can be given"):
            typed(config, *overrides)


def test_a_sweep_is_not_one_run():
    params, sweep = {"content_weight": "1,2"}, {"experiment": "content_weight"}
    with pytest.raises(
        InputError, match="experiment=content_weight: is a sweep over content_weight"
    ):
        check_no_sweep(params, sweep, "")
    check_no_sweep(params, {**sweep, "content_weight": "5"}, "")
    check_no_sweep(None, {"experiment": "preview"}, "")


def test_own_pictures_are_named_in_the_configuration(config):
    own = config("content_image=a/photo.jpg", "style_image=b.png")
    assert (own.content.name, own.content.title) == ("photo", None)
    assert (own.style.name, own.style.builtin) == ("b", None)
    assert config("styles=[facets,swirls]").style.name == "facets+swirls"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed=4294967296", "seed=4294967296: must be at most 4294967295"),
        ("optimizer.beta1=1", "optimizer.beta1=1: must be below 1"),
        ("optimizer.beta2=1", "optimizer.beta2=1: must be below 1"),
        ("lr=1e308", r"lr=1e\+308: must be at most 1e\+30"),
        ("optimizer.lr_decay_every=3", "lr_decay_every=3: needs lr_decay"),
    ],
)
def test_numbers_out_of_range(config, override, message):
    with pytest.raises(InputError, match=message):
        config("optimizer=adam", override)
