"""The layouts in which VGG networks are published, and their conversion to this project's own.

The canonical network takes RGB, 0 to 255, minus :data:`nstrep.networks.vgg.RGB_MEAN`, and calls its
parameters ``conv1_1_weight`` (out, in, 3, 3) and ``conv1_1_bias`` (out,). The others differ in
names, in the order of the axes and in the input of the first convolution.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nstrep.base.npz import FormatError, Stored
from nstrep.base.text import printable
from nstrep.networks.vgg import RGB_MEAN, Architecture

# torchvision and Gluon: pixels from 0 to 1, minus the mean, over the standard deviation.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

FLOATS = ("float16", "float32", "float64")


@dataclass(frozen=True)
class Layout:
    """Where a file keeps the parameters of an architecture."""

    names: Mapping[str, str]  # canonical name to the name in the file
    kernel_axes: tuple[int, ...] = (0, 1, 2, 3)  # of (out, in, height, width) in the file
    input: str = "vgg"  # canonical, or "imagenet" (RGB 0 to 1, standardised), or "bgr"

    def in_file(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape that a parameter of a canonical shape has in the file."""
        axes = self.kernel_axes if len(shape) == 4 else range(len(shape))
        return tuple(shape[axes.index(axis)] for axis in range(len(shape)))


def canonical(stored: Mapping[str, Stored], architecture: Architecture) -> dict[str, np.ndarray]:
    """Load the convolutions of ``architecture`` from a file, in the canonical form.

    The layout is recognised by the names of the arrays: this project's and MXNet's own,
    torchvision's, Keras' (without the top) or Gluon's model zoo. Dense layers are ignored.

    The ``imagenet`` input is folded into conv1_1: its scale exactly, and the difference of the
    means (at most 0.5 of 255) through the bias. At the border the difference is counted for the
    padded pixels too, so activations of conv1_1 there differ by at most 0.5 times their weights.

    Raises FormatError if the file is of another network, or if an array is missing, has another
    shape or type, or holds NaN or infinity.
    """
    layout = _recognise(stored, architecture)
    arrays = {
        name: load_array(stored, layout, name, shape, architecture.name)
        for convolution in architecture.convolutions
        for name, shape in convolution.shapes.items()
    }
    if layout.input == "bgr":
        arrays["conv1_1_weight"] = arrays["conv1_1_weight"][:, ::-1]
    elif layout.input == "imagenet":
        weight = arrays["conv1_1_weight"].astype(np.float64)
        weight /= 255 * np.asarray(IMAGENET_STD)[:, None, None]
        difference = np.asarray(RGB_MEAN) - 255 * np.asarray(IMAGENET_MEAN)
        shift = np.einsum("oihw,i->o", weight, difference)
        arrays["conv1_1_weight"] = weight
        arrays["conv1_1_bias"] = arrays["conv1_1_bias"] + shift
    return {name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}


def _recognise(stored: Mapping[str, Stored], architecture: Architecture) -> Layout:
    for name in stored:
        if re.search(r"batchnorm|running_mean|moving_mean", name):
            raise FormatError(
                f"is a network with batch normalisation (it has {name!r}), "
                f"expected a plain {architecture.name}"
            )
    order = [convolution.name for convolution in architecture.convolutions]

    def layout(file_name: Callable[[str, str], str], **options: Any) -> Layout:
        parameters = itertools.product(order, ("weight", "bias"))
        names = {f"{name}_{kind}": file_name(name, kind) for name, kind in parameters}
        return Layout(names, **options)

    if layers := _groups(r"(conv\d_\d)_\w+", stored):
        _refuse_other_network(layers, architecture)
        return layout("{}_{}".format)
    # torchvision, and Gluon's save_parameters. The index counts convolutions, rectifiers and
    # poolings; a prefix comes from wrappers such as DataParallel.
    if prefixes := _groups(r"(.*\.)?features\.\d+\.\w+", stored):
        start, index = f"{min(prefixes)}features.", list(architecture.layers).index
        return layout(lambda name, kind: f"{start}{index(name)}.{kind}", input="imagenet")
    if paths := _keras_paths(stored):
        _refuse_other_network({name[:7] for name in paths}, architecture)
        return layout(
            lambda name, kind: paths.get(f"{name}_{kind}", f"block{name[4]}_{name[:4]}{name[6]}"),
            kernel_axes=(3, 2, 0, 1),
            input="bgr",
        )
    prefixes = _groups(r"(?:\w+:)?(\w+_)?conv\d+_(?:weight|bias)", stored)  # Gluon's model zoo
    if len(prefixes) == 1:
        start = f"{prefixes.pop()}conv"
        if f"{start}{len(order)}_weight" in stored:
            raise FormatError(
                f"has more than the {len(order)} convolutions of {architecture.name}:"
                " another network"
            )
        return layout(lambda name, kind: f"{start}{order.index(name)}_{kind}", input="imagenet")
    names = ", ".join(repr(name[:60]) for name in list(stored)[:3])
    raise FormatError(
        f"has no VGG layers: it holds {names or 'no arrays'}, expected conv1_1_weight and so on"
    )


def _groups(pattern: str, names: Iterable[str]) -> set[str]:
    """The first group of each name that matches the whole pattern."""
    matches = [re.fullmatch(pattern, name) for name in names]
    return {match[1] or "" for match in matches if match}


def _keras_paths(stored: Mapping[str, Stored]) -> dict[str, str]:
    """Canonical name to a path in Keras' file, whose name for it changed over the years."""
    paths = {}  # "block1_conv1/block1_conv1/kernel:0", or ".../block1_conv1_W_1:0" in 2016
    for path, array in stored.items():
        if match := re.search(r"(?:^|/)block(\d)_conv(\d)/", path):
            kind = {4: "weight", 1: "bias"}.get(len(array.shape))
            paths[f"conv{match[1]}_{match[2]}_{kind}"] = path
    return paths


def _refuse_other_network(layers: set[str], architecture: Architecture) -> None:
    # VGG-19 has every layer that VGG-16 has, with the same shapes, and more between them.
    known = [convolution.name for convolution in architecture.convolutions]
    extra = sorted(name for name in layers - set(known) if name < known[-1])
    if extra:
        raise FormatError(f"has {extra[0]}, which {architecture.name} has not: another network")


def load_array(
    stored: Mapping[str, Stored], layout: Layout, name: str, shape: tuple[int, ...], network: str
) -> np.ndarray:
    """Check one array's shape and type before it is loaded, and its values after."""
    file_name = layout.names[name]
    label = name if file_name == name else f"{printable(file_name)} ({name})"
    due = layout.in_file(shape)
    if file_name not in stored:
        raise FormatError(f"{label} is missing, {network} needs it with shape {due}")
    array = stored[file_name]
    if array.shape != due:
        raise FormatError(f"{label} has shape {array.shape}, {network} needs {due}")
    if array.dtype not in FLOATS:
        raise FormatError(f"{label} has type {array.dtype}, expected {', '.join(FLOATS)}")
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinite, and is refused
        values = array.read().astype(np.float32)
    if wrong := np.count_nonzero(~np.isfinite(values)):
        raise FormatError(f"{label} has {wrong} values that are NaN or infinite, expected none")
    return values.transpose(layout.kernel_axes) if len(shape) == 4 else values
