import pytest

from nstrep.base.errors import InputError
from nstrep.config.checks import check, layer_weights
from nstrep.config.fields import known_keys
from nstrep.config.folder import config_folder
from nstrep.config.schema import GROUPS, ExperimentConfig


def test_the_default_composes_and_is_complete(config):
    found = config()
    assert isinstance(found, ExperimentConfig)
    assert (found.content.name, found.style.name, found.recipe.name) == (
        "chelsea", "vangogh", "nstrep",
    )  # fmt: skip
    assert (found.content_weight, found.style_weight) == (10, 1)


@pytest.mark.parametrize("group", GROUPS)
def test_every_option_of_every_group_composes(config, group):
    for file in (config_folder() / group).glob("*.yaml"):
        config(f"{group}={file.stem}")


def test_every_named_key_exists():
    promised = [
        "content_image",
        "style_image",
        "content_weight",
        "style_weight",
        "tv_weight",
        "style_layers",
        "content_layers",
        "pooling",
        "init",
        "lr",
        "stop_eps",
        "max_num_epochs",
        "max_long_edge",
        "style_scale",
        "save_epochs",
        "remove_noise",
        "denoise",
        "seed",
        "gpu",
        "weights.path",
        "from_image",
    ]
    assert set(promised) <= set(known_keys(ExperimentConfig))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("content_weight=-1", "content_weight=-1: must be at least 0"),
        ("content_weight=nan", "content_weight=nan: must be a finite number"),
        ("style_weight=inf", "style_weight=inf: must be a finite number"),
        ("stop_eps=-0.1", "stop_eps=-0.1: must be at least 0"),
        ("max_num_epochs=0", "max_num_epochs=0: must be at least 1"),
        ("max_long_edge=0", "max_long_edge=0: must be at least 1"),
        ("style_scale=0", "style_scale=0: must be above 0"),
        ("seed=-1", "seed=-1: must be at least 0"),
        ("gpu=-2", "gpu=-2: must be at least -1"),
        ("pooling=mean", "pooling=mean: must be one of avg, max, blur"),
        ("pooling=agv", "pooling=agv: must be one of avg, max, blur (did you mean avg?)"),
        ("denoise=median", "denoise=median: must be one of tv, gaussian"),
        ("style_layers=[]", "style_layers=[]: must name a layer, or style_weight must be 0"),
        (
            "style_layers=[relu1_1,relu1_1]",
            "style_layers=[relu1_1,relu1_1]: a layer is named twice",
        ),
        ("style_layer_weights=[1,2]", "style_layer_weights=[1,2]: 2 numbers for 5 style_layers"),
        ("style_layer_weights=most", "must be mean, sum, fine, or a list of numbers"),
        ("content_layer_weights=[-1]", "each must be a number of at least 0"),
        ("bounds=true", "bounds=true: needs basis=pixels, not basis=dct"),
        ("optimizer.momentum=1.5", "optimizer.momentum=1.5: must be at most 1"),
        ("optimizer.clip_norm=big", "optimizer.clip_norm=big: must be a number above 0, size or"),
        ("losses.style.divide_by=area", "losses.style.divide_by=area: must be one of size"),
        ("losses.tv.form=power", "losses.tv.grid=full: form=power needs grid=crop"),
        ("preprocess.shape=[100]", "preprocess.shape=[100]: must be [width, height] in pixels"),
        ("preprocess.shape=100", "preprocess.shape=100: must be [width, height] in pixels"),
        ("preprocess.shape=[100,0]", "preprocess.shape=[100, 0]: must be [width, height] in"),
        ("preprocess.shape=[100,80]", "[100,80]: needs preprocess.style_shape=squash"),
        ("preprocess.short_edge=0", "preprocess.short_edge=0: must be at least 1"),
        ("losses.feature_scale=0", "losses.feature_scale=0: must be above 0"),
        ("color=photo", "color=photo: must be one of style, histogram, cholesky, luminance"),
        ("style_blend=[1,2]", "style_blend=[1,2]: 2 numbers for 0 styles"),
        ("style_masks=[a.png]", "style_masks=[a.png]: 1 for 0 content_masks; must be one for each"),
        ("assets.download=maybe", "assets.download=maybe: must be one of ask, always, never"),
    ],
)
def test_bad_values_are_named_with_what_is_allowed(composed, override, message):
    with pytest.raises(InputError) as caught:
        check(composed(override))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_gradient_optimiser_needs_a_learning_rate(composed):
    with pytest.raises(InputError, match="lr=0: must be above 0"):
        check(composed("optimizer=sgd", "lr=0"))


def test_only_one_side_gives_the_size(composed):
    with pytest.raises(InputError, match=r"short_edge, preprocess.height: only one can be given"):
        check(composed("preprocess.short_edge=100", "preprocess.height=100"))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["style_blend=[-1,2]"], "style_blend=[-1,2]: each must be a number of at least 0"),
        (["style_blend=[0,0]"], "style_blend=[0,0]: each must be a number of at least 0, and"),
        (["style_blend=[inf,1]"], "style_blend=[inf,1]: each must be a number"),
        (["style_blend=[nan,1]"], "style_blend=[nan,1]: each must be a number"),
        (["style_blend=[1]"], "style_blend=[1]: 1 numbers for 2 styles"),
        (["style_image=a.jpg"], "styles=[swirls,facets], style_image: only one can be given"),
        (
            ["content_masks=[a.png,b.png,c.png]"],
            "styles=[swirls,facets]: 2 for 3 content_masks; must be one for all, or one for each",
        ),
        (
            ["content_masks=[a.png,b.png]", "style_blend=[1,2]"],
            "each of the content_masks has its own style, unblended",
        ),
        (
            ["content_masks=[a.png,b.png]", "style_masks=[a.png]"],
            "style_masks=[a.png]: 1 for 2 content_masks; must be one for each, or []",
        ),
        (
            ["content_masks=[a.png]", "style_masks=[a.png]"],
            "style_masks=[a.png]: need one style for each of content_masks",
        ),
        (
            ["content_masks=[a.png]", "style_layers=[]", "style_weight=0"],
            "style_layers=[]: must name a layer for content_masks to work on",
        ),
    ],
)
def test_controls_that_do_not_fit_together_are_named(composed, overrides, message):
    with pytest.raises(InputError) as caught:
        check(composed("styles=[swirls,facets]", *overrides))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_nothing_to_minimise_is_refused(composed):
    with pytest.raises(InputError, match="all 0: nothing to do"):
        check(composed("content_weight=0", "style_weight=0", "tv_weight=0"))


def test_layers_of_the_named_model_are_checked_before_anything_is_read(composed):
    with pytest.raises(InputError, match="style_layers: vgg16 has no layer 'relu3_4'"):
        check(composed("model=vgg16", "style_layers=[relu3_4]"))


def test_layer_weights(config):
    three = "style_layers=[relu1_1,conv2_1,pool3]"
    mean = layer_weights(config(three, "style_weight=6", "style_layer_weights=mean"), "style")
    assert mean == {"relu1_1": 2, "conv2_1": 2, "pool3": 2}
    total = layer_weights(config(three, "style_weight=6", "style_layer_weights=sum"), "style")
    assert total == {"relu1_1": 6, "conv2_1": 6, "pool3": 6}
    fine = layer_weights(config(three, "style_weight=13", "style_layer_weights=fine"), "style")
    assert fine == pytest.approx({"relu1_1": 8, "conv2_1": 4, "pool3": 1})
    given = config(three, "style_weight=2", "style_layer_weights=[1,0.5,0]")
    assert layer_weights(given, "style") == {"relu1_1": 2, "conv2_1": 1, "pool3": 0}


@pytest.mark.parametrize("group", ["content", "style"])
def test_every_named_picture_can_be_had(config, group):
    """From inside the packages, or from the catalogue of what can be fetched."""
    from nstrep.assets.catalogue import CATALOGUE
    from nstrep.images import io

    for file in (config_folder() / group).glob("*.yaml"):
        named = getattr(config(f"{group}={file.stem}"), group)
        assert named.name == file.stem
        if named.builtin is not None:
            assert named.builtin in {**io.BUILTIN, **io.STAND_INS}
        if named.asset is not None:
            assert CATALOGUE[named.asset.split("/")[-1]].path == named.asset
        assert named.builtin or named.asset


def test_the_objective_can_be_the_loss_of_a_region(composed):
    key = "objective=losses.style_loss.relu3_1.region2"
    check(composed("content_masks=[a.png,b.png]", key))
    with pytest.raises(InputError, match="must be one of losses.total"):
        check(composed("content_masks=[a.png]", key))
