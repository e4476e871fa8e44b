"""The layouts in which VGG networks are published, and their conversion to this project's own.

The canonical network takes RGB, 0 to 255, minus :data:`nstrep.networks.vgg.RGB_MEAN`, and calls its
parameters ``conv1_1_weight`` (out, in, 3, 3) and ``conv1_1_bias`` (out,). The others differ in
names, in the order of the axes and in the input of the first convolution.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

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

    names: Mapping[str, str]
    """Canonical name to the name in the file."""
    kernel_axes: tuple[int, int, int, int] = (0, 1, 2, 3)
    """Which axes of the file's kernels are (out, in, height, width)."""
    input: str = "vgg"
    """``vgg`` (canonical), ``imagenet`` (RGB 0 to 1, standardised) or ``bgr``."""


def canonical(stored: Mapping[str, Stored], architecture: Architecture) -> dict[str, np.ndarray]:
    """Load the convolutions of ``architecture`` from a file, in the canonical form.

    The layout is recognised by the names of the arrays: this project's and MXNet's own,
    torchvision's, Keras' (without the top) or Gluon's model zoo. Dense layers are ignored.

    The ``imagenet`` input is folded into conv1_1: its scale exactly, and the difference of the
    means (at most 0.5 of 255) through the bias. At the border the folded difference also counts
    for the padded pixels, which stand for the mean colour; so the activations of conv1_1 within
    one pixel of the border differ by at most 0.5 times the weights of these pixels.

    Raises:
        FormatError: an array is missing, or has another shape or type, NaN or infinity, or the
            file is of another network.

    """
    layout = _recognise(stored, architecture)
    arrays = {
        name: _load(stored, layout, name, shape, architecture)
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
    for recognise in (_own, _torchvision, _keras, _gluon):
        layout = recognise(stored, architecture)
        if layout is not None:
            return layout
    names = ", ".join(repr(name[:60]) for name in list(stored)[:3])
    raise FormatError(
        f"has no VGG layers: it holds {names or 'no arrays'}, expected conv1_1_weight and so on"
    )


def _parameters(architecture: Architecture) -> list[tuple[str, str]]:
    """(name of the convolution, ``weight`` or ``bias``) of each parameter, in order."""
    return [(c.name, kind) for c in architecture.convolutions for kind in ("weight", "bias")]


def _own(stored: Mapping[str, Stored], architecture: Architecture) -> Layout | None:
    layers = {name[:7] for name in stored if re.fullmatch(r"conv\d_\d_\w+", name)}
    if not layers:
        return None
    _refuse_other_network(layers, architecture)
    return Layout({name: name for c in architecture.convolutions for name in c.shapes})


def _refuse_other_network(layers: set[str], architecture: Architecture) -> None:
    # VGG-19 has every layer that VGG-16 has, with the same shapes, and more between them.
    known = [convolution.name for convolution in architecture.convolutions]
    extra = sorted(name for name in layers - set(known) if name < known[-1])
    if extra:
        raise FormatError(f"has {extra[0]}, which {architecture.name} has not: another network")


def _torchvision(stored: Mapping[str, Stored], architecture: Architecture) -> Layout | None:
    # Also what Gluon's save_parameters writes. The index counts convolutions, rectifiers and
    # poolings; a prefix comes from wrappers such as DataParallel.
    matches = [re.fullmatch(r"(.*\.)?features\.\d+\.\w+", name) for name in stored]
    prefixes = {match[1] or "" for match in matches if match}
    if not prefixes:
        return None
    index = list(architecture.layers).index
    names = {
        f"{name}_{kind}": f"{min(prefixes)}features.{index(name)}.{kind}"
        for name, kind in _parameters(architecture)
    }
    return Layout(names, input="imagenet")


def _gluon(stored: Mapping[str, Stored], architecture: Architecture) -> Layout | None:
    matches = [re.fullmatch(r"(?:\w+:)?(\w+_)?conv\d+_(?:weight|bias)", name) for name in stored]
    prefixes = {match[1] or "" for match in matches if match}
    if len(prefixes) != 1:
        return None
    (prefix,) = prefixes
    order = [convolution.name for convolution in architecture.convolutions]
    if f"{prefix}conv{len(order)}_weight" in stored:
        raise FormatError(
            f"has more than the {len(order)} convolutions of {architecture.name}: another network"
        )
    names = {
        f"{name}_{kind}": f"{prefix}conv{order.index(name)}_{kind}"
        for name, kind in _parameters(architecture)
    }
    return Layout(names, input="imagenet")


def _keras(stored: Mapping[str, Stored], architecture: Architecture) -> Layout | None:
    # "block1_conv1/block1_conv1/kernel:0", or ".../block1_conv1_W_1:0" in the files of 2016.
    paths: dict[str, str] = {}
    for path, array in stored.items():
        match = re.search(r"(?:^|/)block(\d)_conv(\d)/", path)
        if match:
            kind = {4: "weight", 1: "bias"}.get(len(array.shape))
            paths[f"conv{match[1]}_{match[2]}_{kind}"] = path
    if not paths:
        return None
    _refuse_other_network({name[:7] for name in paths}, architecture)
    names = {
        name: paths.get(name, f"block{name[4]}_conv{name[6]}/{name[8:]}")
        for convolution in architecture.convolutions
        for name in convolution.shapes
    }
    return Layout(names, kernel_axes=(3, 2, 0, 1), input="bgr")


def _load(
    stored: Mapping[str, Stored],
    layout: Layout,
    name: str,
    shape: tuple[int, ...],
    architecture: Architecture,
) -> np.ndarray:
    """Check one array's shape and type before it is loaded, and its values after."""
    file_name = layout.names[name]
    label = name if file_name == name else f"{printable(file_name)} ({name})"
    axes = layout.kernel_axes if len(shape) == 4 else (0,)
    due = tuple(shape[axes.index(axis)] for axis in range(len(shape)))
    if file_name not in stored:
        raise FormatError(f"{label} is missing, {architecture.name} needs it with shape {due}")
    array = stored[file_name]
    if array.shape != due:
        raise FormatError(f"{label} has shape {array.shape}, {architecture.name} needs {due}")
    if array.dtype not in FLOATS:
        raise FormatError(f"{label} has type {array.dtype}, expected {', '.join(FLOATS)}")
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinite, and is refused
        values = array.read().astype(np.float32)
    wrong = int(np.count_nonzero(~np.isfinite(values)))
    if wrong:
        raise FormatError(f"{label} has {wrong} values that are NaN or infinite, expected none")
    return values.transpose(axes)
