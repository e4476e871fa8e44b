"""A fixed set of photographs, and a walk through a VGG over them, convolution by convolution.

The pictures lie inside scikit-image's wheel, so the same statistics come out everywhere and
nothing is fetched.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import as_file, files

import numpy as np

from nstrep.base.errors import InputError
from nstrep.networks.vgg import RGB_MEAN, Architecture, Convolution

PICTURES = (
    "astronaut.png",
    "chelsea.png",
    "coffee.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "motorcycle_left.png",
    "retina.jpg",
    "rocket.jpg",
)


def pictures(long_edge: int, *, all_hues: bool = False) -> list[np.ndarray]:
    """Return the set as ``vgg_input`` images, each (1, 3, H, W) with this longer side in pixels.

    Args:
        long_edge: in pixels.
        all_hues: give each picture three times, its colour channels rotated. The set holds little
            blue and violet, to which a filter for them would otherwise be scaled up.

    Raises:
        InputError: scikit-image is installed without its pictures.

    """
    from PIL import Image

    found = []
    for name in PICTURES:
        try:
            # Read as a file and not through skimage.data, which may go to the network.
            with as_file(files("skimage") / "data" / name) as path, Image.open(path) as opened:
                picture = opened.convert("RGB")
        except OSError as error:
            raise InputError(
                f"weights: scikit-image has no picture {name} ({type(error).__name__}), "
                "install its wheel from PyPI: pip install --force-reinstall scikit-image"
            ) from error
        scale = long_edge / max(picture.size)
        size = tuple(max(1, round(side * scale)) for side in picture.size)
        pixels = np.asarray(picture.resize(size, Image.Resampling.BICUBIC), np.float32)
        for turn in range(3 if all_hues else 1):
            turned = np.roll(pixels, turn, axis=2) - np.float32(RGB_MEAN)
            found.append(turned.transpose(2, 0, 1)[None].copy())
    return found


def walk(
    architecture: Architecture,
    images: list[np.ndarray],
    convolve: Callable[[Convolution, Callable[..., list[np.ndarray]]], list[np.ndarray]],
) -> None:
    """Go through the network over ``images``: rectified, average pooled.

    Args:
        architecture: the network.
        images: ``vgg_input`` images, each (1, 3, H, W).
        convolve: called for each convolution in order with the convolution and a function
            ``apply(weight, bias)``, which returns its outputs, each (1, channels, h, w); returns
            the outputs to go on with.

    """
    import mxnet as mx

    inputs = [mx.nd.array(image) for image in images]
    for block, depth in enumerate(architecture.depths, start=1):
        for index in range(1, depth + 1):
            name = f"conv{block}_{index}"
            convolution = next(c for c in architecture.convolutions if c.name == name)

            def apply(
                weight: np.ndarray, bias: np.ndarray, inputs: list = inputs
            ) -> list[np.ndarray]:
                parameters = (mx.nd.array(weight), mx.nd.array(bias))
                return [
                    mx.nd.Convolution(
                        x, *parameters, num_filter=len(bias), kernel=(3, 3), pad=(1, 1)
                    ).asnumpy()
                    for x in inputs
                ]

            inputs = [mx.nd.relu(mx.nd.array(x)) for x in convolve(convolution, apply)]
        inputs = [
            mx.nd.Pooling(x, pool_type="avg", kernel=(2, 2), stride=(2, 2))
            for x in inputs
            if block < len(architecture.depths)
        ]


def channel_means(arrays: list[np.ndarray]) -> np.ndarray:
    """Return the mean (channels,) over positions, then over pictures, of (1, channels, h, w).

    Each picture counts the same, whatever its shape. In float64.
    """
    return np.mean([array.mean(axis=(0, 2, 3), dtype=np.float64) for array in arrays], axis=0)
