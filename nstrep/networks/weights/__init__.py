"""The parameters of a VGG in the one form that the rest of the project uses."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nstrep.base.errors import InputError
from nstrep.base.files import reason, sha256_of, shown
from nstrep.base.npz import FormatError
from nstrep.networks.vgg import Architecture, Convolution
from nstrep.networks.weights import calibration, layouts
from nstrep.networks.weights.containers import open_arrays

NETWORKS = Path(__file__).resolve().parents[1]
"""The folder of the networks that ship with the package."""

RANDOM_LONG_EDGE = 128  # pixels of the calibration pictures
NORMALIZE_LONG_EDGE = 256
DEAD_SHARE = 1e-6
"""A filter whose mean activation is below this share of its layer's mean never fires."""


@dataclass(frozen=True, eq=False)
class Weights:
    """The convolutions of one architecture; its input is RGB, 0 to 255, minus ``RGB_MEAN``."""

    arrays: Mapping[str, Any]
    """``conv1_1_weight`` (out, in, 3, 3), ``conv1_1_bias`` (out,), ...: float32, C-contiguous;
    NumPy's, or on a device MXNet's."""
    source: str
    """The path as given, ``nstrep/networks/NAME`` for a shipped network, or ``random``."""
    sha256: str
    """Of the file; of the arrays' bytes in order for random weights."""


def load_weights(
    path: str | Path, architecture: Architecture, *, key: str = "weights.path"
) -> Weights:
    """Read a network from a file, in any layout that :mod:`nstrep.networks.weights.layouts` knows.

    Args:
        path: an MXNet ``.params``, NumPy ``.npz``, PyTorch ``.pth`` or Keras ``.h5`` file; the
            content decides, not the name.
        architecture: what must be in it. Fully connected layers are ignored.
        key: the setting that an error message names.

    Raises:
        InputError: the file cannot be read, or does not hold this architecture.

    """
    try:
        with open_arrays(Path(path)) as stored:
            arrays = layouts.canonical(stored, architecture)
        digest = sha256_of(Path(path))
    except FormatError as error:
        raise InputError(f"{key}={shown(path)}: {error}") from error
    except OSError as error:
        raise InputError(f"{key}={shown(path)}: cannot be read ({reason(error)})") from error
    shipped = Path(path).resolve().parent == NETWORKS
    return Weights(arrays, f"nstrep/networks/{Path(path).name}" if shipped else str(path), digest)


def random_weights(architecture: Architecture, seed: int) -> Weights:
    """Draw an untrained network whose layers all see signals of one size.

    He-normal weights; then, layer by layer, each filter's output before the rectifier is shifted
    and scaled to zero mean and unit variance over the positions of the calibration pictures.
    Without this step the signal of a random VGG fades or drifts with the depth, and its Gram
    matrices with it.

    Args:
        architecture: what to draw.
        seed: of ``numpy.random.PCG64``. The same seed gives the same draw everywhere, and the
            same scales up to the rounding of the machine's convolution.

    """
    generator = np.random.Generator(np.random.PCG64(seed))
    arrays: dict[str, np.ndarray] = {}

    def convolve(
        convolution: Convolution, apply: Callable[..., list[np.ndarray]]
    ) -> list[np.ndarray]:
        weight_name, bias_name = convolution.shapes
        shape = convolution.shapes[weight_name]
        deviation = math.sqrt(2 / math.prod(shape[1:]))
        weight = (generator.standard_normal(shape) * deviation).astype(np.float32)
        outputs = apply(weight, np.zeros(shape[0], np.float32))
        mean = calibration.channel_means(outputs)
        centred = [output - _per_channel(mean) for output in outputs]
        spread = np.sqrt(calibration.channel_means([output**2 for output in centred]))
        spread[spread == 0] = 1
        arrays[weight_name] = _float32(weight / spread[:, None, None, None])
        arrays[bias_name] = _float32(-mean / spread)
        return [output / _per_channel(spread) for output in centred]

    calibration.walk(architecture, calibration.pictures(RANDOM_LONG_EDGE), convolve)
    digest = hashlib.sha256()
    for array in arrays.values():
        digest.update(array.tobytes())
    return Weights(arrays, "random", digest.hexdigest())


def normalized(weights: Weights, architecture: Architecture) -> Weights:
    """Rescale a network so that each filter's mean activation is 1 (Gatys et al. 2016, sec. 2).

    The mean is taken after the rectifier, over pictures and positions, with average pooling, over
    the calibration pictures in all hues. A filter's weights and bias are divided by it and the
    next layer's weights on this input multiplied by it, so every layer computes the same as
    before up to one factor for each channel. Filters that never fire are left alone.

    Returns:
        New arrays; ``source`` and ``sha256`` still name the file that they come from.

    """
    arrays: dict[str, np.ndarray] = {}
    incoming = np.ones(3)

    def convolve(
        convolution: Convolution, apply: Callable[..., list[np.ndarray]]
    ) -> list[np.ndarray]:
        nonlocal incoming
        weight_name, bias_name = convolution.shapes
        weight = weights.arrays[weight_name] * incoming[None, :, None, None]
        bias = weights.arrays[bias_name]
        outputs = apply(weight, bias)
        means = calibration.channel_means([np.maximum(output, 0) for output in outputs])
        incoming = np.where(means > DEAD_SHARE * means.mean(), means, 1.0)
        arrays[weight_name] = _float32(weight / incoming[:, None, None, None])
        arrays[bias_name] = _float32(bias / incoming)
        return [output / _per_channel(incoming) for output in outputs]

    pictures = calibration.pictures(NORMALIZE_LONG_EDGE, all_hues=True)
    calibration.walk(architecture, pictures, convolve)
    return replace(weights, arrays=arrays)


def _per_channel(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32)[None, :, None, None]


def _float32(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array, np.float32)
