"""Networks whose scales are set by statistics over a fixed set of photographs.

The photographs are part of scikit-image's wheel, so the statistics are the same everywhere and
nothing is downloaded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image

from nstrep.images.io import PHOTOGRAPHS, builtin_file
from nstrep.networks.vgg import RGB_MEAN, Architecture, Convolution

RANDOM_LONG_EDGE = 128  # pixels of the photographs
NORMALIZE_LONG_EDGE = 256
DEAD_SHARE = 1e-6  # a filter with less of its layer's mean activation never fires

# Weight and bias of a convolution to its outputs, (1, channels, h, w) for each photograph.
Apply = Callable[[np.ndarray, np.ndarray], list[np.ndarray]]

# The scaled weight and bias of a convolution, and its scaled outputs.
Fitted = tuple[np.ndarray, np.ndarray, list[np.ndarray]]


def random_arrays(architecture: Architecture, seed: int) -> dict[str, np.ndarray]:
    """The arrays of :func:`nstrep.networks.weights.random_weights`."""
    generator = np.random.Generator(np.random.PCG64(seed))

    def fit(convolution: Convolution, apply: Apply) -> Fitted:
        shape = next(iter(convolution.shapes.values()))
        deviation = math.sqrt(2 / math.prod(shape[1:]))
        weight = (generator.standard_normal(shape) * deviation).astype(np.float32)
        outputs = apply(weight, np.zeros(shape[0], np.float32))
        mean = channel_means(outputs)
        centred = [output - _per_channel(mean) for output in outputs]
        spread = np.sqrt(channel_means([output**2 for output in centred]))
        spread[spread == 0] = 1
        scaled = [output / _per_channel(spread) for output in centred]
        return weight / spread[:, None, None, None], -mean / spread, scaled

    return _fit_layers(architecture, pictures(RANDOM_LONG_EDGE), fit)


def normalized_arrays(
    arrays: Mapping[str, np.ndarray], architecture: Architecture
) -> dict[str, np.ndarray]:
    """The arrays of :func:`nstrep.networks.weights.normalized`."""
    incoming = np.ones(3)

    def fit(convolution: Convolution, apply: Apply) -> Fitted:
        nonlocal incoming
        weight, bias = (arrays[name] for name in convolution.shapes)
        weight = weight * incoming[None, :, None, None]
        outputs = apply(weight, bias)
        means = channel_means([np.maximum(output, 0) for output in outputs])
        incoming = np.where(means > DEAD_SHARE * means.mean(), means, 1.0)
        scaled = [output / _per_channel(incoming) for output in outputs]
        return weight / incoming[:, None, None, None], bias / incoming, scaled

    return _fit_layers(architecture, pictures(NORMALIZE_LONG_EDGE, all_hues=True), fit)


def pictures(long_edge: int, *, all_hues: bool = False) -> list[np.ndarray]:
    """The photographs as ``vgg_input`` images, each (1, 3, H, W).

    ``all_hues`` gives each picture three times, with its colour channels rotated: the set has
    little blue and violet; filters for these would otherwise be scaled up too far.
    """
    images = []
    for name in PHOTOGRAPHS:
        with Image.open(builtin_file(name, key="weights")) as opened:
            picture = opened.convert("RGB")
        scale = long_edge / max(picture.size)
        size = tuple(max(1, round(side * scale)) for side in picture.size)
        pixels = np.asarray(picture.resize(size, Image.Resampling.BICUBIC), np.float32)
        for turn in range(3 if all_hues else 1):
            turned = np.roll(pixels, turn, axis=2) - np.float32(RGB_MEAN)
            images.append(turned.transpose(2, 0, 1)[None].copy())
    return images


def _fit_layers(
    architecture: Architecture,
    images: list[np.ndarray],
    fit: Callable[[Convolution, Apply], Fitted],
) -> dict[str, np.ndarray]:
    """Fit one convolution after the other, with rectifiers and average pooling between them."""
    import mxnet as mx

    def apply(weight: np.ndarray, bias: np.ndarray) -> list[np.ndarray]:
        parameters = mx.nd.array(weight), mx.nd.array(bias)
        size = {"num_filter": len(bias), "kernel": (3, 3), "pad": (1, 1)}
        return [mx.nd.Convolution(x, *parameters, **size).asnumpy() for x in inputs]

    arrays = {}
    inputs = [mx.nd.array(image) for image in images]
    convolutions = iter(architecture.convolutions)
    for layer in architecture.layers:
        if layer.startswith("conv"):
            convolution = next(convolutions)
            *fitted, outputs = fit(convolution, apply)
            for name, array in zip(convolution.shapes, fitted):
                arrays[name] = np.ascontiguousarray(array, np.float32)
            inputs = [mx.nd.array(x) for x in outputs]
        elif layer.startswith("relu"):
            inputs = [mx.nd.relu(x) for x in inputs]
        else:
            pooling = {"pool_type": "avg", "kernel": (2, 2), "stride": (2, 2)}
            inputs = [mx.nd.Pooling(x, **pooling) for x in inputs]
    return arrays


def channel_means(arrays: list[np.ndarray]) -> np.ndarray:
    """The mean of (1, channels, h, w) over positions, then over pictures, (channels,), float64."""
    return np.mean([array.mean(axis=(0, 2, 3), dtype=np.float64) for array in arrays], axis=0)


def _per_channel(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32)[None, :, None, None]
