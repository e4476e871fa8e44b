"""Parameters of transform networks in files: this project's, and those that others publish.

Read without running anything in them: ``.npz``, PyTorch's ``.pth``, MXNet's ``.params``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nstrep.base.errors import InputError
from nstrep.base.npz import FormatError, Stored, save_npz
from nstrep.base.text import reason, shown
from nstrep.base.untrusted import read_json
from nstrep.fast.architectures import NETS, TransformNet, choose
from nstrep.networks.weights.containers import open_arrays

Axes = tuple[int, int, int, int]


@dataclass(frozen=True)
class Layout:
    """Where a file keeps a network's parameters."""

    title: str
    net: str
    names: Mapping[str, str]
    """This project's name of a parameter to the file's."""
    kernel_axes: Axes = (0, 1, 2, 3)
    """Which axes of the file's kernels are this project's; see :attr:`TransformNet.shapes`."""


def _torch(net: TransformNet) -> Layout:
    """State dicts of pytorch/examples: conv1.conv2d.weight, in1.weight, res1.in2.bias, ..."""
    parts = {"weight": "conv2d.weight", "bias": "conv2d.bias", "gamma": "weight", "beta": "bias"}
    norms = {"conv1": "in1", "conv2": "in2", "conv3": "in3", "up1": "in4", "up2": "in5"}
    modules = {"up1": "deconv1", "up2": "deconv2", "conv4": "deconv3"}
    names = {}
    for name in net.shapes:
        layer, part = name.rsplit("_", 1)
        block = re.fullmatch(r"(res\d+)_(\d)", layer)
        normed = part in ("gamma", "beta")
        if block:
            module = f"{block[1]}.{'in' if normed else 'conv'}{block[2]}"
        else:
            module = norms[layer] if normed else modules.get(layer, layer)
        names[name] = f"{module}.{parts[part]}"
    return Layout("pytorch/examples", net.name, names)


def _variables(net: TransformNet) -> Layout:
    """TensorFlow's numbered variables: Variable, Variable_1, ... in the order of creation.

    Each layer of lengstrom/fast-style-transfer makes its weight, the shift and the scale.
    """
    parts = ("weight", "beta", "gamma")
    made = [f"{conv.name}_{part}" for conv, _ in net.convs for part in parts]
    names = {
        name: f"Variable_{number}" if number else "Variable" for number, name in enumerate(made)
    }
    # (height, width, in, out); a transposed convolution's (height, width, out, in) is read alike,
    # because this project's has its ends the other way round too.
    return Layout("lengstrom/fast-style-transfer", net.name, names, kernel_axes=(3, 2, 0, 1))


LAYOUTS = (
    *(Layout("nstrep", net.name, {name: name for name in net.shapes}) for net in NETS.values()),
    _torch(NETS["pytorch_examples"]),
    _variables(NETS["lengstrom"]),
)


NET = "net"
"""Array of a file of this project: the architecture, as JSON; arrays alone do not tell borders."""

MOST_ABOUT = 1_000
"""Bytes of it."""


def save(path: Path, net: TransformNet, parameters: Mapping[str, np.ndarray]) -> None:
    """Write a network as an ``.npz`` in this project's layout, atomically."""
    about = {"name": net.name, "border": net.border, "padding": net.padding}
    save_npz(path, **parameters, **{NET: np.frombuffer(json.dumps(about).encode(), np.uint8)})


def load(path: str | Path, *, key: str = "model") -> tuple[TransformNet, dict[str, np.ndarray]]:
    """Read a transform network; which one is told from the names and shapes in the file.

    Args:
        path: ``.npz``, ``.pth`` or ``.params``. Arrays that no parameter has, such as the running
            statistics of old PyTorch files, are ignored.
        key: the setting that an error message names.

    Raises:
        InputError: the file cannot be read, or holds none of the networks of the table.

    """
    try:
        with open_arrays(Path(path)) as stored:
            net = _named(stored)
            layout = _recognise(stored, net)
            net = net or NETS[layout.net]
            return net, {name: _read(stored, layout, name) for name in net.shapes}
    except FormatError as error:
        raise InputError(f"{key}={shown(path)}: {error}") from error
    except OSError as error:
        raise InputError(f"{key}={shown(path)}: cannot be read ({reason(error)})") from error


def _named(stored: Mapping[str, Stored]) -> TransformNet | None:
    """The network that a file says it is; None if it does not say."""
    if NET not in stored:
        return None
    try:
        if math.prod(stored[NET].shape) > MOST_ABOUT:
            raise ValueError("too long")
        return choose(**read_json(stored[NET].read().tobytes().decode()))
    except (InputError, KeyError, TypeError, ValueError) as error:
        raise FormatError(f"has a damaged {NET!r} ({reason(error)})") from None


def _recognise(stored: Mapping[str, Stored], net: TransformNet | None) -> Layout:
    named = [
        layout
        for layout in LAYOUTS
        if set(layout.names.values()) <= set(stored) and (net is None or layout.net == net.name)
    ]
    # The one with the most parameters first: others may be a part of it, without its norms, say.
    named.sort(key=lambda layout: -len(layout.names))
    for layout in named:
        shapes = NETS[layout.net].shapes
        if all(_shape(stored, layout, name) == shape for name, shape in shapes.items()):
            return layout
    if named:
        shapes = NETS[named[0].net].shapes
        wrong = next(name for name in shapes if _shape(stored, named[0], name) != shapes[name])
        raise FormatError(
            f"has {named[0].names[wrong]!r} with shape {stored[named[0].names[wrong]].shape},"
            f" which no network of nstrep.fast has ({', '.join(NETS)})"
        )
    raise FormatError(
        f"holds none of the transform networks {', '.join(NETS)}; its arrays begin with"
        f" {', '.join(map(repr, list(stored)[:3]))}"
    )


def _shape(stored: Mapping[str, Stored], layout: Layout, name: str) -> tuple[int, ...]:
    shape = stored[layout.names[name]].shape
    return tuple(shape[axis] for axis in layout.kernel_axes) if len(shape) == 4 else tuple(shape)


def _read(stored: Mapping[str, Stored], layout: Layout, name: str) -> np.ndarray:
    found = stored[layout.names[name]]
    if not re.fullmatch(r"float(16|32|64)", found.dtype):
        raise FormatError(f"has {layout.names[name]!r} as {found.dtype}, expected floats")
    array = found.read()
    if array.ndim == 4:
        array = array.transpose(layout.kernel_axes)
    if not np.isfinite(array).all():
        raise FormatError(f"has NaN or infinity in {layout.names[name]!r}")
    return np.ascontiguousarray(array, np.float32)
