"""The schema of a training and of stylising; the values live in configs/fast.yaml and fast/."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from omegaconf import DictConfig

from nstrep.config.schema import (
    LAYER_WEIGHTS,
    LOGGERS,
    AssetsConfig,
    LossesConfig,
    ModelConfig,
    PictureConfig,
    RecipeConfig,
    WeightsConfig,
    check_layers,
    choice,
    number,
    text,
    typed,
)
from nstrep.fast.architectures import NETS, choose
from nstrep.networks import vgg


@dataclass
class NetConfig:
    """The network that is trained."""

    name: str = choice("architecture, a row of nstrep/fast/architectures.py", tuple(NETS))
    border: int | None = number(
        "pixels of reflection around the picture, cut off the result; null: the architecture's",
        at_least=0,
        at_most=1000,
    )
    padding: str | None = choice(
        "around the convolutions; null: the architecture's", ("reflect", "zero")
    )


@dataclass
class DataConfig:
    """The pictures that it is trained on."""

    dir: str | None = text("folder of photos, with those below it; null for scikit-image's")
    size: int = number("side of the square crops, in pixels", at_least=16, at_most=4096)
    crop: str = choice(
        "random: any square that fits, of at least data.size where the picture has that, mirrored"
        " half of the time; center: the largest in the middle",
        ("random", "center"),
    )
    held_out: int = number("pictures kept for validation alone", at_least=1)


@dataclass
class InputConfig:
    """How the loss network sees pictures."""

    padding: str = choice("beyond the border of the first layer", vgg.PADDINGS)


@dataclass
class AdamConfig:
    """Adam (Kingma, Ba 2015), MXNet's."""

    beta1: float = number("decay of the mean", at_least=0, at_most=1)
    beta2: float = number("decay of the variance", at_least=0, at_most=1)
    epsilon: float = number("added to the deviation", above=0)


@dataclass
class TrainConfig:
    """One training, whole."""

    GROUPS: ClassVar[tuple[str, ...]] = ("style", "model", "fast/net", "fast/recipe")
    style: PictureConfig
    style_image: str | None = text("a file instead of the style group")
    style_size: int = number("long side of the painting, in pixels", at_least=16, at_most=20000)
    net: NetConfig
    data: DataConfig
    model: ModelConfig
    weights: WeightsConfig
    assets: AssetsConfig
    recipe: RecipeConfig
    losses: LossesConfig
    preprocess: InputConfig
    adam: AdamConfig
    published: dict[str, float] = text("style weights of the source, by the name of the style")
    content_weight: float = number("of the content loss", at_least=0)
    style_weight: float = number("of the style loss", at_least=0)
    tv_weight: float = number("of the total variation", at_least=0)
    content_layers: list[str] = text("layers that the content loss compares")
    style_layers: list[str] = text("layers whose Gram matrices the style loss compares")
    content_layer_weights: Any = text(f"of each layer: {LAYER_WEIGHTS}")
    style_layer_weights: Any = text(f"of each layer: {LAYER_WEIGHTS}")
    pooling: str = choice("of the loss network", vgg.POOLINGS)
    lr: float = number("learning rate", above=0)
    batch_size: int = number("crops for an update", at_least=1)
    steps: int = number("updates", at_least=1)
    validate_steps: int = number("held-out losses every so many updates", at_least=1)
    save_steps: int = number("checkpoint and sample every so many updates", at_least=1)
    seed: int = number("of the first parameters and the crops", at_least=0, at_most=2**32 - 1)
    gpu: int = number("which GPU; -1 for the CPU", at_least=-1)
    logger: str = choice("where losses and pictures go besides the run's own files", LOGGERS)


@dataclass
class StylizeConfig:
    """What is stylised with which network."""

    model: str = text("run directory of nstrep.fast.train, or a file of parameters")
    image: str = text("a picture, a folder, or a pattern such as photos/*.jpg")
    out: str = text("folder of the results")
    long_edge: int = number("long side to scale pictures to first; 0 for their own", at_least=0)
    tile: Any = text(
        "side of the tiles, in pixels, that keep the memory small; 0: the whole at once; auto: at"
        " once if it fits into the memory"
    )


def check(composed: DictConfig) -> TrainConfig:
    """Turn a composed training into the typed one.

    Raises:
        InputError: one line naming the key, its value and what is allowed.

    """
    config = typed(composed, TrainConfig)
    check_layers(config)
    # Written out, so that a border that is typed and is the architecture's is the same training.
    net = choose(config.net.name, config.net.border, config.net.padding)
    config.net = replace(config.net, border=net.border, padding=net.padding)
    return config
