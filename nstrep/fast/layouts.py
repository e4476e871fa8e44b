"""Parameters of transform networks in files: this project's ``.npz`` and the layouts of others.

``.npz``, PyTorch's ``.pth`` and MXNet's ``.params`` are read without running anything in them.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from nstrep.base.errors import InputError
from nstrep.base.npz import FormatError, Stored, as_input_error, save_npz
from nstrep.base.text import reason, shown
from nstrep.base.untrusted import read_json
from nstrep.fast.architectures import NETS, TransformNet, choose
from nstrep.networks.weights.containers import open_arrays
from nstrep.networks.weights.layouts import Layout, load_array

PARAMETERS = "net.npz"  # the trained network in a run directory
NET = "net"  # array in this project's files: the arguments of architectures.choose, as JSON


def _pytorch_examples() -> tuple[TransformNet, Layout]:
    """State dicts of pytorch/examples: conv1.conv2d.weight, in1.weight, res1.in2.bias, ..."""
    net, names = NETS["pytorch_examples"], {}
    norms = {"conv1": "in1", "conv2": "in2", "conv3": "in3", "up1": "in4", "up2": "in5"}
    convs = {"up1": "deconv1", "up2": "deconv2", "conv4": "deconv3"}
    for conv, _ in net.convs:
        module, norm = convs.get(conv.name, conv.name), norms.get(conv.name)
        if block := re.fullmatch(r"(res\d+)_(\d)", conv.name):
            module, norm = f"{block[1]}.conv{block[2]}", f"{block[1]}.in{block[2]}"
        for part in ("weight", "bias"):
            names[f"{conv.name}_{part}"] = f"{module}.conv2d.{part}"
        if norm:
            names |= {f"{conv.name}_gamma": f"{norm}.weight", f"{conv.name}_beta": f"{norm}.bias"}
    return net, Layout(names)


def _lengstrom() -> tuple[TransformNet, Layout]:
    """TensorFlow variables of lengstrom/fast-style-transfer, in the order of their creation.

    Kernels are (height, width, in, out), those of transposed convolutions (height, width, out, in);
    the same order of axes reads both, because :attr:`TransformNet.shapes` swaps the ends too.
    """
    net, names = NETS["lengstrom"], {}
    for conv, _ in net.convs:
        for part in ("weight", "beta", "gamma"):
            names[f"{conv.name}_{part}"] = f"Variable_{len(names)}" if names else "Variable"
    return net, Layout(names, kernel_axes=(3, 2, 0, 1))


LAYOUTS = [(net, Layout({name: name for name in net.shapes})) for net in NETS.values()]
LAYOUTS += [_pytorch_examples(), _lengstrom()]
# Most names first: those of a network without normalisation are a part of another's.
LAYOUTS.sort(key=lambda item: -len(item[1].names))


def save(
    path: Path, net: TransformNet, parameters: Mapping[str, np.ndarray], dtype: str = "float32"
) -> None:
    """Write a network as an ``.npz`` in this project's layout, atomically.

    As float16 it takes half of the space; the rounding changes results by less than a grey level.
    """
    about = {"name": net.name, "border": net.border, "padding": net.padding}
    if net.styles:
        about["styles"] = net.styles
    parameters = {name: array.astype(dtype) for name, array in parameters.items()}
    save_npz(path, **parameters, **{NET: np.frombuffer(json.dumps(about).encode(), np.uint8)})


def file_of(path: str | Path) -> Path:
    """The file of a network, which may be given as a training's run directory."""
    file = Path(os.path.expanduser(path))
    return file / PARAMETERS if os.path.isdir(file) else file


def load(path: str | Path, key: str = "model") -> tuple[TransformNet, dict[str, np.ndarray]]:
    """Read a transform network from a training's run directory or a file.

    The names and shapes of the arrays tell which network it is; others, such as the running
    statistics in old PyTorch files, are ignored. Raises InputError, naming ``key``, if there is
    none of the table.
    """
    file = file_of(path)
    with as_input_error(f"{key}={shown(path)}"):
        if os.path.isdir(file.parent) and file.name == PARAMETERS and not os.path.isfile(file):
            raise FormatError(f"holds no {PARAMETERS}: no run that has finished")
        with open_arrays(file) as stored:
            net, layout = _recognise(stored)
            return net, {
                name: np.ascontiguousarray(load_array(stored, layout, name, shape, net.name))
                for name, shape in net.shapes.items()
            }


def _described_net(stored: Mapping[str, Stored]) -> TransformNet | None:
    """The network that the file names; None if it names none."""
    if NET not in stored:
        return None
    try:
        if math.prod(stored[NET].shape) > 10_000:
            raise ValueError("too long")
        about = read_json(stored[NET].read().tobytes().decode())
        if not all(isinstance(style, str) for style in about.get("styles", ())):
            raise ValueError("styles are no names")
        return choose(**about)
    except (AttributeError, InputError, KeyError, TypeError, ValueError) as error:
        raise FormatError(f"has a damaged {NET!r} ({reason(error)})") from None


def _recognise(stored: Mapping[str, Stored]) -> tuple[TransformNet, Layout]:
    """The network of a file and its layout."""
    described, wrong = _described_net(stored), []
    for net, layout in LAYOUTS:
        if described is not None:
            if described.name != net.name:
                continue
            net = described
        if {*layout.names.values()} <= {*stored}:
            if described is not None and (others := {*stored} - {*layout.names.values(), NET}):
                raise FormatError(f"has {min(others)!r}, which net={net.name} has not")
            shapes = {layout.names[name]: layout.in_file(net.shapes[name]) for name in net.shapes}
            misfits = [name for name, shape in shapes.items() if stored[name].shape != shape]
            if not misfits:
                return net, layout
            wrong += misfits
    nets = ", ".join(NETS)
    if wrong:
        raise FormatError(
            f"has {wrong[0]!r} with shape {stored[wrong[0]].shape},"
            f" which no network of nstrep.fast has ({nets})"
        )
    first = ", ".join(map(repr, list(stored)[:3]))
    raise FormatError(f"holds none of the transform networks {nets}; its arrays begin with {first}")
