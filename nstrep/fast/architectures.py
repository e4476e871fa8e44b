"""The transform networks: what tells one program's from another's is a value in this table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from nstrep.base.errors import InputError
from nstrep.networks.vgg import RGB_MEAN

PADDINGS = ("reflect", "zero", "same", "none")
"""Around a convolution's input: mirrored or zeros, half a kernel on each side; TensorFlow's SAME,
whose zeros depend on the size's parity; or nothing."""


@dataclass(frozen=True)
class Conv:
    """A convolution with what follows it: instance norm, then the activation."""

    name: str
    channels: int
    kernel: int = 3
    stride: int = 1
    """Of a transposed convolution: what it multiplies the size with."""
    upsample: int = 1
    """Nearest-neighbour scale before the convolution."""
    transposed: bool = False
    norm: bool = True
    activation: str | None = "relu"
    padding: str | None = None
    """If not the network's."""


@dataclass(frozen=True)
class Residual:
    """x + conv(relu(conv(x))), both 3 x 3; x loses the pixels that the convolutions lose."""

    name: str
    channels: int
    norm: bool = True
    padding: str | None = None

    @property
    def convs(self) -> tuple[Conv, Conv]:
        """The two convolutions."""
        given = {"norm": self.norm, "padding": self.padding}
        return (
            Conv(f"{self.name}_1", self.channels, **given),
            Conv(f"{self.name}_2", self.channels, activation=None, **given),
        )


@dataclass(frozen=True)
class TransformNet:
    """A transform network: pixels of 0 to 255 (RGB) in, about the same out."""

    name: str
    source: str
    layers: tuple[Conv | Residual, ...]
    padding: str
    border: int = 0
    """Pixels of reflection around the picture, cut off the result."""
    bias: bool = False
    affine: bool = True
    """Whether instance norm has a scale (gamma) and a shift (beta)."""
    eps: float = 1e-5
    """Added to the variance."""
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Subtracted from the input."""
    scale: float = 1.0
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """The result is scale x (last layer) + shift."""
    initial: str = "truncated_normal"
    """Of the weights: truncated_normal (deviation 0.1, cut at two of them: TensorFlow's) or
    uniform (within 1 / sqrt(fan in): Torch's)."""

    @property
    def convs(self) -> Iterator[tuple[Conv, int]]:
        """Every convolution with the number of its input channels."""
        channels = 3
        for layer in self.layers:
            for conv in layer.convs if isinstance(layer, Residual) else (layer,):
                yield conv, channels
                channels = conv.channels

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every parameter, in order.

        A weight is (out, in, k, k), that of a transposed convolution (in, out, k, k).
        """
        found: dict[str, tuple[int, ...]] = {}
        for conv, incoming in self.convs:
            ends = (incoming, conv.channels) if conv.transposed else (conv.channels, incoming)
            found[f"{conv.name}_weight"] = (*ends, conv.kernel, conv.kernel)
            if self.bias:
                found[f"{conv.name}_bias"] = (conv.channels,)
            if conv.norm and self.affine:
                found[f"{conv.name}_gamma"] = found[f"{conv.name}_beta"] = (conv.channels,)
        return found

    @property
    def least_side(self) -> int:
        """The smallest side of a picture, in pixels: reflection needs more than it mirrors."""
        widest = max(conv.kernel // 2 for conv, _ in self.convs)
        strided = 4  # a quarter of the size is left for the residual blocks, which mirror 1 pixel
        return max(self.border + 1, widest + 1, 2 * strided)

    def padding_of(self, conv: Conv) -> str:
        """How a convolution's input is padded."""
        return conv.padding or self.padding

    @property
    def shaved(self) -> list[int]:
        """Pixels of the picture that each convolution without padding takes, of both sides."""
        found, stride = [], 1
        for conv, _ in self.convs:
            stride *= 1 if conv.transposed else conv.stride
            if self.padding_of(conv) == "none":
                found.append((conv.kernel - 1) * stride)
        return found


def _body(
    widths: tuple[int, int, int], residuals: int, *, up: dict, residual: dict, last: dict
) -> tuple[Conv | Residual, ...]:
    """The shape that they all share: down to a quarter, residual blocks, and up again."""
    first, second, third = widths
    return (
        Conv("conv1", first, kernel=9),
        Conv("conv2", second, stride=2),
        Conv("conv3", third, stride=2),
        *(Residual(f"res{number}", third, **residual) for number in range(1, residuals + 1)),
        Conv("up1", second, **up),
        Conv("up2", first, **up),
        Conv("conv4", 3, kernel=9, **last),
    )


MIDDLE = (127.5, 127.5, 127.5)

NETS = {
    net.name: net
    for net in (
        TransformNet(
            name="hzy46",
            source="hzy46/fast-neural-style-tensorflow, model.py",
            layers=_body(
                (32, 64, 128), 5,
                up={"upsample": 4, "stride": 2}, residual={"norm": False},
                last={"activation": "tanh"},
            ),
            padding="reflect", border=10, affine=False, eps=1e-9,
            mean=RGB_MEAN, scale=127.5, shift=MIDDLE,
        ),
        TransformNet(
            name="johnson",
            source="jcjohnson/fast-neural-style, models.lua and train.lua; Johnson, Alahi,"
            " Fei-Fei 2016, supplementary material",
            layers=_body(
                (32, 64, 128), 5,
                up={"transposed": True, "stride": 2}, residual={"padding": "none"},
                last={"norm": False, "activation": "tanh"},
            ),
            padding="zero", border=40, bias=True,
            mean=RGB_MEAN, scale=150.0, shift=RGB_MEAN, initial="uniform",
        ),
        # This project's: hzy46's reflections, an upsampling without holes, and few channels.
        TransformNet(
            name="small",
            source="this project",
            layers=_body(
                (16, 24, 32), 3,
                up={"upsample": 2}, residual={},
                last={"activation": "tanh"},
            ),
            padding="reflect", border=10, mean=RGB_MEAN, scale=127.5, shift=MIDDLE,
        ),
        TransformNet(
            name="pytorch_examples",
            source="pytorch/examples, fast_neural_style/neural_style/transformer_net.py",
            layers=_body(
                (32, 64, 128), 5,
                up={"upsample": 2}, residual={}, last={"norm": False, "activation": None},
            ),
            padding="reflect", bias=True, initial="uniform",
        ),
        TransformNet(
            name="lengstrom",
            source="lengstrom/fast-style-transfer, src/transform.py",
            layers=_body(
                (32, 64, 128), 5,
                up={"transposed": True, "stride": 2}, residual={}, last={"activation": "tanh"},
            ),
            padding="same", eps=1e-3, scale=150.0, shift=MIDDLE,
        ),
    )
}  # fmt: skip


def choose(name: str, border: int | None = None, padding: str | None = None) -> TransformNet:
    """A row of the table, perhaps with other borders; the parameters have the same shapes.

    Args:
        name: of the row.
        border: pixels of reflection around the picture; None for the row's own.
        padding: around the convolutions that follow the network's rule; None for the row's own.

    Raises:
        InputError: the border is less than the convolutions without padding use up.

    """
    net = NETS[name]
    least = sum(net.shaved) // 2
    if border is not None and border < least:
        raise InputError(f"net.border={border}: net={name} uses up {least} pixels on each side")
    return replace(
        net,
        border=net.border if border is None else border,
        padding=net.padding if padding is None else padding,
    )
