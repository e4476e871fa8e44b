import mxnet as mx
import numpy as np
import pytest

from nstrep.base.errors import InputError
from nstrep.networks import vgg
from nstrep.networks.features import KEPT_PICTURES, Network
from nstrep.networks.vgg import ARCHITECTURES
from tests import reference
from tests.conftest import TINY


def test_the_tables_are_vgg_19_and_16():
    for name, convolutions in (("vgg19", 16), ("vgg16", 13)):
        architecture = ARCHITECTURES[name]
        assert len(architecture.convolutions) == convolutions
        assert architecture.convolutions[0].shapes == {
            "conv1_1_weight": (64, 3, 3, 3),
            "conv1_1_bias": (64,),
        }
        assert architecture.convolutions[-1].out_channels == 512
        assert list(architecture.layers)[:5] == [
            "conv1_1",
            "relu1_1",
            "conv1_2",
            "relu1_2",
            "pool1",
        ]
        assert architecture.layers["pool5"] == 32


def test_slim_has_the_same_layer_names():
    slim, full = ARCHITECTURES["vgg19_slim"], ARCHITECTURES["vgg19"]
    assert list(slim.layers) == list(full.layers)[: len(slim.layers)]
    assert list(slim.layers)[-1] == "relu5_1"


@pytest.mark.parametrize("pooling", vgg.POOLINGS)
@pytest.mark.parametrize("padding", vgg.PADDINGS)
@pytest.mark.parametrize("size", [(16, 16), (13, 22), (9, 31)])
def test_every_layer_equals_float64_numpy(tiny, image, pooling, padding, size):
    architecture, weights = tiny
    x = image(*size)
    expected = reference.features(TINY.depths, weights.arrays, x[0].astype(float), pooling, padding)
    found = Network(architecture, weights, pooling, padding).features(x, architecture.layers)
    assert list(found) == list(architecture.layers)
    for layer, value in found.items():
        difference = np.linalg.norm(value[0] - expected[layer])
        assert difference < 1e-5 * np.linalg.norm(expected[layer]), layer


def test_a_convolution_is_not_its_rectified_self(tiny, image):
    architecture, weights = tiny
    found = Network(architecture, weights).features(image(16, 16), ["conv2_1", "relu2_1"])
    assert found["conv2_1"].min() < 0
    np.testing.assert_array_equal(found["relu2_1"], np.maximum(found["conv2_1"], 0))


def test_the_graph_ends_at_the_deepest_wanted_layer():
    symbols = vgg.taps(ARCHITECTURES["vgg19"], ["relu3_1", "conv1_2"], mx.sym.Variable("image"))
    names = mx.sym.Group(list(symbols.values())).list_arguments()
    assert "conv3_1_weight" in names
    assert not any(name.startswith(("conv3_2", "conv4")) for name in names)


def test_an_unknown_layer_is_refused_by_name():
    with pytest.raises(
        InputError, match="style_layers: vgg16 has no layer 'relu3_4'; it has conv1_1"
    ):
        ARCHITECTURES["vgg16"].check_layers(["relu1_1", "relu3_4"], "style_layers")


def test_positions_and_channels_match_the_features(tiny, image):
    network = Network(*tiny)
    for layer, value in network.features(image(13, 22), TINY.layers).items():
        assert value.shape[1] == network.channels(layer)
        assert value[0, 0].size == network.positions(layer, 13, 22)


def test_a_network_keeps_few_features(tiny, image):
    """A sweep over sizes would fill the memory with what no later run needs."""
    found = Network(*tiny)
    for width in range(16, 16 + 2 * KEPT_PICTURES):
        found.features(image(16, width), ["relu1_1"])
    assert len(found._kept) == KEPT_PICTURES
