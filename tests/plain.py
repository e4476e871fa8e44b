"""The objective as one would write it first: MXNet's operators and autograd, formula by formula.

No shared products, no means by multiplication, no gradient that is doubled because a factor was
held constant. The tuned graph is tested against it, and profiled beside it.
"""

import mxnet as mx

from nstrep.config.checks import layer_weights
from nstrep.losses.style import filter_scale


def features(network, x, wanted):
    """Layers of a VGG by the imperative operators, by name."""
    weights = {name: mx.nd.array(array) for name, array in network.weights.arrays.items()}
    found, block = {}, "1"
    for name in network.architecture.layers:
        if not name.startswith("conv"):
            continue
        if name[4] != block:
            if network.pooling == "blur" and block in "12":
                x = mx.nd.pad(x, mode="edge", pad_width=(0, 0, 0, 0, 1, 1, 1, 1))
                x = mx.nd.Pooling(x, kernel=(3, 3), pool_type="avg")
            kind = "max" if network.pooling == "max" else "avg"
            x = mx.nd.Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type=kind)
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


def plain(config, inputs, tuned):
    """The objective as a function of an image, with the tuned one's coefficients.

    It returns the losses by name, as arrays on the device, and the gradient.
    """
    coefficients = {term.name: term.coefficient for term in tuned.terms}
    network, share = inputs.network, config.losses.style.mean_share
    wanted = [*layer_weights(config, "content"), *layer_weights(config, "style")]
    painting = mx.nd.array(inputs.regions[0].sources[0].image)
    targets = {
        layer: gram(found, share) for layer, found in features(network, painting, wanted).items()
    }
    scales = {
        layer: mx.nd.array(filter_scale(target.asnumpy()))
        for layer, target in targets.items()
        if config.losses.style.equal_filters
    }
    content = features(network, mx.nd.array(inputs.start), wanted)

    def evaluate(at):
        x = mx.nd.array(at)
        x.attach_grad()
        found = {}
        with mx.autograd.record():
            seen = features(network, x, wanted)
            for layer in layer_weights(config, "content"):
                found[f"content_loss.{layer}"] = mx.nd.sum((seen[layer] - content[layer]) ** 2)
            for layer in layer_weights(config, "style"):
                difference = gram(seen[layer], share) - targets[layer]
                if layer in scales:
                    difference = difference * scales[layer]
                found[f"style_loss.{layer}"] = mx.nd.sum(difference**2)
            found = {name: coefficients[name] * value for name, value in found.items()}
            total = mx.nd.add_n(*found.values())
        total.backward()
        return found, x.grad

    return evaluate
