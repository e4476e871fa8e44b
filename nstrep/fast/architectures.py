"""The transform networks as a table: a row holds everything in which they differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nstrep.base.errors import InputError
from nstrep.networks.vgg import RGB_MEAN


@dataclass(frozen=True)
class Conv:
    """A convolution, followed by instance normalisation and an activation."""

    name: str
    channels: int
    kernel: int = 3
    stride: int = 1  # of a transposed convolution: the factor by which it enlarges the image
    upsample: int = 1  # factor by which the image is enlarged before the convolution
    bilinear: bool = False  # whether that interpolates, by a factor of 2, or repeats pixels
    transposed: bool = False
    norm: bool = True
    activation: str | None = "relu"
    padding: str | None = None  # None for the padding of the network


@dataclass(frozen=True)
class Residual:
    """x + conv(relu(conv(x))); x is cropped to the size that the convolutions leave."""

    convs: tuple[Conv, Conv]


@dataclass(frozen=True)
class TransformNet:
    """A transform network: maps RGB pixels from 0 to 255 to RGB pixels of about that range."""

    name: str
    layers: tuple[Conv | Residual, ...]
    # Around the input of convolutions: reflect or zero, half a kernel on each side; same, the zeros
    # of TensorFlow's SAME; or none.
    padding: str
    border: int = 0  # pixels of reflection around the image, cropped from the result
    bias: bool = False
    affine: bool = True  # whether instance normalisation has a scale (gamma) and a shift (beta)
    eps: float = 1e-5  # added to the variance by instance normalisation
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)  # subtracted from the input
    # Standard deviation of the grey noise that is added to the image, from 0 to 255. Where a photo
    # is flat, a network without it can only repeat one pattern.
    noise: float = 0.0
    scale: float = 1.0  # the result is scale * (output of the last layer) + shift
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)
    # Distribution of the initial weights: truncated_normal (TensorFlow; standard deviation 0.1, cut
    # at two of them) or uniform (Torch; within 1 / sqrt(fan in)).
    initial: str = "truncated_normal"
    # Names of the styles. With any, instance normalisation has a scale and a shift for each style,
    # and a pass mixes them (conditional instance normalisation: Dumoulin, Shlens, Kudlur 2017).
    styles: tuple[str, ...] = ()
    # Whether convolutions crop and pad so that oneDNN keeps its layout of 16 channels, which is
    # faster and rounds differently.
    blocked: bool = False

    @property
    def convs(self) -> Iterator[tuple[Conv, int]]:
        """Every convolution, with the number of its input channels."""
        channels = 3
        for layer in self.layers:
            for conv in layer.convs if isinstance(layer, Residual) else (layer,):
                yield conv, channels
                channels = conv.channels

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every parameter by name, in the order of the layers.

        A weight is (out, in, k, k); that of a transposed convolution is (in, out, k, k). Scales and
        shifts are (C,), with styles (S, C).
        """
        shapes: dict[str, tuple[int, ...]] = {}
        each = (len(self.styles),) if self.styles else ()
        for conv, inputs in self.convs:
            ends = (inputs, conv.channels) if conv.transposed else (conv.channels, inputs)
            shapes[f"{conv.name}_weight"] = (*ends, conv.kernel, conv.kernel)
            if self.bias:
                shapes[f"{conv.name}_bias"] = (conv.channels,)
            if conv.norm and self.affine:
                shapes[f"{conv.name}_gamma"] = shapes[f"{conv.name}_beta"] = (*each, conv.channels)
        return shapes

    @property
    def least_side(self) -> int:
        """The smallest side of an image, in pixels: a side must exceed what is reflected on it."""
        return max(self.border + 1, 8)  # the residual blocks reflect a pixel of a quarter of it

    @property
    def consumed_border(self) -> int:
        """Pixels that the convolutions without padding remove on each side of the image."""
        total, stride = 0, 1
        for conv, _ in self.convs:
            stride *= 1 if conv.transposed else conv.stride
            if self.padding_of(conv) == "none":
                total += (conv.kernel - 1) * stride
        return total // 2

    def padding_of(self, conv: Conv) -> str:
        """The padding of a convolution of this network."""
        return conv.padding or self.padding


def _layers(
    up: dict, last: dict, residual: dict | None = None,
    widths: tuple[int, int, int] = (32, 64, 128), residuals: int = 5,
) -> tuple[Conv | Residual, ...]:  # fmt: skip
    """The layers that all rows share: down to a quarter of the size, residual blocks, up again."""
    first, second, third = widths
    return (
        Conv("conv1", first, kernel=9),
        Conv("conv2", second, stride=2),
        Conv("conv3", third, stride=2),
        *_residuals(residuals, third, **(residual or {})),
        Conv("up1", second, **up),
        Conv("up2", first, **up),
        Conv("conv4", 3, kernel=9, **last),
    )


def _many() -> tuple[Conv | Residual, ...]:
    return (
        Conv("conv1", 32, kernel=9, stride=2),
        Conv("conv2", 48, stride=2),
        *_residuals(3, 48),
        Conv("up1", 32, upsample=2, bilinear=True),
        Conv("up2", 16, upsample=2, bilinear=True),
        Conv("conv4", 3, kernel=5, activation="tanh"),
    )


def _residuals(count: int, channels: int, **options: Any) -> Iterator[Residual]:
    for number in range(1, count + 1):
        conv = Conv(f"res{number}_1", channels, **options)
        yield Residual((conv, replace(conv, name=f"res{number}_2", activation=None)))


MIDDLE = (127.5, 127.5, 127.5)

NETS = {
    net.name: net
    for net in (
        # hzy46/fast-neural-style-tensorflow, model.py
        TransformNet(
            "hzy46", _layers({"upsample": 4, "stride": 2}, {"activation": "tanh"}, {"norm": False}),
            padding="reflect", border=10, affine=False, eps=1e-9,
            mean=RGB_MEAN, scale=127.5, shift=MIDDLE,
        ),
        # jcjohnson/fast-neural-style, models.lua and train.lua; Johnson et al. 2016, supplement
        TransformNet(
            "johnson",
            _layers(
                {"transposed": True, "stride": 2}, {"norm": False, "activation": "tanh"},
                {"padding": "none"},
            ),
            padding="zero", border=40, bias=True,
            mean=RGB_MEAN, scale=150.0, shift=RGB_MEAN, initial="uniform",
        ),
        # This project: few channels, the reflections of hzy46, the upsampling of pytorch/examples
        TransformNet(
            "small",
            _layers({"upsample": 2}, {"activation": "tanh"}, widths=(16, 24, 32), residuals=3),
            padding="reflect", border=10, mean=RGB_MEAN, scale=127.5, shift=MIDDLE,
        ),
        # This project, for several styles: all features at half the size or less but the last 16
        TransformNet(
            "many", _many(), padding="reflect", border=8, mean=RGB_MEAN, noise=6.0, scale=127.5,
            shift=MIDDLE, blocked=True,
        ),
        # pytorch/examples, fast_neural_style/neural_style/transformer_net.py
        TransformNet(
            "pytorch_examples", _layers({"upsample": 2}, {"norm": False, "activation": None}),
            padding="reflect", bias=True, initial="uniform",
        ),
        # lengstrom/fast-style-transfer, src/transform.py
        TransformNet(
            "lengstrom", _layers({"transposed": True, "stride": 2}, {"activation": "tanh"}),
            padding="same", eps=1e-3, scale=150.0, shift=MIDDLE,
        ),
    )
}  # fmt: skip


def choose(
    name: str, border: int | None = None, padding: str | None = None, styles: Sequence[str] = ()
) -> TransformNet:
    """A row of the table, with another border or padding, or with styles.

    Raises InputError for a border smaller than the convolutions without padding remove, for styles
    of a network whose normalisation has no scales, and for names of styles that are not distinct.
    """
    net = NETS[name]
    if border is not None and border < net.consumed_border:
        raise InputError(
            f"net.border={border}: net={name} uses up {net.consumed_border} pixels on each side"
        )
    if styles and not net.affine:
        raise InputError(f"net={name}: has no scales and shifts, which styles differ in")
    if twice := [style for style, times in Counter(styles).items() if times > 1]:
        raise InputError(f"styles: {twice[0]} is named twice")
    border = net.border if border is None else border
    return replace(net, border=border, padding=padding or net.padding, styles=tuple(styles))
