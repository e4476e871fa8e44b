"""The parameters of a VGG in one form, from a file of any supported layout or drawn at random."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nstrep.base.files import sha256_of
from nstrep.base.npz import as_input_error
from nstrep.base.text import shown
from nstrep.networks.vgg import Architecture
from nstrep.networks.weights import calibration, layouts
from nstrep.networks.weights.containers import open_arrays

NETWORKS = Path(__file__).resolve().parents[1]  # the folder of the networks that are shipped


@dataclass(frozen=True, eq=False)
class Weights:
    """The convolutions of one architecture; its input is RGB, 0 to 255, minus ``RGB_MEAN``."""

    # conv1_1_weight (out, in, 3, 3), conv1_1_bias (out,), ...: float32, C-contiguous; NumPy's, or
    # on a device MXNet's.
    arrays: Mapping[str, Any]
    source: str  # the path as given, nstrep/networks/NAME for a shipped network, or "random"
    sha256: str  # of the file; of the arrays' bytes in order for random weights


def load_weights(
    path: str | Path, architecture: Architecture, *, key: str = "weights.path"
) -> Weights:
    """Read a network from a file, in any layout that :mod:`nstrep.networks.weights.layouts` knows.

    The file is an MXNet ``.params``, NumPy ``.npz``, PyTorch ``.pth`` or Keras ``.h5`` file; its
    content decides, not its name. Dense layers are ignored. ``key`` is the setting that an error
    message names. Raises InputError if the file does not hold this architecture.
    """
    with as_input_error(f"{key}={shown(path)}"):
        with open_arrays(Path(path)) as stored:
            arrays = layouts.canonical(stored, architecture)
        digest = sha256_of(path)
    shipped = Path(path).resolve().parent == NETWORKS
    return Weights(arrays, f"nstrep/networks/{Path(path).name}" if shipped else str(path), digest)


def random_weights(architecture: Architecture, seed: int) -> Weights:
    """Draw an untrained network in which all layers have signals of the same size.

    Weights are He-normal. Then, layer by layer, each filter's output before the rectifier is
    shifted and scaled to zero mean and unit variance over the calibration pictures. Without this
    step the signal of a random VGG, and so its Gram matrices, shrinks or grows with the depth.
    The same seed gives the same draw everywhere, and the same scales up to the rounding of the
    machine's convolution.
    """
    arrays = calibration.random_arrays(architecture, seed)
    digest = hashlib.sha256()
    for array in arrays.values():
        digest.update(array)
    return Weights(arrays, "random", digest.hexdigest())


def normalized(weights: Weights, architecture: Architecture) -> Weights:
    """Rescale a network so that each filter's mean activation is 1 (Gatys et al. 2016, sec. 2).

    The mean is taken after the rectifier, over pictures and positions, with average pooling, over
    the calibration pictures in all hues. A filter's weights and bias are divided by it and the
    next layer's weights for this input multiplied by it, so every layer computes the same as
    before up to one factor for each channel. Filters that never fire are not changed. The result's
    ``source`` and ``sha256`` name the original file.
    """
    return replace(weights, arrays=calibration.normalized_arrays(weights.arrays, architecture))
