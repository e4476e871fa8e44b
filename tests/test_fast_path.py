"""The tuned graph against the plain one: MXNet's own operators and autograd, formula by formula.

The plain path has no shared products, no means by multiplication, no gradient that is doubled
because a factor was held constant; it is what one would write first.
"""

import mxnet as mx
import numpy as np
import pytest

from nstrep import experiment, losses
from nstrep.config import layer_weights
from nstrep.tiling import TiledObjective
from tests.conftest import SMALL


def features(network, x, wanted):
    """Layers of a VGG by the imperative operators, by name."""
    weights = {name: mx.nd.array(array) for name, array in network.weights.arrays.items()}
    found, block = {}, "1"
    for name in network.architecture.layers:
        if not name.startswith("conv"):
            continue
        if name[4] != block:
            x = mx.nd.Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type=network.pooling)
            block = name[4]
        if network.padding == "replicate" and name == "conv1_1":
            x, pad = mx.nd.pad(x, mode="edge", pad_width=(0, 0, 0, 0, 1, 1, 1, 1)), (0, 0)
        else:
            pad = (1, 1)
        weight, bias = weights[f"{name}_weight"], weights[f"{name}_bias"]
        x = mx.nd.Convolution(x, weight, bias, kernel=(3, 3), pad=pad, num_filter=weight.shape[0])
        x = mx.nd.relu(x)
        found["relu" + name[4:]] = x
        if set(wanted) <= set(found):
            return found
    return found


def gram(x, mean_share):
    """Covariance plus ``mean_share`` times the product of the means, per position."""
    flat = x.reshape((x.shape[1], -1))
    mean = flat.mean(axis=1, keepdims=True)
    centred = mx.nd.broadcast_sub(flat, mean)
    covariance = mx.nd.dot(centred, centred, transpose_b=True) / flat.shape[1]
    return covariance + mean_share * mx.nd.dot(mean, mean, transpose_b=True)


def plain(config, prepared, tuned, at):
    """Losses by name and the gradient, with the tuned objective's coefficients."""
    coefficients = {term.name: term.coefficient for term in tuned.terms}
    network, share = prepared.network, config.losses.style.mean_share
    wanted = [*layer_weights(config, "content"), *layer_weights(config, "style")]
    painting = mx.nd.array(prepared.regions[0].sources[0].image)
    targets = {
        layer: gram(found, share) for layer, found in features(network, painting, wanted).items()
    }
    content = features(network, mx.nd.array(prepared.start), wanted)
    x = mx.nd.array(at)
    x.attach_grad()
    found = {}
    with mx.autograd.record():
        seen = features(network, x, wanted)
        for layer in layer_weights(config, "content"):
            found[f"content_loss.{layer}"] = mx.nd.sum((seen[layer] - content[layer]) ** 2)
        for layer in layer_weights(config, "style"):
            difference = gram(seen[layer], share) - targets[layer]
            if config.losses.style.equal_filters:
                difference = difference * mx.nd.array(losses.filter_scale(targets[layer].asnumpy()))
            found[f"style_loss.{layer}"] = mx.nd.sum(difference**2)
        total = mx.nd.add_n(*[coefficients[name] * value for name, value in found.items()])
    total.backward()
    values = {name: coefficients[name] * float(value.asscalar()) for name, value in found.items()}
    return values, x.grad.asnumpy()


@pytest.mark.parametrize("recipe", ["nstrep", "gatys2015", "mxnet2016"])
@pytest.mark.parametrize(("tile", "edge"), [("null", 96), (192, 240)])
def test_tuning_changes_no_more_than_rounding(config, rng, recipe, tile, edge):
    common = (
        *SMALL, f"recipe={recipe}", f"max_long_edge={edge}", "tv_weight=0", "init=content",
        "losses.feature_scale=1",
    )  # fmt: skip
    settings = config(*common, f"tile={tile}")
    prepared = experiment.prepare(settings)
    whole = experiment.objective(config(*common, "tile=null"), prepared)
    tuned = experiment.objective(settings, prepared)
    assert isinstance(tuned, TiledObjective) == (tile != "null")
    at = prepared.start + rng.normal(0, 20, prepared.start.shape).astype(np.float32)
    expected, slope = plain(settings, prepared, whole, at)
    found = tuned(at)
    for name, value in expected.items():
        assert found.losses[name] == pytest.approx(value, rel=1e-5), name
    gradient = found.gradient
    gradient = gradient.asnumpy() if isinstance(gradient, mx.nd.NDArray) else gradient
    assert np.linalg.norm(gradient - slope) < 1e-5 * np.linalg.norm(slope)
