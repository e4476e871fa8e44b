"""The keys of training; configs/fast.yaml and fast/ hold the values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from omegaconf import DictConfig

from nstrep.config.checks import check_layers, name_pictures, typed
from nstrep.config.fields import choice, number, text
from nstrep.config.schema import FLOAT32, LOGGERS, ObjectiveConfig
from nstrep.fast.architectures import NETS, choose
from nstrep.networks import vgg


@dataclass
class NetConfig:
    """The network that is trained."""

    name: str = choice("architecture, a row of nstrep/fast/architectures.py", tuple(NETS))
    border: int | None = number(
        "pixels of reflection around the image, cut off the result; null for the architecture's",
        at_least=0, at_most=1000,
    )  # fmt: skip
    padding: str | None = choice(
        "padding around the convolutions; null for the architecture's", ("reflect", "zero")
    )


@dataclass
class DataConfig:
    """The images that it is trained on."""

    dir: str | None = text(
        "folder of photographs, searched with its subfolders; null for scikit-image's",
        file=True, identity=False, common=True,
    )  # fmt: skip
    size: int = number(
        "side of the square crops, in pixels", at_least=16, at_most=4096, common=True
    )
    crop: str = choice(
        "position of a crop: random (any square inside the image, of at least data.size if the"
        " image is large enough, mirrored half of the time) or center (the largest in the middle)",
        ("random", "center"),
    )
    held_out: int = number("number of images kept for validation", at_least=1)


@dataclass
class InputConfig:
    """Input of the loss network."""

    padding: str = choice("padding of the image in the first layer", vgg.PADDINGS)


@dataclass
class AdamConfig:
    """Adam (Kingma, Ba 2015), as MXNet implements it."""

    beta1: float = number("decay rate of the mean", at_least=0, below=1)
    beta2: float = number("decay rate of the variance", at_least=0, below=1)
    epsilon: float = number("constant added to the standard deviation", above=0, **FLOAT32)


@dataclass
class TrainConfig(ObjectiveConfig):
    """All keys of a training."""

    GROUPS: ClassVar[tuple[str, ...]] = ("style", "model", "fast/net", "fast/recipe")
    styles: list[str] = text(
        "several style images instead of one, for one network: options of the style group, files,"
        " or folders of files",
        file=True, names_of="style", identity=False, common=True,
    )  # fmt: skip
    content_weights: Any = text(
        "content weights of some styles by name, such as {wave: 20}, in place of content_weight",
        absent=None,
    )  # fmt: skip
    init_from: str | None = text(
        "run or file with the parameters at the start, to which styles are added; null: random",
        file=True, identity=False,
    )  # fmt: skip
    train: str = choice(
        "parameters that are trained: all, or styles for the scales and shifts of the styles alone,"
        " which leaves the other styles of init_from as they are",
        ("all", "styles"), absent="all",
    )  # fmt: skip
    style_size: int = number(
        "long side of the style image, in pixels", at_least=16, at_most=20000, common=True
    )
    net: NetConfig
    data: DataConfig
    preprocess: InputConfig
    adam: AdamConfig
    published: dict[str, float] = text(
        "style weights of the source, by the name of the style", listed=False
    )
    grid_weight: float = number(
        "weight of the loss for patterns that repeat every 4 pixels (nstrep/fast/grid.py)",
        at_least=0, absent=0.0,
    )  # fmt: skip
    lr: float = number("learning rate", above=0, **FLOAT32, common=True)
    lr_steps: int | None = number(
        "update at which the learning rate, falling as half a cosine, is 0; null: constant",
        at_least=1, absent=None,
    )  # fmt: skip
    batch_size: int = number("number of crops in an update", at_least=1, common=True)
    steps: int = number("number of updates", at_least=1, identity=False, common=True)
    validate_steps: int = number(
        "number of updates between two validations", at_least=1, identity=False
    )
    save_steps: int = number(
        "number of updates between two checkpoints, each with a sample", at_least=1, identity=False
    )
    seed: int = number(
        "seed of the initial parameters and the crops", at_least=0, at_most=2**32 - 1, common=True
    )
    gpu: int = number("index of the GPU; -1 for the CPU", at_least=-1)
    logger: str = choice(
        "log of losses and images in addition to the run's own files", LOGGERS, identity=False
    )


def check(composed: DictConfig) -> TrainConfig:
    """Turn a composed training into the typed one, or raise InputError."""
    config = typed(composed, TrainConfig)
    check_layers(config)
    name_pictures(config)
    # Written out, so that naming the architecture's own border does not make another training.
    net = choose(config.net.name, config.net.border, config.net.padding)
    config.net = replace(config.net, border=net.border, padding=net.padding)
    return config
