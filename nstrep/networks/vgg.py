"""VGG networks: one table of layers, and the MXNet symbol built from it.

The layer names are the field's own: ``conv4_2`` is a convolution's output before the rectifier,
``relu4_2`` the rectified one, ``pool4`` the pooled last layer of block 4.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from nstrep.base.errors import InputError

if TYPE_CHECKING:
    import mxnet as mx

# The mean of ImageNet's pixels (red, green, blue; 0 to 255) that VGG was trained without.
RGB_MEAN = (123.68, 116.779, 103.939)
POOLINGS = ("avg", "max", "blur")
# Where the windows of pooling overlap, the gradient leaves no grid in the image. Blurring the
# deeper poolings as well made textures worse (docs/networks.md).
BLURRED = ("pool1", "pool2")
PADDINGS = ("zero", "replicate")


@dataclass(frozen=True)
class Convolution:
    """One 3 x 3 convolution: the shapes of its parameters follow from the channel counts."""

    name: str
    in_channels: int
    out_channels: int

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Parameter name to shape: weight (out, in, 3, 3) and bias (out,)."""
        return {
            f"{self.name}_weight": (self.out_channels, self.in_channels, 3, 3),
            f"{self.name}_bias": (self.out_channels,),
        }


@dataclass(frozen=True)
class Architecture:
    """A VGG layout: how many convolutions each block has, and how wide they are."""

    name: str
    depths: tuple[int, ...]
    widths: tuple[int, ...]
    last_pool: bool = True

    @cached_property
    def convolutions(self) -> tuple[Convolution, ...]:
        """All convolutions, from the image to the deepest."""
        names = [name for name in self.layers if name.startswith("conv")]
        widths = [self.channels(name) for name in names]
        return tuple(map(Convolution, names, [3, *widths], widths))

    def channels(self, layer: str) -> int:
        """N: how many feature maps a layer has."""
        return self.widths[int(layer[4]) - 1]  # conv, relu and pool have the same length

    @cached_property
    def layers(self) -> dict[str, int]:
        """Every layer that can be tapped, in order, with its stride in pixels of the image."""
        strides = {}
        for block, depth in enumerate(self.depths, start=1):
            for index in range(1, depth + 1):
                for kind in ("conv", "relu"):
                    strides[f"{kind}{block}_{index}"] = 2 ** (block - 1)
            if block < len(self.depths) or self.last_pool:
                strides[f"pool{block}"] = 2**block
        return strides

    def check_layers(self, names: Iterable[str], key: str) -> None:
        """Raise :class:`InputError` naming ``key`` if a name is not a layer of this network."""
        for name in names:
            if name not in self.layers:
                raise InputError(
                    f"{key}: {self.name} has no layer {name!r}; it has {', '.join(self.layers)}"
                )

    def deepest(self, names: Iterable[str]) -> str:
        """The one of ``names`` that lies furthest from the image; the first layer if none."""
        order = list(self.layers)
        return max(names, key=order.index, default=order[0])

    def up_to(self, names: Iterable[str]) -> list[str]:
        """The layers from the first to the deepest of ``names``, which it needs."""
        order = list(self.layers)
        return order[: order.index(self.deepest(names)) + 1]

    def stride(self, names: Iterable[str]) -> int:
        """Pixels of the image for a position of the deepest of ``names``."""
        return self.layers[self.deepest(names)]

    def receptive_margin(self, names: Iterable[str], pooling: str = "avg") -> int:
        """How many pixels around its own a position of ``names`` depends on, at most.

        Where an image is cut, the features are wrong up to this distance from the cut.
        """
        wrong = 0
        for name in self.up_to(names):
            if name.startswith("conv"):
                wrong += 1  # 3 x 3
            elif name.startswith("pool"):
                blur = pooling == "blur" and name in BLURRED
                wrong = -(-(wrong + blur) // 2)
        return wrong * self.stride(names)

    def margin(self, names: Iterable[str], pooling: str = "avg") -> int:
        """:meth:`receptive_margin`, rounded up to a multiple of the deepest stride."""
        stride = self.stride(names)
        return -(-self.receptive_margin(names, pooling) // stride) * stride


ARCHITECTURES = {
    architecture.name: architecture
    for architecture in (
        # Simonyan and Zisserman 2014 (arXiv 1409.1556), table 1, configurations E and D.
        Architecture("vgg19", depths=(2, 2, 4, 4, 4), widths=(64, 128, 256, 512, 512)),
        Architecture("vgg16", depths=(2, 2, 3, 3, 3), widths=(64, 128, 256, 512, 512)),
        # VGG-19 to relu5_1, a quarter to a third as wide: trained by this project, shipped with it.
        Architecture(
            "vgg19_slim", depths=(2, 2, 4, 4, 1), widths=(16, 32, 80, 160, 160), last_pool=False
        ),
    )
}


def taps(
    architecture: Architecture,
    layers: Iterable[str],
    image: mx.sym.Symbol,
    *,
    pooling: str = "avg",
    padding: str = "zero",
) -> dict[str, mx.sym.Symbol]:
    """Build the network over ``image`` up to the deepest of ``layers``, and return their symbols.

    Args:
        architecture: the table to build from.
        layers: names of the wanted layers.
        image: symbol of shape (1, 3, H, W): RGB, 0 to 255, minus :data:`RGB_MEAN`.
        pooling: ``avg`` (Gatys, Ecker, Bethge 2015, Methods), ``max`` (as VGG was trained), or
            ``blur``: average pooling that takes the mean of 3 x 3 positions first in
            :data:`BLURRED` (after Zhang 2019, Making Convolutional Networks Shift-Invariant Again).
        padding: what lies beyond the border of the first convolution's input: ``zero`` (as VGG
            was trained: the mean colour) or ``replicate`` (the border pixels repeated, which
            leaves no fringe along the border of the result).

    Returns:
        Layer name to symbol of shape (1, channels, H / stride, W / stride), rounded down.

    """
    import mxnet as mx

    tapped, x = {}, image
    wanted = set(layers)
    if padding == "replicate":
        x = mx.sym.pad(x, mode="edge", pad_width=(0, 0, 0, 0, 1, 1, 1, 1), name="border")
    for name in architecture.up_to(wanted):
        if name.startswith("conv"):
            pad = (0, 0) if padding == "replicate" and name == "conv1_1" else (1, 1)
            width = architecture.channels(name)
            x = mx.sym.Convolution(x, num_filter=width, kernel=(3, 3), pad=pad, name=name)
        elif name.startswith("relu"):
            x = mx.sym.Activation(x, act_type="relu", name=name)
        else:
            if pooling == "blur" and name in BLURRED:
                x = _blurred_pool(x, width, name)
            else:
                kind = "max" if pooling == "max" else "avg"
                x = mx.sym.Pooling(x, pool_type=kind, kernel=(2, 2), stride=(2, 2), name=name)
        if name in wanted:
            tapped[name] = x
    return tapped


def _blurred_pool(x: mx.sym.Symbol, channels: int, name: str) -> mx.sym.Symbol:
    """Average pooling of the mean of 3 x 3 positions, of which those at the border are repeated.

    Both are one convolution of each channel with (1, 2, 2, 1) / 6 along both axes: oneDNN has no
    fast pooling for an array that was padded.
    """
    import mxnet as mx

    line = (2.5 - mx.sym.abs(mx.sym.arange(4) - 1.5)) / 6
    column, row = (mx.sym.reshape(line, shape=shape) for shape in ((1, 1, 4, 1), (1, 1, 1, 4)))
    weight = mx.sym.broadcast_to(mx.sym.broadcast_mul(column, row), shape=(channels, 1, 4, 4))
    x = mx.sym.pad(x, mode="edge", pad_width=(0, 0, 0, 0, 1, 1, 1, 1))
    return mx.sym.Convolution(
        x, weight, num_filter=channels, num_group=channels, kernel=(4, 4), stride=(2, 2),
        no_bias=True, name=name,
    )  # fmt: skip
